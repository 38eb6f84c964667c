"""Trainings: start one, see how far it is, cancel it."""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from starlette.responses import Response

from ...engine.job_folder import Job
from ...engine.metrics import MetricRecord
from ..engine_errors import code_of
from ..http.errors import bad_request, not_found
from ..http.fields import shorten
from ..jobs.folder import make_job_folder
from ..jobs.reports import Report
from ..removal import remove_training
from ..replaced_settings import replace_settings, say_replaced
from ..store.trainings import TERMINAL, Training
from .asset_queries import has_tags
from .assets import EXPERIMENT
from .foundation_models import TASKS, warnings_for
from .operations import PAGE, Operation, RequestContext, no_content
from .request_fields import LOCAL_RUNTIME
from .tuning_request import TUNING_FIELDS, TUNING_IGNORED, read_base_model, read_tuning_request

TYPE = "prompt_tuning"
STATES = ("queued", "pending", "running", "storing", *TERMINAL)


def training_document(
    context: RequestContext, training: Training, shown_state: Callable[[Training], str] | None = None
) -> dict[str, Any]:
    """Describe a training as clients see it; its model's id is there from the moment it is completed."""
    state = (shown_state or context.runtime.trainings.shown_states())(training)
    path = training.request["results_reference"]["path"]
    entity: dict[str, Any] = {
        "auto_update_model": True,
        "description": training.description,
        "name": training.name,
        "project_id": training.project_id,
        "prompt_tuning": training.request["prompt_tuning"],
        "results_reference": {
            "connection": {},
            "type": training.request["results_reference"]["type"],
            "location": {
                "path": path,
                "training": f"{path}/{training.id}",
                "training_status": f"{path}/{training.id}/training-status.json",
                "model_request_path": f"{path}/{training.id}/assets/{training.id}/resources/wml_model/request.json",
                "assets_path": f"{path}/{training.id}/assets",
            },
        },
        "status": _status(context, training, state),
        "tags": training.tags,
        "training_data_references": training.request["training_data_references"],
    }
    if replaced := training.request.get(LOCAL_RUNTIME):
        entity[LOCAL_RUNTIME] = replaced
    if training.state == "completed":
        entity["model_id"] = training.model_id
    return {
        "metadata": {
            "created_at": training.created_at,
            "description": training.description,
            "id": training.id,
            "modified_at": training.modified_at,
            "name": training.name,
            "project_id": training.project_id,
            "tags": training.tags,
        },
        "entity": entity,
    }


def _status(context: RequestContext, training: Training, state: str) -> dict[str, Any]:
    status: dict[str, Any] = {"state": state}
    report = context.runtime.jobs.report(training.id)
    if state == "queued":
        status["message"] = {"level": "info", "text": "Another training comes first."}
    elif message := _message(context, training, report):
        status["message"] = message
    # Not of watsonx.ai; for clients that speak another language.
    if report.verdict and training.state == "completed":
        status["verdict"] = asdict(report.verdict)
    if report.row_counts:
        status["rows"] = {name: value for name, value in asdict(report.row_counts).items() if value is not None}
    if training.running_at is not None:
        status["running_at"] = training.running_at
    if training.completed_at is not None:
        status["completed_at"] = training.completed_at
    if training.failure is not None:
        status["failure"] = {
            "trace": training.id,
            "errors": [{**training.failure, "code": code_of(training.failure["code"])}],
        }
        status["message"] = {"level": "error", "text": training.failure["message"]}
    # Left out while there are none: the SDK's plot cannot take an empty list.
    if report.metrics:
        status["metrics"] = [_metric(record) for record in _records_for_sdk(training, report.metrics)]
    return status


