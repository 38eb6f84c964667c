"""Tuned models."""

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from ..http.errors import not_found
from ..http.fields import Fields
from ..http.json_patch import FIELDS, read_changes
from ..store.models import Model
from .asset_queries import ALL, fits_tags, read_search
from .assets import delete_tuned_model
from .operations import PAGE, Operation, RequestContext, no_content

CHANGEABLE = ("/name", "/description", "/tags")
SEARCHED = ("asset.name", "asset.asset_id", "asset.tags")


def model_document(model: Model) -> dict[str, Any]:
    """Describe a tuned model as clients see it."""
    training: dict[str, Any] = {
        "id": model.training_id,
        "base_model": {"model_id": model.base_model_id},
        "verbalizer": model.verbalizer,
    }
    if model.task_id is not None:
        training["task_id"] = model.task_id
    return {
        "metadata": {
            "id": model.id,
            "name": model.name,
            "description": model.description,
            "tags": model.tags,
            "project_id": model.project_id,
            "created_at": model.created_at,
            "modified_at": model.created_at,
        },
        "entity": {
            "type": "prompt_tune_1.0",
            "training": training,
            "training_id": model.training_id,
            "content_import_state": "completed",
        },
    }


def find_model(context: RequestContext, project_id: str, model_id: str) -> Model:
    """Find the tuned model of this id."""
    model = context.runtime.models.get(project_id, model_id)
    if model is None:
        raise not_found("This project has no model of this id: client.repository.list_models() shows those it has.")
    return model


def get_model(context: RequestContext) -> Response:
    """Give one tuned model."""
    return context.answer(model_document(find_model(context, context.project_id(), context.path("model_id"))))


def list_models(context: RequestContext) -> Response:
    """List a project's tuned models, newest first: all, or those of a name, with tags, or that a search finds."""
    name, tags = context.query("name"), context.query_tags()
    is_found = read_search(context.query("search") or ALL, SEARCHED, "The query's search")

    def is_wanted(model: Model) -> bool:
        values = dict(zip(SEARCHED, ([model.name], [model.id], model.tags), strict=True))
        return name in (None, model.name) and fits_tags(model.tags, tags) and is_found(values)

    context.query_flag("summary")  # the SDK sends it; these documents have no summary
    limit, start = context.page()
    models, total = context.runtime.models.page(context.project_id(), limit, start, is_wanted)
    return context.listing([model_document(model) for model in models], total)


def update_model(context: RequestContext) -> Response:
    """Change a model's name, description or tags."""
    model = find_model(context, context.project_id(), context.path("model_id"))
    changes = read_changes(context.document(), CHANGEABLE)
    new = {path.removeprefix("/"): value for path, value in changes.items()}
    fields = Fields({"name": model.name, "description": model.description, "tags": model.tags, **new})
    changed = replace(
        model,
        name=fields.required_text("name", 255),
        description=fields.text("description", 10_000) or "",
        tags=fields.texts("tags"),
    )
    context.runtime.models.update(changed)
    return context.answer(model_document(changed))


def delete_model(context: RequestContext) -> Response:
    """Delete a tuned model that is not deployed."""
    delete_tuned_model(context, find_model(context, context.project_id(), context.path("model_id")))
    return no_content()


OPERATIONS = [
    Operation(
        "GET",
        "/ml/v4/models",
        list_models,
        "List tuned models",
        query=("project_id", "name", "tag.value", "search", "summary", *PAGE),
        differs=f"the search has terms on {', '.join(SEARCHED)} joined by AND",
    ),
    Operation("GET", "/ml/v4/models/{model_id}", get_model, "Get a tuned model"),
    Operation(
        "PATCH",
        "/ml/v4/models/{model_id}",
        update_model,
        "Change a tuned model",
        fields=FIELDS,
        differs="its name, description and tags only",
    ),
    Operation("DELETE", "/ml/v4/models/{model_id}", delete_model, "Delete a tuned model"),
]
NOT_OFFERED = (
    "POST /ml/v4/models",
    "/ml/v4/models/{model_id}/content",
    "/ml/v4/models/{model_id}/download",
    "/ml/v4/models/{model_id}/revisions",
)
