"""A job's ``metrics.jsonl``: a record after each step of the tuning, one line of JSON each."""

import json
import math
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from .._files import write_file


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """What a job reports after a step.

    Args:
        timestamp: when, as ``2026-01-01T00:00:00.123Z``.
        iteration: steps done so far, counted over the whole run.
        epoch: the epoch that the step belongs to, from 0.
        loss: of the step's rows, in nats.
        progress: the part of the run that is done, from 0 to 1.
    """

    timestamp: str
    iteration: int
    epoch: int
    loss: float
    progress: float

    @classmethod
    def parse(cls, line: bytes) -> "MetricRecord | None":
        """Read a line; ``None`` for one that is damaged, or only partly written."""
        try:
            values = json.loads(line)
            names = ("timestamp", "iteration", "epoch", "loss", "progress")
            timestamp, iteration, epoch, loss, progress = (values[name] for name in names)
            sound = (
                isinstance(timestamp, str)
                and timestamp.isascii()
                and isinstance(iteration, int)
                and isinstance(epoch, int)
                and all(isinstance(number, int | float) for number in (loss, progress))
                and all(map(math.isfinite, (iteration, epoch, loss, progress)))
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        return cls(timestamp, iteration, epoch, loss, progress) if sound else None

    def to_line(self) -> bytes:
        """Write the record as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"


class MetricsWriter:
    """Appends a job's metrics to its file.

    Args:
        path: the file; what it says of steps that are to be done again is dropped, and what nobody can read.
        done: number of steps that the job has behind it.

    Raises:
        OSError: if the file cannot be read or written.
    """

    def __init__(self, path: Path, done: int) -> None:
        self._path = path
        kept = [record for record in MetricsReader(path).read() if record.iteration <= done]
        kept.sort(key=lambda record: record.iteration)
        write_file(path, b"".join(record.to_line() for record in kept))

    def append(self, iteration: int, epoch: int, loss: float, progress: float) -> None:
        """Append a step's record, with the time.

        Args:
            iteration: steps done so far.
            epoch: the epoch of the step, from 0.
            loss: of the step's rows, in nats.
            progress: the part of the run that is done, from 0 to 1.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._path.open("ab") as file:
            file.write(MetricRecord(now, iteration, epoch, loss, progress).to_line())


class MetricsReader:
    """Reads a job's metrics while they grow: each time it decodes only what is new. Not for several threads at once.

    Args:
        path: the file; it may not be there yet, and is replaced when the job is resumed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._offset = 0
        self._last_line = b""
        self._records: list[MetricRecord] = []

    @property
    def known(self) -> int:
        """Number of records that are remembered."""
        return len(self._records)

    def read(self) -> list[MetricRecord]:
        """Give all records so far; a line that is damaged, or only partly written, is left out.

        Raises:
            OSError: if there is a file that cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                file.seek(self._offset - len(self._last_line))
                # A new file may be given the old one's inode, but its lines have other times, or stand elsewhere.
                if file.read(len(self._last_line)) != self._last_line or inode != self._inode:
                    self._start_again(inode)
                    file.seek(0)
                *lines, partial = file.read().split(b"\n")
        except FileNotFoundError:
            self._start_again(None)
            return []
        for line in lines:
            _append(self._records, line)
            self._last_line = line + b"\n"
            self._offset += len(self._last_line)
        records = self._records.copy()
        _append(records, partial)  # the last line of a file that was repaired by hand may have no end
        return records

    def _start_again(self, inode: int | None) -> None:
        self._inode = inode
        self._offset = 0
        self._last_line = b""
        self._records = []


def _append(records: list[MetricRecord], line: bytes) -> None:
    """Append a line's record, if it has one; it replaces an earlier one of the same step.

    Earlier versions wrote two records after a step that was an epoch of its own, the first of them backdated.
    """
    record = MetricRecord.parse(line)
    if record is None:
        return
    if records and records[-1].iteration == record.iteration:
        records.pop()
    records.append(record)
