"""Deployments of tuned models."""

import re
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from ...engine.epochs import kept_epochs
from ..http.errors import ApiError, bad_request, not_found
from ..http.fields import Fields, shorten
from ..http.json_patch import FIELDS, read_changes
from ..store.deployments import Deployment, ServingNameTaken
from ..store.models import Model
from .asset_queries import has_tags
from .models import find_model
from .operations import PAGE, Operation, RequestContext, no_content
from .request_fields import LOCAL_RUNTIME

CHANGEABLE = ("/name", "/description", "/tags", "/custom", "/asset", "/online/parameters")
STATES = ("initializing", "updating", "ready", "failed")
STATE = "ready"  # at once: the base model is there already
# Of what, or with what, a deployment may be on the hosted service; here it is always of a tuned model.
TYPES = ("prompt_tune", "foundation_model", "custom_foundation_model", "curated_foundation_model", "prompt_template")
TYPE = "prompt_tune"
SERVING_NAME = re.compile(r"[a-z0-9_]{1,36}", re.ASCII)


def deployment_document(context: RequestContext, deployment: Deployment) -> dict[str, Any]:
    """Describe a deployment as clients see it."""
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
        "custom": deployment.custom,
        "deployed_asset_type": TYPE,
        "name": deployment.name,
        "online": {"parameters": parameters},
        "project_id": deployment.project_id,
        "status": {
            "state": STATE,
            "message": {"level": "info", "text": "The deployment is successful"},
            "inference": inference,
            "online_url": {"url": inference[0]["url"]},
            "serving_urls": [item["url"] for item in inference if item.get("uses_serving_name")],
        },
    }
    if model is not None:
        entity.update(base_model_id=model.base_model_id, verbalizer=model.verbalizer)
        if epochs := kept_epochs(context.runtime.jobs.folder(model.training_id)):
            entity[LOCAL_RUNTIME] = {"epochs": epochs}
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
    _refuse_other_kinds(body)
    online = body.required_object("online", ", the one kind of deployment offered here,")
    serving_name = _read_serving_name(online.object("parameters"))
    model = _read_model(context, project_id, body)
    base_model_id = body.text("base_model_id") or model.base_model_id
    if base_model_id != model.base_model_id:
        raise bad_request(
            f"base_model_id is {shorten(base_model_id)}, but this model was tuned on {shorten(model.base_model_id)}: "
            "leave base_model_id out."
        )
    description = body.text("description", 10_000) or ""
    try:
        made = context.runtime.deployments.create(
            project_id,
            model.id,
            name,
            description,
            body.texts("tags"),
            serving_name,
            dict(body.object("custom").values),
        )
    except ServingNameTaken:
        raise _taken(serving_name) from None
    return context.answer(deployment_document(context, made), 202)


def _refuse_other_kinds(body: Fields) -> None:
    """Refuse to deploy what is no tuned model."""
    if body.object("prompt_template").values:
        raise bad_request(
            "prompt_template is not offered here: deploy a tuned model, by asset.id, and send it whole prompts."
        )
    if body.values.get("asset") is None and body.values.get("base_model_id"):
        raise bad_request(
            "A base model answers without a deployment, at /ml/v1/text/generation: deploy a tuned model, by asset.id."
        )


def update_deployment(context: RequestContext) -> Response:
    """Change a deployment's names, description, tags, custom fields or model; its id stays."""
    old = _find(context)
    changes = read_changes(context.document(), CHANGEABLE)
    changed = {path.rsplit("/", 1)[-1]: value for path, value in changes.items()}
    serving_name = _read_serving_name(Fields(changed, "online.").object("parameters"))
    kept = {"name": old.name, "description": old.description, "tags": old.tags, "custom": old.custom}
    fields = Fields({**kept, **changed})
    new = replace(
        old,
        name=fields.required_text("name", 255),
        description=fields.text("description", 10_000) or "",
        tags=fields.texts("tags"),
        custom=dict(fields.object("custom").values),
        model_id=_read_model(context, old.project_id, fields).id if "asset" in changed else old.model_id,
        serving_name=serving_name if "parameters" in changed else old.serving_name,
    )
    try:
        context.runtime.deployments.update(new)
    except ServingNameTaken:
        raise _taken(serving_name) from None
    return context.answer(deployment_document(context, new))


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
    if context.query_flag("conflict"):
        if serving_name is None or set(context.request.query_params) - {"version", "conflict", "serving_name"}:
            raise bad_request("conflict=true needs a serving_name to look for, and goes with nothing else.")
        if context.runtime.deployments.by_serving_name(serving_name) is not None:
            raise _taken(serving_name)
        return no_content()
    context.query_flag("attempt_activation")  # deployments here are never put to sleep
    context.query_flag("summary")  # the SDK sends it; these documents have no summary
    project_id, (limit, start) = context.project_id(), context.page()
    if not _may_have(context):
        return context.listing([], 0)
    tags = context.query_tags()
    deployments, total = context.runtime.deployments.page(
        project_id,
        limit,
        start,
        context.query("asset_id"),
        serving_name,
        context.query("name"),
        wanted=(lambda deployment: has_tags(deployment.tags, tags)) if tags else None,
    )
    return context.listing([deployment_document(context, deployment) for deployment in deployments], total)


def _may_have(context: RequestContext) -> bool:
    """Say whether the query asks for what deployments here are: ready, of a tuned model, and without a template."""
    state = context.query_choice("state", STATES)
    types = (context.query("type") or TYPE).split(" and ")
    for kind in types:
        Fields({"type": kind}, "The query's ").required_choice("type", TYPES)
    return state in (None, STATE) and set(types) == {TYPE} and context.query("prompt_template_id") is None


def get_deployment(context: RequestContext) -> Response:
    """Give one deployment."""
    context.query_flag("attempt_activation")
    return context.answer(deployment_document(context, _find(context)))


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
        fields=(
            *("name", "description", "tags", "custom", "project_id", "space_id", "base_model_id", "prompt_template"),
            "asset.id",
            "online.parameters.serving_name",
        ),
        strict=True,  # the SDK shows no warnings of this answer
        differs="online deployments of tuned models only, on no hardware but this computer; they are ready at once",
    ),
    Operation(
        "GET",
        "/ml/v4/deployments",
        list_deployments,
        "List deployments, or look up a serving name",
        query=(
            *("project_id", "name", "serving_name", "asset_id", "tag.value", "type", "state", "prompt_template_id"),
            *("conflict", "attempt_activation", "summary", *PAGE),
        ),
    ),
    Operation(
        "GET",
        "/ml/v4/deployments/{deployment_id}",
        get_deployment,
        "Get a deployment",
        query=("project_id", "attempt_activation"),
    ),
    Operation(
        "PATCH",
        "/ml/v4/deployments/{deployment_id}",
        update_deployment,
        "Change a deployment",
        fields=FIELDS,
        differs=f"{', '.join(CHANGEABLE)} only",
    ),
    Operation("DELETE", "/ml/v4/deployments/{deployment_id}", delete_deployment, "Delete a deployment"),
]
NOT_OFFERED = ("POST /ml/v4/deployments/{deployment_id}/predictions", "/ml/v4/deployment_jobs")
