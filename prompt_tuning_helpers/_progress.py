"""How far a tuning run is, as one line."""

import time
from collections.abc import Iterable
from typing import Any, TypeVar

from ._metrics import epochs_of, metrics_of
from .i18n import say

Number = TypeVar("Number", int, float)


class Meter:
    """Turns the details of a run into one line of progress."""

    def __init__(self) -> None:
        self._started: tuple[float, float] | None = None

    def text(self, details: dict[str, Any], now: float | None = None) -> str:
        """Make the line.

        Args:
            details: of the run.
            now: seconds on any steady clock; for tests.
        """
        from tqdm import tqdm

        epoch, loss, done = progress_of(details)
        if done is None:
            return say("State of the run: {state} ...", state=details["entity"]["status"]["state"])
        now = time.monotonic() if now is None else now
        if self._started is None:
            self._started = (now, done)
        since, first = self._started
        epochs = epochs_of(details) or "?"
        return str(
            tqdm.format_meter(
                n=done * 100,
                total=100,
                elapsed=now - since,
                initial=first * 100,
                ncols=100,
                prefix=say("Epoch {epoch} of {epochs}, loss {loss:.3f}", epoch=epoch, epochs=epochs, loss=loss),
                bar_format="{desc}: {percentage:3.0f}%|{bar}| " + say("{{remaining}} left"),
            )
        )


def progress_of(details: dict[str, Any]) -> tuple[int, float, float | None]:
    """Read the progress out of a run's details.

    Args:
        details: as the SDK gives them, with or without metrics.

    Returns:
        Current epoch, counted from 1; latest loss; the part of the run that is done, ``None`` before the first
        metric. A service that does not report the part is taken at its epochs.
    """
    metrics = metrics_of(details)
    if not metrics:
        return 1, float("nan"), None
    epoch = _latest(metric.epoch for metric in metrics) or 0
    loss = _latest(metric.loss for metric in metrics)
    done = _latest(metric.progress for metric in metrics)
    if done is None:
        done = min(1.0, epoch / (epochs_of(details) or epoch + 1))
    return epoch + 1, float("nan") if loss is None else loss, done


def _latest(values: Iterable[Number | None]) -> Number | None:
    """Give the last value that is known."""
    known = [value for value in values if value is not None]
    return known[-1] if known else None
