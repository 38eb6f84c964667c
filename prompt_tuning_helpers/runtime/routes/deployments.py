"""Deployments of tuned models."""

import re
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import read_object, read_text, read_texts, required, show
from ..http.patches import read_changes
from ..store.deployments import Deployment, ServingNameTaken
from ..store.models import Model
from .models import find_model
from .operations import Call, Operation, no_content

CHANGEABLE = ("/name", "/description", "/tags", "/asset", "/online/parameters")
SERVING_NAME = re.compile(r"[a-z0-9_]{1,36}", re.ASCII)


def deployment_document(call: Call, deployment: Deployment) -> dict[str, Any]:
    """A deployment as clients see it; it is ready at once, because the base model is there already."""
    model = call.runtime.models.get(deployment.project_id, deployment.model_id)
    names = [deployment.id] + ([deployment.serving_name] if deployment.serving_name else [])
    inference: list[dict[str, Any]] = []
    for name in names:
        url = f"{call.runtime.url}/ml/v1/deployments/{name}/text/generation"
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


def create_deployment(call: Call) -> Response:
    """Deploy a tuned model."""
    body = call.json()
    project_id = call.project_id(body)
    name = required(read_text(body, "name", longest=255), "name")
    online = required(read_object(body, "online"), "online, the one kind of deployment offered here,")
    serving_name = _read_serving_name(read_object(online, "parameters", "online."))
    model = _read_model(call, project_id, body)
    description = read_text(body, "description", longest=10_000) or ""
    try:
        made = call.runtime.deployments.create(
            project_id, model.id, name, description, read_texts(body, "tags"), serving_name
        )
    except ServingNameTaken:
        raise _taken(serving_name) from None
    return JSONResponse(deployment_document(call, made), status_code=202)


def update_deployment(call: Call) -> Response:
    """Change a deployment's names, description, tags or model; its id stays."""
    old = _find(call)
    changes = read_changes(call.body, CHANGEABLE)
    new = {path.rsplit("/", 1)[-1]: value for path, value in changes.items()}
    serving_name = _read_serving_name(read_object(new, "parameters", "online."))
    changed = replace(
        old,
        name=required(read_text({"name": old.name, **new}, "name", longest=255), "name"),
        description=read_text({"description": old.description, **new}, "description", longest=10_000) or "",
        tags=read_texts({"tags": old.tags, **new}, "tags"),
        model_id=_read_model(call, old.project_id, new).id if "asset" in new else old.model_id,
        serving_name=serving_name if "parameters" in new else old.serving_name,
    )
    try:
        call.runtime.deployments.update(changed)
    except ServingNameTaken:
        raise _taken(serving_name) from None
    return JSONResponse(deployment_document(call, changed))


def _read_serving_name(parameters: dict[str, Any] | None) -> str | None:
    serving_name = read_text(parameters or {}, "serving_name", "online.parameters.")
    if serving_name is not None and not SERVING_NAME.fullmatch(serving_name):
        raise bad_request(
            "online.parameters.serving_name may have lower-case letters, digits and underscores only, 36 at most; "
            f"it is {show(serving_name)}."
        )
    return serving_name


def _read_model(call: Call, project_id: str, body: dict[str, Any]) -> Model:
    asset = required(read_object(body, "asset"), "asset")
    return find_model(call, project_id, required(read_text(asset, "id", "asset."), "asset.id"))


def list_deployments(call: Call) -> Response:
    """A project's deployments, newest first; with ``conflict=true``, whether a serving name is taken anywhere."""
    serving_name = call.query("serving_name")
    if (call.query("conflict") or "false").lower() == "true":
        if serving_name is None:
            raise bad_request("conflict=true needs a serving_name to look for.")
        if call.runtime.deployments.by_serving_name(serving_name) is not None:
            raise _taken(serving_name)
        return no_content()
    limit, start = call.page()
    deployments, total = call.runtime.deployments.page(
        call.project_id(), limit, start, call.query("asset_id"), serving_name, call.query("name")
    )
    return call.listing([deployment_document(call, deployment) for deployment in deployments], total)


def get_deployment(call: Call) -> Response:
    """One deployment."""
    return JSONResponse(deployment_document(call, _find(call)))


def delete_deployment(call: Call) -> Response:
    """Delete a deployment; its serving name is free again."""
    call.runtime.deployments.delete(_find(call))
    return no_content()


def _find(call: Call) -> Deployment:
    deployment = call.runtime.deployments.get(call.project_id(), call.path("deployment_id"))
    if deployment is None:
        raise not_found("This project has no deployment of this id: client.deployments.list() shows those it has.")
    return deployment


def _taken(serving_name: str | None) -> ApiError:
    return ApiError(
        409,
        "serving_name_not_unique",
        f"The serving name {show(serving_name)} is taken by another deployment: choose another, or delete that one.",
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
