"""Base models: what is served, and what it can do."""

from typing import Any

from starlette.responses import Response

from ..catalogue import ServedModel
from ..http.errors import ApiError
from ..http.fields import shorten
from .filters import matches
from .operations import PAGE, Operation, RequestContext
from .request_fields import LOCAL_RUNTIME

# The SDK makes the members of its Tasks from these labels; a list without one of them would take the member away.
TASKS = {
    "question_answering": "Question answering",
    "summarization": "Summarization",
    "retrieval_augmented_generation": "Retrieval Augmented Generation",
    "classification": "Classification",
    "generation": "Generation",
    "code": "Code generation and conversion",
    "extraction": "Extraction",
}
FUNCTIONS = ("prompt_tune_trainable", "prompt_tune_inferable", "text_generation", "text_chat")
# Nothing here is ever withdrawn; the date is that of the first release.
AVAILABLE_SINCE = "2026-01-01"


def alias_notice(card: ServedModel) -> str:
    """Say what a client that asks for an alias must be told."""
    return f"On this local runtime, {card.name} answers under the name {card.model_id}; it is not that model."


def warnings_for(card: ServedModel, messages: tuple[str, ...] = (), replaced: str = "") -> dict[str, Any]:
    """Give the ``system`` part of an answer, if there is anything to warn of; the SDK shows it as a Python warning.

    Args:
        card: the model that answers.
        messages: on what a request holds and is not heeded.
        replaced: on settings of a training that were replaced.
    """
    warnings = [{"id": "unsupported_input", "message": message} for message in messages]
    if replaced:
        warnings.append({"id": "settings_replaced", "message": replaced})
    if card.is_alias:
        warnings.insert(0, {"id": "another_model_answers", "message": alias_notice(card)})
    return {"system": {"warnings": warnings}} if warnings else {}


def model_spec(card: ServedModel) -> dict[str, Any]:
    """Show a base model as clients see it."""
    description = f"{alias_notice(card)} {card.description}" if card.is_alias else card.description
    return {
        "model_id": card.model_id,
        "label": f"{card.model_id.rsplit('/', 1)[-1]} (here: {card.name})" if card.is_alias else card.name,
        "provider": card.provider,
        "source": card.provider,
        "short_description": alias_notice(card) if card.is_alias else card.description,
        "long_description": description,
        "functions": [{"id": function} for function in FUNCTIONS],
        "tasks": [{"id": task, "tags": ["function_prompt_tune_trainable"]} for task in TASKS],
        "input_tier": "class_1",
        "output_tier": "class_1",
        "number_params": _short_number(card.parameters),
        "min_shot_size": 1,
        "model_limits": {
            "max_sequence_length": card.max_sequence_length,
            "max_output_tokens": card.max_sequence_length,
        },
        "training_parameters": _training_parameters(card),
        "lifecycle": [{"id": "available", "start_date": AVAILABLE_SINCE}],
        # Not of watsonx.ai; for clients that search for settings.
        LOCAL_RUNTIME: {"embedding_rms": card.embedding_rms},
    }


def find_card(context: RequestContext, model_id: str) -> ServedModel:
    """Find the base model of this id."""
    card = context.runtime.cards.get(model_id)
    if card is None:
        served = ", ".join(sorted(context.runtime.cards))
        raise ApiError(
            404,
            "model_not_supported",
            f"Model {shorten(model_id)} is not served here. Served: {served}. "
            "Start the runtime with --model or --alias to serve another.",
        )
    return card


def list_specs(context: RequestContext) -> Response:
    """List the base models that pass the query's filters."""
    specs = [model_spec(card) for card in context.runtime.cards.values()]
    context.query_flag("tech_preview")  # there are no previews
    filters = context.query("filters")
    wanted = context.query("model_id")
    found = [spec for spec in specs if matches(spec, filters) and wanted in (None, spec["model_id"])]
    limit, start = context.page()
    return context.listing(found[start : start + limit], len(found))


def list_tasks(context: RequestContext) -> Response:
    """List the tasks that a prompt may be tuned for."""
    tasks = [{"task_id": task, "label": label, "rank": rank} for rank, (task, label) in enumerate(TASKS.items(), 1)]
    limit, start = context.page()
    return context.listing(tasks[start : start + limit], len(tasks))


def _short_number(parameters: int | None) -> str:
    if parameters is None:
        return "unknown"
    for size, letter in ((10**9, "b"), (10**6, "m"), (10**3, "k")):
        if parameters >= size:
            return f"{parameters / size:.3g}{letter}"
    return str(parameters)


def _training_parameters(card: ServedModel) -> dict[str, Any]:
    defaults = card.defaults
    names = ("num_virtual_tokens", "learning_rate", "num_epochs", "batch_size", "accumulate_steps")
    parameters: dict[str, Any] = {name: {"default": getattr(defaults, name)} for name in names}
    parameters["init_method"] = {"supported": ["random", "text"], "default": defaults.init_method}
    parameters["init_text"] = {"default": defaults.init_text or ""}
    for name in ("max_input_tokens", "max_output_tokens"):
        parameters[name] = {"default": getattr(defaults, name), "min": 1, "max": card.max_sequence_length}
    return parameters


FOR_ALL = ("project_id", *PAGE)  # the lists are the same for all projects, and need no token
OPERATIONS = [
    Operation(
        "GET",
        "/ml/v1/foundation_model_specs",
        list_specs,
        "List base models",
        query=("filters", "model_id", "tech_preview", *FOR_ALL),
        public=True,
    ),
    Operation("GET", "/ml/v1/foundation_model_tasks", list_tasks, "List tasks", query=FOR_ALL, public=True),
    Operation(
        "GET", "/ml/v1-beta/foundation_model_tasks", list_tasks, "The same, for older SDKs", query=FOR_ALL, public=True
    ),
]
