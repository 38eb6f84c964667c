"""The stored results as the notebook shows them: the seeds of each method together, with intervals."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prompt_tuning_helpers.evaluation import LABELS

from .intervals import accuracy, f1, interval
from .methods import Candidate, FullFineTuning, Method, candidate_as_json
from .plan import FULL, Measurement, Plan, Search
from .store import Result, Store


@dataclass(frozen=True)
class Score:
    """How well a candidate did in a search.

    Args:
        candidate: what was tried.
        accuracy: on training rows that were held back; 0 if training diverged.
        loss: likewise, in nats; infinite if training diverged.
    """

    candidate: Candidate
    accuracy: float
    loss: float

    @classmethod
    def of_diverged(cls, candidate: Candidate) -> "Score":
        """Give the worst score there is: training gave no numbers."""
        return cls(candidate, 0.0, math.inf)

    @property
    def diverged(self) -> bool:
        """Whether training gave no numbers."""
        return math.isinf(self.loss)

    def as_json(self) -> Result:
        """Give what stands for this in the file of results."""
        scores = {"diverged": True} if self.diverged else {"accuracy": self.accuracy, "loss": self.loss}
        return {"candidate": candidate_as_json(self.candidate)} | scores

    @classmethod
    def from_json(cls, method: Method, stored: Result) -> "Score":
        """Give the score that stands so in the file of results."""
        candidate = method.candidate(stored["candidate"])
        return (
            cls.of_diverged(candidate) if "diverged" in stored else cls(candidate, stored["accuracy"], stored["loss"])
        )


@dataclass(frozen=True)
class Searched:
    """What a search found on training rows that were held back.

    Args:
        method: whose candidates were tried.
        scores: of each candidate, in their order.
        chosen: the best candidate.
    """

    method: Method
    scores: tuple[Score, ...]
    chosen: Candidate


@dataclass(frozen=True)
class Machine:
    """What results were computed on.

    Args:
        cpu: the processor's model; ``None`` where it was not recorded.
        threads: that each job computed on.
    """

    cpu: str | None
    threads: int


@dataclass(frozen=True)
class Measured:
    """What the seeds of one method and number of rows gave together.

    Args:
        method: the method.
        rows: training rows.
        chosen: by the search, for each seed.
        accuracy: mean over the seeds.
        accuracy_interval: see ``interval``.
        f1: mean over the seeds, of the positive label.
        f1_interval: likewise.
        hits: for each seed, whether each test review was answered rightly.
        trained_parameters: how many numbers were learnt.
        saved_bytes: what has to be kept beside the base model.
        peak_memory_mb: mean, of the process up to the end of training.
        tuning_seconds: mean of one processor core; ``None`` if all seeds were computed on another machine than that
            of the comparison's times.
        scoring_ms: likewise, for each review.
    """

    method: Method
    rows: int
    chosen: tuple[Candidate, ...]
    accuracy: float
    accuracy_interval: tuple[float, float]
    f1: float
    f1_interval: tuple[float, float]
    hits: tuple[tuple[bool, ...], ...]
    trained_parameters: int
    saved_bytes: int
    peak_memory_mb: float
    tuning_seconds: float | None
    scoring_ms: float | None


@dataclass(frozen=True)
class Comparison:
    """All that was measured.

    Args:
        plan: what was to be measured.
        searched: one for each search, in the plan's order.
        measured: by method and number of rows, in the plan's order.
        opened: what was seen inside the soft prompt that the plan names.
        machines: that the measurements were made on, each with the number of them, the most first. Times are those of
            the first alone, since times of different machines cannot be compared.
    """

    plan: Plan
    searched: tuple[Searched, ...]
    measured: tuple[Measured, ...]
    opened: Result
    machines: tuple[tuple[Machine, int], ...]

    @property
    def base_parameters(self) -> int:
        """How many parameters the base model has: full fine-tuning trains all of them."""
        return next(m.trained_parameters for m in self.measured if isinstance(m.method, FullFineTuning))

    @property
    def with_all_rows(self) -> list[Measured]:
        """What each method gave on the largest number of rows."""
        return [found for found in self.measured if found.rows == self.plan.rows[-1]]

    def of(self, method: str, rows: int | None = None) -> Measured:
        """Find what one method gave on so many rows, or else on the most."""
        wanted = rows or self.plan.rows[-1]
        return next(found for found in self.measured if found.method.name == method and found.rows == wanted)


def load(path: str | Path, plan: Plan = FULL) -> Comparison:
    """Read the stored results.

    Args:
        path: of the file that holds them.
        plan: what they have to be of.

    Raises:
        LookupError: if a result is missing, or was made with other settings than those in force now.
        ValueError: if the file is damaged.
    """
    store = Store.read(Path(path), plan)
    lacking = [job.name for job in store.missing()]
    if lacking:
        shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise LookupError(
            f"These results are missing or were made with other settings: {shown}. Run `make compare`; it computes "
            "what is lacking and keeps the rest."
        )
    groups: dict[tuple[str, int], list[Measurement]] = {}
    for job in store.measurements():
        groups.setdefault((job.method.name, job.rows), []).append(job)
    results = [store.results[job.name] for job in store.measurements()]
    machines = Counter(Machine(**result["machine"]) for result in results).most_common()
    return Comparison(
        plan,
        searched=tuple(_searched(job, store.results[job.name]) for job in plan.searches()),
        measured=tuple(_aggregate(group, store, machines[0][0]) for group in groups.values()),
        opened=next(result["opened"] for result in results if "opened" in result),
        machines=tuple(machines),
    )


def _searched(job: Search, result: Result) -> Searched:
    scores = tuple(Score.from_json(job.method, score) for score in result["scores"])
    return Searched(job.method, scores, job.method.candidate(result["chosen"]))


def _aggregate(seeds: list[Measurement], store: Store, timed_on: Machine) -> Measured:
    """Put together what the seeds of one method and number of rows gave."""
    results = [store.results[job.name] for job in seeds]
    timed = [result for result in results if Machine(**result["machine"]) == timed_on]
    right, said = (
        np.array([[label == LABELS[1] for label in result[name]] for result in results])
        for name in ("truth", "answers")
    )
    return Measured(
        method=seeds[0].method,
        rows=seeds[0].rows,
        chosen=tuple(job.chosen for job in seeds),
        accuracy=float(accuracy(right, said)),
        accuracy_interval=interval(accuracy, right, said),
        f1=float(f1(right, said)),
        f1_interval=interval(f1, right, said),
        hits=tuple(map(tuple, (right == said).tolist())),
        trained_parameters=results[0]["trained_parameters"],
        saved_bytes=results[0]["saved_bytes"],
        peak_memory_mb=_mean(results, "peak_memory_mb"),
        tuning_seconds=_mean(timed, "tuning_seconds") if timed else None,
        scoring_ms=_mean(timed, "scoring_ms") if timed else None,
    )


def _mean(results: list[Result], name: str) -> float:
    return float(np.mean([result[name] for result in results]))


def difference(first: Measured, second: Measured) -> tuple[float, tuple[float, float]]:
    """Tell how much more accurate the first is than the second, with its interval; see ``interval``.

    Both are resampled together, since they learnt from the same draws of rows and answered the same reviews. That
    tells more than a look at whether two intervals overlap.
    """

    def score(hits: Any, other_hits: Any) -> Any:
        return hits.mean() - other_hits.mean()

    hits, other_hits = np.array(first.hits), np.array(second.hits)
    return float(score(hits, other_hits)), interval(score, hits, other_hits)
