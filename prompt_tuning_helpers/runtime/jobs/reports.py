"""What jobs have reported so far, remembered, so that a look at many trainings reads only what is new."""

import threading
from dataclasses import dataclass
from pathlib import Path

from ...engine.job_folder import METRICS, RowCounts
from ...engine.metrics import MetricRecord, MetricsReader
from ...engine.verdict import Verdict

MOST_RECORDS = 400_000  # remembered of all jobs together; one takes about 250 bytes


@dataclass(frozen=True)
class Report:
    """What a job has reported.

    Args:
        metrics: a record per step, in order.
        row_counts: of its training file; ``None`` before the job has counted.
        verdict: that nothing shows that it has learnt; ``None`` if it has, or has not ended.
    """

    metrics: list[MetricRecord]
    row_counts: RowCounts | None
    verdict: Verdict | None = None


class Reports:
    """The reports of all jobs. What was not looked at for longest is forgotten, and read again when needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[Path, MetricsReader] = {}  # the one that was used last comes last
        self._known = 0  # records of all readers
        self._row_counts: dict[Path, RowCounts] = {}

    def read(self, folder: Path) -> Report:
        """Read what the job in a folder has reported so far; nothing if the folder cannot be read."""
        with self._lock:
            reader = self._readers.pop(folder, None) or MetricsReader(folder / METRICS)
            self._readers[folder] = reader
            self._known -= reader.known
            try:
                metrics = reader.read()
            except OSError:
                metrics = []
            self._known += reader.known
            self._limit()
            counts = self._row_counts.get(folder) or RowCounts.read(folder)
            if counts is not None:
                self._row_counts[folder] = counts  # a job always finds the same
            return Report(metrics, counts, Verdict.read(folder))

    def forget(self, folder: Path) -> None:
        """Forget a job whose folder is deleted."""
        with self._lock:
            if reader := self._readers.pop(folder, None):
                self._known -= reader.known
            self._row_counts.pop(folder, None)

    def _limit(self) -> None:
        while self._known > MOST_RECORDS and len(self._readers) > 1:
            oldest = next(iter(self._readers))
            self._known -= self._readers.pop(oldest).known