def _message(context: RequestContext, training: Training, report: Report) -> dict[str, str] | None:
    """Say what is to be known of a training: that nothing shows that it has learnt, say, or with what it tunes."""
    warnings = []
    if report.row_counts and (
        notice := report.row_counts.notice(training.request["prompt_tuning"]["max_input_tokens"])
    ):
        warnings.append(notice)
    if report.verdict and training.state == "completed":
        warnings.append(report.verdict.text())
    replaced = say_replaced(_model_name(context, training), training.request.get(LOCAL_RUNTIME, {}))
    texts = [*warnings, *([replaced] if replaced else [])]
    return {"level": "warning" if warnings else "info", "text": " ".join(texts)} if texts else None


def _model_name(context: RequestContext, training: Training) -> str:
    """Give the real name of the model that a training tunes, or the one that it asks for if that is served no more."""
    model_id: str = training.request["prompt_tuning"]["base_model"]["model_id"]
    card = context.runtime.cards.get(model_id)
    return card.name if card else model_id


def _epochs(training: Training) -> int:
    """Give the number of epochs that a training has, whatever was asked for."""
    used = training.request.get(LOCAL_RUNTIME, {}).get("used", {})
    return int(used.get("num_epochs", training.request["prompt_tuning"]["num_epochs"]))


def _records_for_sdk(training: Training, records: list[MetricRecord]) -> list[MetricRecord]:
    """Give an epoch of one step a second record.

    The SDK takes the time between an epoch's first and last record for the epoch's duration. So the step's record is
    preceded by another of the time at which the step began.
    """
    first = records[0]
    if first.iteration != round(first.progress * _epochs(training)):  # an epoch has more steps
        return records
    began = [training.running_at or first.timestamp, *(record.timestamp for record in records[:-1])]
    return [
        made
        for record, start in zip(records, began, strict=True)
        for made in (replace(record, timestamp=start), record)
    ]


def _metric(record: MetricRecord) -> dict[str, Any]:
    inner = {"epoch": record.epoch, "loss": record.loss, "progress": record.progress}
    return {"timestamp": record.timestamp, "iteration": record.iteration, "ml_metrics": inner}


def create_training(context: RequestContext) -> Response:
    """Check a training's settings and data, and put it into the queue."""
    body, runtime = context.fields(), context.runtime
    project_id = context.project_id(body)
    card = runtime.cards.get(read_base_model(body))
    if card is None:
        raise bad_request(
            f"prompt_tuning.base_model.model_id {shorten(read_base_model(body))} cannot be tuned here. These can: "
            f"{', '.join(sorted(runtime.cards))}.",
            "model_not_supported",
        )
    wanted = read_tuning_request(body, card, list(TASKS))
    data = _training_data(context, project_id, wanted.asset_id)
    rows = runtime.engine.check_training_data(card.model_id, data, wanted.settings)
    settings, replaced = wanted.settings, dict[str, Any]()
    if card.is_alias and not runtime.keep_settings:
        settings, replaced = replace_settings(card, wanted.settings, rows)
    request = wanted.body | ({LOCAL_RUNTIME: replaced} if replaced else {})
    training_id = str(uuid.uuid4())
    folder = runtime.jobs.folder(training_id)
    try:
        make_job_folder(folder, Job(card.source, card.model_id, data, settings))
        with runtime.database.transaction():
            tags = _tags(context, project_id, wanted.tags, wanted.name)
            training = runtime.trainings.create(training_id, project_id, wanted.name, wanted.description, tags, request)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    runtime.jobs.wake()
    notice = say_replaced(card.name, replaced)
    return context.answer({**training_document(context, training), **warnings_for(card, replaced=notice)}, 201)


def _training_data(context: RequestContext, project_id: str, asset_id: str) -> Path:
    asset = context.runtime.assets.get(project_id, asset_id)
    if asset is None:
        raise bad_request(
            f"This project has no data asset {shorten(asset_id)}: upload the training file and pass its id.",
            "training_data_not_found",
        )
    complete = [item for item in context.runtime.assets.attachments(asset) if item.complete]
    if not complete:
        raise bad_request(
            f"The data asset {shorten(asset.name)} has no file: upload it again.", "training_data_not_found"
        )
    return context.runtime.assets.blob(complete[0].id)


