"""Reads a training's request: what it asks for, with the service's defaults for what it leaves out."""

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from ...engine import ModelCard, TuningSettings
from ..http.errors import bad_request
from ..http.fields import read_flag, read_integer, read_number, read_object, read_text, read_texts, required, show

MOST = 100_000
INIT_METHODS = ("text", "random")


@dataclass(frozen=True)
class TuningRequest:
    """A training request that was checked.

    Args:
        asset_id: the training data.
        settings: how to tune.
        body: the request with the settings that were left out filled in, as clients see it again.
    """

    name: str
    description: str
    tags: list[str]
    asset_id: str
    settings: TuningSettings
    body: dict[str, Any]


def read_base_model(body: dict[str, Any]) -> str:
    """The id of the base model that a training request asks for."""
    tuning = required(read_object(body, "prompt_tuning"), "prompt_tuning")
    base_model = required(read_object(tuning, "base_model", "prompt_tuning."), "prompt_tuning.base_model")
    name = "prompt_tuning.base_model.model_id"
    return required(read_text(base_model, "model_id", "prompt_tuning.base_model."), name)


def read_tuning_request(body: dict[str, Any], card: ModelCard, tasks: list[str]) -> TuningRequest:
    """Check a training request.

    Args:
        body: the request.
        card: the base model that it asks for.
        tasks: the tasks there are.

    Raises:
        ApiError: 400 for the first thing that is wrong.
    """
    tuning = required(read_object(body, "prompt_tuning"), "prompt_tuning")
    asset_id, reference = _read_data_reference(body)
    results = read_object(body, "results_reference") or {}
    location = read_object(results, "location", "results_reference.") or {}
    path = read_text(location, "path", "results_reference.location.") or "default_tuning_output"
    if read_flag(body, "auto_update_model") is False:
        raise bad_request(
            "auto_update_model=False is not offered here, because storing the model later needs object storage: "
            "leave it True."
        )
    tuning_type = read_text(tuning, "tuning_type", "prompt_tuning.") or "prompt_tuning"
    if tuning_type != "prompt_tuning":
        raise bad_request(f"prompt_tuning.tuning_type must be prompt_tuning; it is {show(tuning_type)}.")
    task_id = read_text(tuning, "task_id", "prompt_tuning.")
    if task_id is not None and task_id not in tasks:
        raise bad_request(f"prompt_tuning.task_id must be one of {', '.join(tasks)}; it is {show(task_id)}.")
    settings = _read_settings(tuning, card)
    shown = {name: value for name, value in asdict(settings).items() if value is not None}
    if task_id is not None:
        shown["task_id"] = task_id
    shown.update(base_model={"model_id": card.model_id}, tuning_type=tuning_type)
    return TuningRequest(
        name=required(read_text(body, "name", longest=255), "name"),
        description=read_text(body, "description", longest=10_000) or "",
        tags=read_texts(body, "tags"),
        asset_id=asset_id,
        settings=settings,
        body={
            "prompt_tuning": dict(sorted(shown.items())),
            "training_data_references": [reference],
            "results_reference": {"type": str(results.get("type", "container"))[:100], "path": path},
        },
    )


def _read_data_reference(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    references = body.get("training_data_references")
    if not isinstance(references, list) or len(references) != 1 or not isinstance(references[0], dict):
        raise bad_request("training_data_references must be a list of one object: a data asset with the training rows.")
    where = "training_data_references[0]."
    kind = read_text(references[0], "type", where)
    if kind != "data_asset":
        raise bad_request(f"{where}type must be data_asset: upload the file and pass its id; it is {show(kind)}.")
    location = required(read_object(references[0], "location", where), f"{where}location")
    asset_id = read_text(location, "id", f"{where}location.")
    href = read_text(location, "href", f"{where}location.") or ""
    if asset_id is None:
        try:
            asset_id = urlsplit(href).path.rsplit("/", 1)[-1]
        except ValueError:
            asset_id = ""
    asset_id = required(asset_id, f"{where}location.id")
    shown = {"id": asset_id, "href": href or f"/v2/assets/{asset_id}"}
    return asset_id, {"connection": {}, "location": shown, "type": kind}


def _read_settings(tuning: dict[str, Any], card: ModelCard) -> TuningSettings:
    where, defaults, longest = "prompt_tuning.", card.defaults, card.max_sequence_length

    def whole(name: str, least: int, most: int) -> int:
        value = read_integer(tuning, name, least, most, where)
        return int(getattr(defaults, name)) if value is None else value

    init_text = read_text(tuning, "init_text", where, 20_000)
    init_method = read_text(tuning, "init_method", where) or defaults.init_method
    if init_method not in INIT_METHODS:
        raise bad_request(f"{where}init_method must be one of {', '.join(INIT_METHODS)}; it is {show(init_method)}.")
    if init_method == "text":
        init_text = required(init_text or defaults.init_text, f"{where}init_text, which init_method text needs,")
    verbalizer = read_text(tuning, "verbalizer", where, 20_000) or defaults.verbalizer
    if "{{input}}" not in verbalizer:
        raise bad_request(
            f"{where}verbalizer must contain {{{{input}}}}, where each row's input goes; it is {show(verbalizer)}."
        )
    learning_rate = read_number(tuning, "learning_rate", 100, where)
    return TuningSettings(
        num_virtual_tokens=whole("num_virtual_tokens", 1, longest),
        init_method=init_method,
        init_text=init_text,
        learning_rate=defaults.learning_rate if learning_rate is None else learning_rate,
        num_epochs=whole("num_epochs", 1, MOST),
        batch_size=whole("batch_size", 1, MOST),
        accumulate_steps=whole("accumulate_steps", 1, MOST),
        max_input_tokens=whole("max_input_tokens", 1, longest),
        max_output_tokens=whole("max_output_tokens", 1, longest),
        verbalizer=verbalizer,
        seed=whole("seed", 0, 2**31 - 1),
    )
