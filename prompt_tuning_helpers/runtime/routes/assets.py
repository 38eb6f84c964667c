"""Assets, as the platform's asset service (CAMS) keeps them; tuned models and experiments are assets, too."""

from typing import Any

from starlette.responses import Response

from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import Fields, shorten
from ..store.assets import Asset, Attachment
from ..store.models import Model
from .asset_queries import ALL, read_search
from .operations import LONGEST_PAGE, Operation, RequestContext, no_content

SEARCHED = ("asset.name", "asset.asset_type", "asset.asset_id", "asset.tags")
SORTS = ("-asset.created_at", "-asset.created_at<string>")  # the order there is, as the SDK asks for it
INCLUDED = ("entity", "attachments")
EXPERIMENT = "wx_prompt_tune"  # the type of the asset that the trainings of a group share
COUNTRY, CATEGORY = "us", "USER"
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
            "asset_category": CATEGORY,
            "origin_country": COUNTRY,
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
    metadata.choice("origin_country", (COUNTRY,))
    metadata.choice("asset_category", (CATEGORY,))
    description = metadata.text("description", 10_000) or ""
    tags = metadata.texts("tags")
    mime_type = body.object("entity").object("data_asset").text("mime_type", 255) or "application/octet-stream"
    project_id = context.project_id()
    action = context.query_choice("duplicate_action", DUPLICATE_ACTIONS)
    if action == "REJECT" and context.runtime.assets.page(project_id, asset_type, 1, name=name)[1]:
        raise ApiError(
            409, "already_exists", f"A data asset named {shorten(name)} is there already: choose another name."
        )
    asset = context.runtime.assets.create(project_id, name, asset_type, description, mime_type, tags)
    return context.answer(asset_document(asset, []), 201)


def get_asset(context: RequestContext) -> Response:
    """Give one asset."""
    project_id = context.project_id()
    model = context.runtime.models.get(project_id, context.path("asset_id"))
    if model is not None:
        return context.answer(model_asset_document(model))
    asset = find_asset(context, project_id)
    return context.answer(asset_document(asset, context.runtime.assets.attachments(asset)))


def search_assets(context: RequestContext) -> Response:
    """List the assets of a type, all of them or those that a search finds."""
    body = context.fields() if context.body.strip() else Fields({})
    query = body.text("query") or ALL
    is_found = read_search(query, SEARCHED, "query")
    body.choice("sort", SORTS)
    for part in (body.text("include") or "").split(","):
        Fields({"include": part.strip()}).choice("include", INCLUDED)
    limit = body.integer("limit", 1, LONGEST_PAGE) or LONGEST_PAGE
    bookmark = body.text("bookmark", 10) or "0"
    if not (bookmark.isascii() and bookmark.isdecimal()):
        raise bad_request(f"bookmark must be the one that an earlier answer gave; it is {shorten(bookmark)}.")
    assets, total = context.runtime.assets.page(
        context.project_id(),
        context.path("asset_type"),
        limit,
        int(bookmark),
        wanted=None if query == ALL else lambda asset: is_found(_searched(asset)),
    )
    results = [asset_document(asset, context.runtime.assets.attachments(asset)) for asset in assets]
    answer: dict[str, Any] = {"total_rows": total, "results": results}
    if int(bookmark) + len(assets) < total and assets:
        answer["next"] = {**body.values, "query": query, "limit": limit, "bookmark": str(int(bookmark) + len(assets))}
    return context.answer(answer)


def _searched(asset: Asset) -> dict[str, list[str]]:
    return dict(zip(SEARCHED, ([asset.name], [asset.asset_type], [asset.id], asset.tags), strict=True))


def delete_asset(context: RequestContext) -> Response:
    """Delete an asset with its files, or a tuned model."""
    project_id = context.project_id()
    context.query_flag("purge_on_delete")  # there is no place from which what was deleted could come back
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
        query=("project_id", "duplicate_action"),
        fields=(
            *(f"metadata.{name}" for name in ("name", "description", "asset_type", "tags")),
            "metadata.origin_country",
            "metadata.asset_category",
            "entity.data_asset.mime_type",
        ),
        differs="duplicate_action knows IGNORE and REJECT; the country is us and the category USER",
    ),
    Operation("GET", "/v2/assets/{asset_id}", get_asset, "Get an asset"),
    Operation(
        "DELETE",
        "/v2/assets/{asset_id}",
        delete_asset,
        "Delete an asset or a tuned model",
        query=("project_id", "purge_on_delete"),
        differs="what is deleted is always gone for good",
    ),
    Operation(
        "POST",
        "/v2/asset_types/{asset_type}/search",
        search_assets,
        "Search assets",
        fields=("query", "limit", "bookmark", "sort", "include"),
        strict=True,
        differs=f"the query is {ALL}, or terms on {', '.join(SEARCHED)} joined by AND; newest first, always with "
        f"{' and '.join(INCLUDED)}; there are data_asset and {EXPERIMENT}, and nothing of other types",
    ),
]
NOT_OFFERED = ("PATCH /v2/assets/{asset_id}", "/v2/assets/{asset_id}/attributes")
