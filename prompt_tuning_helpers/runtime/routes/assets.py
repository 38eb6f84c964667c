"""Assets, as the platform's asset service (CAMS) keeps them; tuned models and experiments are assets, too."""

from typing import Any

from starlette.responses import JSONResponse, Response

from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import Fields, shorten
from ..store.assets import Asset, Attachment
from ..store.models import Model
from .operations import LONGEST_PAGE, Operation, RequestContext, no_content

NAME_QUERY = "asset.name:"
DUPLICATE_ACTIONS = ("IGNORE", "REJECT")


def asset_document(asset: Asset, attachments: list[Attachment]) -> dict[str, Any]:
    """Describe an asset as clients see it; files still being uploaded are left out."""
    complete = [attachment for attachment in attachments if attachment.complete]
    return {
        "href": f"/v2/assets/{asset.id}?project_id={asset.project_id}",
        "metadata": {
            "project_id": asset.project_id,
            "asset_id": asset.id,
            "name": asset.name,
            "description": asset.description,
            "tags": asset.tags,
            "asset_type": asset.asset_type,
            "asset_state": "available",
            "asset_category": "USER",
            "origin_country": "us",
            "created": asset.created_at,
            "created_at": asset.created_at,
            "size": sum(attachment.size or 0 for attachment in complete),
            "version": 2.0,
            "usage": {"last_updated_at": asset.created_at, "last_accessed_at": asset.created_at},
        },
        "entity": {asset.asset_type: {"mime_type": asset.mime_type} if asset.mime_type else {}},
        "attachments": [attachment_document(attachment) for attachment in complete],
    }


def attachment_document(attachment: Attachment) -> dict[str, Any]:
    """Describe a file of an asset as clients see it."""
    return {
        "id": attachment.id,
        "version": 2,
        "asset_type": "data_asset",
        "name": attachment.name,
        "mime": attachment.mime_type,
        "size": attachment.size or 0,
        "is_remote": False,
        "is_managed": True,
        "created_at": attachment.created_at,
    }


def model_asset_document(model: Model) -> dict[str, Any]:
    """Describe a tuned model as an asset."""
    asset = Asset(model.id, model.project_id, model.name, model.description, "wml_model", "", [], model.created_at)
    return asset_document(asset, [])


def find_asset(context: RequestContext, project_id: str) -> Asset:
    """Find the asset that the path names."""
    asset = context.runtime.assets.get(project_id, context.path("asset_id"))
    if asset is None:
        raise not_found("This project has no asset of this id: client.data_assets.list() shows those it has.")
    return asset


def create_asset(context: RequestContext) -> Response:
    """Record an asset; its file follows as an attachment."""
    body = context.fields()
    metadata = body.required_object("metadata")
    name = metadata.required_text("name", 255)
    asset_type = metadata.required_text("asset_type", 100)
    if asset_type != "data_asset":
        raise metadata.wrong("asset_type", "data_asset")
    description = metadata.text("description", 10_000) or ""
    tags = metadata.texts("tags")
    mime_type = body.object("entity").object("data_asset").text("mime_type", 255) or "application/octet-stream"
    project_id = context.project_id()
    action = context.query("duplicate_action") or "IGNORE"
    if action not in DUPLICATE_ACTIONS:
        raise bad_request(f"duplicate_action must be one of {', '.join(DUPLICATE_ACTIONS)}; it is {shorten(action)}.")
    if action == "REJECT" and context.runtime.assets.page(project_id, asset_type, 1, name=name)[1]:
        raise ApiError(
            409, "already_exists", f"A data asset named {shorten(name)} is there already: choose another name."
        )
    asset = context.runtime.assets.create(project_id, name, asset_type, description, mime_type, tags)
    return JSONResponse(asset_document(asset, []), status_code=201)


def get_asset(context: RequestContext) -> Response:
    """Give one asset."""
    project_id = context.project_id()
    model = context.runtime.models.get(project_id, context.path("asset_id"))
    if model is not None:
        return JSONResponse(model_asset_document(model))
    asset = find_asset(context, project_id)
    return JSONResponse(asset_document(asset, context.runtime.assets.attachments(asset)))


def search_assets(context: RequestContext) -> Response:
    """List the assets of a type, all of them or those of one name."""
    body = context.fields() if context.body.strip() else Fields({})
    query = body.text("query") or "*:*"
    limit = body.integer("limit", 1, LONGEST_PAGE) or LONGEST_PAGE
    bookmark = body.text("bookmark", 10) or "0"
    if not (bookmark.isascii() and bookmark.isdecimal()):
        raise bad_request(f"bookmark must be the one that an earlier answer gave; it is {shorten(bookmark)}.")
    if query == "*:*":
        name = None
    elif query.startswith(NAME_QUERY):
        name = query.removeprefix(NAME_QUERY).strip().strip('"')
    else:
        raise bad_request(f"query must be *:* or {NAME_QUERY}<name>; it is {shorten(query)}.")
    assets, total = context.runtime.assets.page(
        context.project_id(), context.path("asset_type"), limit, int(bookmark), name
    )
    results = [asset_document(asset, context.runtime.assets.attachments(asset)) for asset in assets]
    answer: dict[str, Any] = {"total_rows": total, "results": results}
    if int(bookmark) + len(assets) < total and assets:
        answer["next"] = {**body.values, "query": query, "limit": limit, "bookmark": str(int(bookmark) + len(assets))}
    return JSONResponse(answer)


def delete_asset(context: RequestContext) -> Response:
    """Delete an asset with its files, or a tuned model."""
    project_id = context.project_id()
    model = context.runtime.models.get(project_id, context.path("asset_id"))
    if model is not None:
        delete_tuned_model(context, model)
    else:
        context.runtime.assets.delete(find_asset(context, project_id))
    return no_content()


def delete_tuned_model(context: RequestContext, model: Model) -> None:
    """Delete a tuned model that is not deployed."""
    if not context.runtime.models.delete(model):
        raise ApiError(409, "model_is_deployed", "This model is deployed: delete its deployments first.")


OPERATIONS = [
    Operation(
        "POST",
        "/v2/assets",
        create_asset,
        "Create a data asset",
        differs="duplicate_action knows IGNORE and REJECT",
    ),
    Operation("GET", "/v2/assets/{asset_id}", get_asset, "Get an asset"),
    Operation("DELETE", "/v2/assets/{asset_id}", delete_asset, "Delete an asset or a tuned model"),
    Operation(
        "POST",
        "/v2/asset_types/{asset_type}/search",
        search_assets,
        "Search assets",
        differs="the query is *:* or asset.name:<name>",
    ),
]
NOT_OFFERED = ("PATCH /v2/assets/{asset_id}", "/v2/assets/{asset_id}/attributes")
