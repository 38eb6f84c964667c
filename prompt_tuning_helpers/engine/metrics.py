"""A job's ``metrics.jsonl``: the loss after each update, a line of JSON each."""

import json
import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tune import Progress


class Metrics:
    """Writes a job's metrics; an epoch has two lines at least, which its duration needs.

    Args:
        path: the file; what it says of updates that are to be done again is dropped, and what nobody can read.
        done: updates that the job has behind it.
    """

    def __init__(self, path: Path, done: int) -> None:
        self._path = path
        kept = [record for record in read_metrics(path) if record["iteration"] <= done]
        kept.sort(key=lambda record: int(record["iteration"]))
        rewritten = path.with_suffix(".new")
        rewritten.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
        rewritten.replace(path)
        self._started = _now()

    def append(self, progress: "Progress") -> None:
        """Note an update."""
        record = {
            "timestamp": _now(),
            "iteration": progress.step,
            "epoch": progress.epoch,
            "loss": progress.loss,
            "progress": progress.step / progress.steps,
        }
        records = [record]
        if progress.steps_per_epoch == 1:
            records.insert(0, record | {"timestamp": self._started})
        self._started = str(record["timestamp"])
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(r) + "\n" for r in records))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records in a file; a line that is none, or that is being written, is left out.

    Raises:
        OSError: when there is a file that cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [record for record in map(_read_record, lines) if record is not None]


def _read_record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        numbers = [record[name] for name in ("iteration", "epoch", "loss", "progress")]
        sound = (
            isinstance(record["iteration"], int)
            and all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
            and isinstance(record["timestamp"], str)
            and record["timestamp"].isascii()
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return record if sound else None


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
