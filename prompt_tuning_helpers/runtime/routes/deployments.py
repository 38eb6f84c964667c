"""Deployments of tuned models."""

import re
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import Fields, shorten
from ..http.patches import read_changes
from ..store.deployments import Deployment, ServingNameTaken
from ..store.models import Model
from .models import find_model
from .operations import Operation, RequestContext, no_content

CHANGEABLE = ("/name", "/description", "/tags", "/asset", "/online/parameters")
SERVING_NAME = re.compile(r"[a-z0-9_]{1,36}", re.ASCII)


def deployment_document(context: RequestContext, deployment: Deployment) -> dict[str, Any]:
    """Describe a deployment as clients see it; it is ready at once, because the base model is there already."""
    model = context.runtime.models.get(deployment.project_id, deployment.model_id)
    names = [deployment.id] + ([deployment.serving_name] if deployment.serving_name else [])
    inference: list[dict[str, Any]] = []
    for name in names:
        url = f"{context.runtime.url}/ml/v1/deployments/{name}/text/generation"
        uses = {"uses_serving_name": True} if name != deployment.id else {}
        inference += [{"url": url, **uses}, {"url": f"{url}_stream", "sse": True, **uses}]
    parameters = {"serving_name": deployment.serving_name} if deployment.serving_name else {}
    entity: dict[str, Any] = {
        "asset": {"id": deployment.model_id},
        "custom": {},
        "deployed_asset_type": "prompt_tune",
        "name": deployment.name,
        "online": {"parameters": parameters},
        "project_id": deployment.project_id,
        "status": {
            "state": "ready",
            "message": {"level": "info", "text": "The deployment is successful"},
            "inference": inference,
            "online_url": {"url": inference[0]["url"]},
            "serving_urls": [item["url"] for item in inference if item.get("uses_serving_name")],
        },
    }
    if model is not None:
        entity.update(base_model_id=model.base_model_id, verbalizer=model.verbalizer)
    return {
        "metadata": {
            "id": deployment.id,
            "name": deployment.name,
            "description": deployment.description,
            "tags": deployment.tags,
            "project_id": deployment.project_id,
            "created_at": deployment.created_at,
            "modified_at": deployment.created_at,
        },
        "entity": entity,
    }


def create_deployment(context: RequestContext) -> Response:
    """Deploy a tuned model."""
    body = context.fields()
    project_id = context.project_id(body)
    name = body.required_text("name", 255)
    online = body.required_object("online", ", the one kind of deployment offered here,")
    serving_name = _read_serving_name(online.object("parameters"))
    model = _read_model(context, project_id, body)
    description = body.text("description", 10_000) or ""
    try:
        made = context.runtime.deployments.create(
            project_id, model.id, name, description, body.texts("tags"), serving_name
        )
    except ServingNameTaken:
        raise _taken(serving_name) from None
    return JSONResponse(deployment_document(context, made), status_code=202)


def update_deployment(context: RequestContext) -> Response:
    """Change a deployment's names, description, tags or model; its id stays."""
    old = _find(context)
    changes = read_changes(context.body, CHANGEABLE)
    changed = {path.rsplit("/", 1)[-1]: value for path, value in changes.items()}
    serving_name = _read_serving_name(Fields(changed, "online.").object("parameters"))
    fields = Fields({"name": old.name, "description": old.description, "tags": old.tags, **changed})
    new = replace(
        old,
        name=fields.required_text("name", 255),
        description=fields.text("description", 10_000) or "",
        tags=fields.texts("tags"),
        model_id=_read_model(context, old.project_id, fields).id if "asset" in changed else old.model_id,
        serving_name=serving_name if "parameters" in changed else old.serving_name,
    )
    try:
        context.runtime.deployments.update(new)
    except ServingNameTaken:
        raise _taken(serving_name) from None
    return JSONResponse(deployment_document(context, new))


def _read_serving_name(parameters: Fields) -> str | None:
    serving_name = parameters.text("serving_name")
    if serving_name is not None and not SERVING_NAME.fullmatch(serving_name):
        raise bad_request(
            "online.parameters.serving_name may have lower-case letters, digits and underscores only, 36 at most; "
            f"it is {shorten(serving_name)}."
        )
    return serving_name


def _read_model(context: RequestContext, project_id: str, body: Fields) -> Model:
    return find_model(context, project_id, body.required_object("asset").required_text("id"))


def list_deployments(context: RequestContext) -> Response:
    """List a project's deployments, newest first; with ``conflict=true``, see if a serving name is taken anywhere."""
    serving_name = context.query("serving_name")
    if (context.query("conflict") or "false").lower() == "true":
        if serving_name is None:
            raise bad_request("conflict=true needs a serving_name to look for.")
        if context.runtime.deployments.by_serving_name(serving_name) is not None:
            raise _taken(serving_name)
        return no_content()
    limit, start = context.page()
    deployments, total = context.runtime.deployments.page(
        context.project_id(), limit, start, context.query("asset_id"), serving_name, context.query("name")
    )
    return context.listing([deployment_document(context, deployment) for deployment in deployments], total)


def get_deployment(context: RequestContext) -> Response:
    """Give one deployment."""
    return JSONResponse(deployment_document(context, _find(context)))


def delete_deployment(context: RequestContext) -> Response:
    """Delete a deployment; its serving name is free again."""
    context.runtime.deployments.delete(_find(context))
    return no_content()


def _find(context: RequestContext) -> Deployment:
    deployment = context.runtime.deployments.get(context.project_id(), context.path("deployment_id"))
    if deployment is None:
        raise not_found("This project has no deployment of this id: client.deployments.list() shows those it has.")
    return deployment


def _taken(serving_name: str | None) -> ApiError:
    return ApiError(
        409,
        "serving_name_not_unique",
        f"The serving name {shorten(serving_name)} is taken by another deployment: choose another, or delete that one.",
    )


OPERATIONS = [
    Operation(
        "POST",
        "/ml/v4/deployments",
        create_deployment,
        "Deploy a tuned model",
        differs="online deployments of tuned models only; they are ready at once",
    ),
    Operation("GET", "/ml/v4/deployments", list_deployments, "List deployments, or look up a serving name"),
    Operation("GET", "/ml/v4/deployments/{deployment_id}", get_deployment, "Get a deployment"),
    Operation("PATCH", "/ml/v4/deployments/{deployment_id}", update_deployment, "Change a deployment"),
    Operation("DELETE", "/ml/v4/deployments/{deployment_id}", delete_deployment, "Delete a deployment"),
]
NOT_OFFERED = ("POST /ml/v4/deployments/{deployment_id}/predictions", "/ml/v4/deployment_jobs")