def _tags(context: RequestContext, project_id: str, given: list[str], name: str) -> list[str]:
    """Give the tags, of which the second names the experiment asset; trainings of one group share it."""
    tags = ["prompt_tuning", *(tag for tag in given if tag != "prompt_tuning")]
    experiments = [tag for tag in tags if tag.startswith(f"{EXPERIMENT}.")]
    if not experiments:
        experiments = [f"{EXPERIMENT}.{context.runtime.assets.create(project_id, name, EXPERIMENT).id}"]
    return [tags[0], *experiments, *(tag for tag in tags[1:] if tag not in experiments)]


def _find(context: RequestContext) -> Training:
    training = context.runtime.trainings.get(context.project_id(), context.path("training_id"))
    if training is None:
        raise not_found("This project has no training of this id: experiment.runs.list() shows those it has.")
    return training


def get_training(context: RequestContext) -> Response:
    """Give one training."""
    return context.answer(training_document(context, _find(context)))


def list_trainings(context: RequestContext) -> Response:
    """List a project's trainings, newest first: all, or those in a state, of a kind, with tags."""
    state, tags = context.query_choice("state", STATES), context.query_tags()
    # Whatever else can be trained on the hosted service is not here.
    is_kind = context.query("type") in (None, TYPE) and context.query("training_definition_id") is None
    for name in ("total_count", "summary"):  # the count is always there, and documents have no summary
        context.query_flag(name)
    shown_state = context.runtime.trainings.shown_states()

    def is_wanted(training: Training) -> bool:
        return is_kind and state in (None, shown_state(training)) and has_tags(training.tags, tags)

    limit, start = context.page()
    filters = not is_kind or state is not None or bool(tags)  # else a page need not look through all
    trainings, total = context.runtime.trainings.page(
        context.project_id(), limit, start, is_wanted if filters else None
    )
    return context.listing([training_document(context, training, shown_state) for training in trainings], total)


def delete_training(context: RequestContext) -> Response:
    """Cancel a training, or with ``hard_delete`` delete its record, too."""
    training = _find(context)
    if context.query_flag("hard_delete"):
        remove_training(context.runtime, training.id)
        return no_content()
    if not context.runtime.trainings.cancel(training.id):
        state = (context.runtime.trainings.find(training.id) or training).state
        # The SDK looks for these words and takes the answer for a success.
        raise bad_request(f"Job already completed with state {state}. Pass hard_delete=True to delete its record.")
    context.runtime.jobs.end(training.id)
    return no_content()


OPERATIONS = [
    Operation(
        "POST",
        "/ml/v4/trainings",
        create_training,
        "Start a prompt tuning",
        fields=TUNING_FIELDS,
        ignored=TUNING_IGNORED,
        heavy=True,
        differs="auto_update_model must be true, and left out it is false; results_reference may be left out, its type "
        "is container or fs; num_virtual_tokens, seed and max_gradient_norm are accepted; init_text without "
        "init_method is started from; rows longer than max_input_tokens are left out, not cut; the data is checked at "
        "once; under an alias learning_rate, num_epochs, batch_size and accumulate_steps are replaced by what suits "
        "the model that is there, unless the runtime serves with --keep-settings",
    ),
    Operation(
        "GET",
        "/ml/v4/trainings",
        list_trainings,
        "List trainings",
        query=(
            *("project_id", "state", "type", "tag.value", "training_definition_id", "total_count", "summary"),
            *PAGE,
        ),
        differs="total_count is answered whether it is asked for or not",
    ),
    Operation("GET", "/ml/v4/trainings/{training_id}", get_training, "Get a training"),
    Operation(
        "DELETE",
        "/ml/v4/trainings/{training_id}",
        delete_training,
        "Cancel or delete a training",
        query=("project_id", "hard_delete"),
    ),
]
NOT_OFFERED = ("WebSocket /ml/v4/trainings/{training_id}",)
