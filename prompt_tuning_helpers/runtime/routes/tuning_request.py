"""Reads a training's request: what it asks for, with the service's defaults for what it leaves out."""

from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from ...engine import ModelCard, TuningSettings
from ..http.errors import bad_request
from ..http.fields import Fields, shorten

MOST = 100_000
INIT_METHODS = ("text", "random")
RESULT_TYPES = ("container", "fs")
TUNING_FIELDS = (
    *("name", "description", "tags", "project_id", "space_id", "auto_update_model"),
    *("training_data_references[].type", "training_data_references[].location.id"),
    *("training_data_references[].location.href", "results_reference.type", "results_reference.location.path"),
    *("prompt_tuning.base_model.model_id", "prompt_tuning.task_id", "prompt_tuning.tuning_type"),
    *(f"prompt_tuning.{field.name}" for field in fields(TuningSettings)),
)
TUNING_IGNORED = (
    *("custom", "test_data_references", "prompt_tuning.base_model.name", "results_reference.connection"),
    *("training_data_references[].connection", "training_data_references[].id", "training_data_references[].schema"),
)


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


def read_base_model(body: Fields) -> str:
    """Read the id of the base model that a training request asks for."""
    return body.required_object("prompt_tuning").required_object("base_model").required_text("model_id")


def read_tuning_request(body: Fields, card: ModelCard, tasks: list[str]) -> TuningRequest:
    """Check a training request.

    Args:
        body: the request.
        card: the base model that it asks for.
        tasks: the tasks there are.

    Raises:
        ApiError: 400 for the first thing that is wrong.
    """
    tuning = body.required_object("prompt_tuning")
    asset_id, data_reference = _read_data_reference(body)
    results_reference = _read_results_reference(body.object("results_reference"))
    if not body.flag("auto_update_model"):
        raise bad_request(
            "auto_update_model must be true; left out, it is false. Storing the model later is not offered here, "
            "because that needs object storage."
        )
    if tuning.text("tuning_type") not in (None, "", "prompt_tuning"):
        raise tuning.wrong("tuning_type", "prompt_tuning")
    task_id = tuning.choice("task_id", tasks)
    settings = _read_settings(tuning, card)
    return TuningRequest(
        name=body.required_text("name", 255),
        description=body.text("description", 10_000) or "",
        tags=body.texts("tags"),
        asset_id=asset_id,
        settings=settings,
        body={
            "prompt_tuning": _shown(settings, card, task_id),
            "training_data_references": [data_reference],
            "results_reference": results_reference,
        },
    )


def _shown(settings: TuningSettings, card: ModelCard, task_id: str | None) -> dict[str, Any]:
    """Say again what is tuned, and how, by name and without what is not set."""
    shown = {
        **asdict(settings),
        "task_id": task_id,
        "base_model": {"model_id": card.model_id},
        "tuning_type": "prompt_tuning",
    }
    return {name: shown[name] for name in sorted(shown) if shown[name] is not None}


def _read_results_reference(results: Fields) -> dict[str, str]:
    kind = results.text("type") or RESULT_TYPES[0]
    if kind not in RESULT_TYPES:
        raise results.wrong("type", f"{' or '.join(RESULT_TYPES)}, because results stay in the runtime's own folder")
    return {"type": kind, "path": results.object("location").text("path") or "default_tuning_output"}


def _read_data_reference(body: Fields) -> tuple[str, dict[str, Any]]:
    """Read the id of the one data asset, and the reference to it as clients see it again."""
    references = body.values.get("training_data_references")
    if not isinstance(references, list) or len(references) != 1 or not isinstance(references[0], dict):
        raise bad_request("training_data_references must be a list of one object: a data asset with the training rows.")
    reference = Fields(references[0], "training_data_references[0].")
    if reference.text("type") != "data_asset":
        raise reference.wrong("type", "data_asset: upload the file and pass its id")
    location = reference.required_object("location")
    asset_id, href = location.text("id"), location.text("href") or ""
    if asset_id is None:
        asset_id = _last_part(href)
    if not asset_id:
        raise location.missing("id")
    shown = {"id": asset_id, "href": href or f"/v2/assets/{asset_id}"}
    return asset_id, {"connection": {}, "location": shown, "type": "data_asset"}


def _last_part(href: str) -> str:
    try:
        return urlsplit(href).path.rsplit("/", 1)[-1]
    except ValueError:
        return ""


def _read_settings(tuning: Fields, card: ModelCard) -> TuningSettings:
    init_method, init_text = _read_start(tuning, card.defaults)
    defaults = card.defaults_from_text if init_method == "text" else card.defaults
    longest = card.max_sequence_length

    def whole(name: str, least: int, most: int) -> int:
        value = tuning.integer(name, least, most)
        return int(getattr(defaults, name)) if value is None else value

    verbalizer = _read_verbalizer(tuning, defaults)
    learning_rate = tuning.number("learning_rate", 100)
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
        max_gradient_norm=tuning.number("max_gradient_norm", 100),
    )


def _read_start(tuning: Fields, defaults: TuningSettings) -> tuple[str, str | None]:
    """Read where the soft prompt starts from: the method, and the text that one of the methods needs."""
    text = tuning.text("init_text", 20_000)
    method = tuning.choice("init_method", INIT_METHODS) or ("text" if text else defaults.init_method)
    if method != "text":
        return method, text
    text = text or defaults.init_text
    if not text:
        raise tuning.missing("init_text", ", which init_method text needs,")
    return method, text


def _read_verbalizer(tuning: Fields, defaults: TuningSettings) -> str:
    verbalizer = tuning.text("verbalizer", 20_000) or defaults.verbalizer
    if "{{input}}" not in verbalizer:
        raise bad_request(
            f"{tuning.where}verbalizer must contain {{{{input}}}}, where each row's input goes; it is "
            f"{shorten(verbalizer)}."
        )
    return verbalizer
