"""The metrics of a tuning run, read out of its details whatever is missing there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One report of a run; what it does not say, or says in an odd way, is ``None``.

    Args:
        epoch: counted from 0.
        loss: of the last steps.
        progress: the part of the run that is done, from 0 to 1.
    """

    epoch: int | None
    loss: float | None
    progress: float | None


def metrics_of(details: Mapping[str, Any]) -> list[Metric]:
    """Read the metrics of a run, in either of the two forms that the service has for them.

    Args:
        details: as the SDK gives them, with or without metrics.
    """
    records = _part(details, "entity", "status").get("metrics")
    return [_metric(record) for record in records if isinstance(record, Mapping)] if isinstance(records, list) else []


def epochs_of(details: Mapping[str, Any]) -> int | None:
    """Read how many epochs a run has; the local runtime may run others than were asked for.

    Args:
        details: as the SDK gives them.
    """
    asked = _part(details, "entity", "prompt_tuning").get("num_epochs")
    epochs = _number(_part(details, "entity", "local_runtime", "used").get("num_epochs", asked))
    return int(epochs) if epochs and epochs >= 1 else None


def cost_of_guessing(details: Mapping[str, Any]) -> float | None:
    """Read what the loss would be of giving each label as often as it occurs; only the local runtime says so.

    Args:
        details: as the SDK gives them.

    Returns:
        The loss in nats; ``None`` where it is not said, or where the outputs are no labels.
    """
    cost = _number(_part(details, "entity", "status", "rows").get("cost_of_guessing"))
    return cost if cost and cost > 0 else None


def _metric(record: Mapping[str, Any]) -> Metric:
    values = _part(record, "ml_metrics") or _part(record, "data")
    epoch = _number(values.get("epoch"))
    progress = _number(values.get("progress"))
    return Metric(
        epoch=None if epoch is None or epoch < 0 else int(epoch),
        loss=_number(values["loss"] if "loss" in values else values.get("value")),
        progress=None if progress is None else min(1.0, max(0.0, progress)),
    )


def _part(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    part: Any = document
    for name in path:
        part = part.get(name) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
