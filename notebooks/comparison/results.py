"""The stored results of the comparison: one small JSON file a job, with the settings that made it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .plan import FULL, FULL_FINE_TUNING, Job, Method, Plan, measurement, rows_of, search_of, searches

CONFIDENCE = 0.95
RESAMPLES = 2000

Result = dict[str, Any]


@dataclass(frozen=True)
class Store:
    """A folder of results.

    Args:
        folder: where they are.
    """

    folder: Path

    def get(self, job: Job) -> Result | None:
        """The result of a job; ``None`` if there is none, or if other settings made it."""
        path = self._path(job)
        if not path.is_file():
            return None
        stored = json.loads(path.read_text(encoding="utf-8"))
        result: Result = stored["result"]
        return result if stored["settings"] == job.settings else None

    def put(self, job: Job, result: Result) -> None:
        """Keep a result, whole or not at all."""
        path = self._path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"settings": job.settings, "result": result}, indent=1) + "\n", encoding="utf-8")
        new.replace(path)

    def _path(self, job: Job) -> Path:
        return self.folder / f"{job.name}.json"


def missing(plan: Plan, store: Store) -> list[Job]:
    """The jobs that can be run now and have no result: the searches first, then what they allow to measure."""
    jobs = [job for job in searches(plan) if store.get(job) is None]
    return jobs + [job for *_, job in _measurements(plan, store) if store.get(job) is None]


def _measurements(plan: Plan, store: Store) -> Iterator[tuple[Method, int, int, Job]]:
    """Method, rows, seed and job of all whose search is done; the first seed of all methods, then the next."""
    for seed in plan.seeds:
        for method in plan.methods:
            if found := store.get(search_of(plan, method, seed)):
                for rows in rows_of(plan, method):
                    yield method, rows, seed, measurement(plan, method, rows, seed, found["chosen"])


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
        accuracies: of each seed.
        hits: for each seed, whether each test review was answered rightly.
        trained_parameters: how many numbers were learnt.
        saved_bytes: what has to be kept beside the base model.
        tuning_seconds: mean, of one processor core.
        peak_memory_mb: mean, of the process up to the end of training.
        scoring_ms: mean, for each review, of one processor core.
    """

    method: Method
    rows: int
    chosen: tuple[str, ...]
    accuracy: float
    accuracy_interval: tuple[float, float]
    f1: float
    f1_interval: tuple[float, float]
    accuracies: tuple[float, ...]
    hits: tuple[tuple[bool, ...], ...]
    trained_parameters: int
    saved_bytes: int
    tuning_seconds: float
    peak_memory_mb: float
    scoring_ms: float


@dataclass(frozen=True)
class Searched:
    """What a search found on training rows that were held back.

    Args:
        method: whose candidates were tried.
        scores: accuracy and loss of each candidate.
        chosen: the best candidate.
    """

    method: Method
    scores: dict[str, dict[str, float]]
    chosen: str


@dataclass(frozen=True)
class Comparison:
    """All that was measured.

    Args:
        plan: what was to be measured.
        searched: one for each search, in the plan's order.
        measured: by method and number of rows, in the plan's order.
        opened: what was seen inside the soft prompt that the plan names.
    """

    plan: Plan
    searched: tuple[Searched, ...]
    measured: tuple[Measured, ...]
    opened: Result

    @property
    def base_parameters(self) -> int:
        """How many parameters the base model has: full fine-tuning trains all of them."""
        return next(m.trained_parameters for m in self.measured if m.method.family == FULL_FINE_TUNING)

    @property
    def at_most_rows(self) -> list[Measured]:
        """What each method gave on the largest number of rows."""
        return [found for found in self.measured if found.rows == self.plan.rows[-1]]

    def of(self, method: str, rows: int | None = None) -> Measured:
        """What one method gave on so many rows, or else on the most."""
        wanted = rows or self.plan.rows[-1]
        return next(found for found in self.measured if found.method.name == method and found.rows == wanted)


def load(folder: str | Path, plan: Plan = FULL) -> Comparison:
    """Read the stored results.

    Args:
        folder: where they are.
        plan: what they have to be of.

    Raises:
        LookupError: if a result is missing, or was made with other settings than those in force now.
    """
    store = Store(Path(folder))
    lacking = [job.name for job in missing(plan, store)]
    if lacking:
        shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise LookupError(
            f"These results are missing or were made with other settings: {shown}. Run `make compare`; it computes "
            "what is lacking and keeps the rest."
        )
    groups: dict[tuple[str, int], list[tuple[Method, Job, Result]]] = {}
    for method, rows, _, job in _measurements(plan, store):
        groups.setdefault((method.name, rows), []).append((method, job, store.get(job) or {}))
    opened = [result["opened"] for group in groups.values() for _, _, result in group if "opened" in result]
    measured = [_together(rows, group) for (_, rows), group in groups.items()]
    return Comparison(plan, tuple(_found(plan, store)), tuple(measured), opened[0])


def _found(plan: Plan, store: Store) -> Iterator[Searched]:
    for job in searches(plan):
        result = store.get(job) or {}
        yield Searched(plan.method(job.settings["method"]["name"]), result["scores"], result["chosen"])


def difference(first: Measured, second: Measured) -> tuple[float, tuple[float, float]]:
    """How much more accurate the first is than the second, with its interval; see ``interval``.

    Both are resampled together, since they learnt from the same draws of rows and answered the same reviews. That
    tells more than a look at whether two intervals overlap.
    """

    def score(hits: Any, other_hits: Any) -> Any:
        return hits.mean() - other_hits.mean()

    hits, other_hits = np.array(first.hits), np.array(second.hits)
    return float(score(hits, other_hits)), interval(score, hits, other_hits)


def _together(rows: int, group: list[tuple[Method, Job, Result]]) -> Measured:
    results = [result for *_, result in group]
    right = np.array([[label == "1" for label in result["truth"]] for result in results])
    said = np.array([[label == "1" for label in result["answers"]] for result in results])

    def mean(name: str) -> float:
        return float(np.mean([result[name] for result in results]))

    return Measured(
        method=group[0][0],
        rows=rows,
        chosen=tuple(job.settings["chosen"] for _, job, _ in group),
        accuracy=float(_accuracy(right, said)),
        accuracy_interval=interval(_accuracy, right, said),
        f1=float(_f1(right, said)),
        f1_interval=interval(_f1, right, said),
        accuracies=tuple((right == said).mean(axis=-1).tolist()),
        hits=tuple(map(tuple, (right == said).tolist())),
        trained_parameters=results[0]["trained_parameters"],
        saved_bytes=results[0]["saved_bytes"],
        tuning_seconds=mean("tuning_seconds"),
        peak_memory_mb=mean("peak_memory_mb"),
        scoring_ms=mean("scoring_ms"),
    )


def interval(score: Any, right: Any, said: Any, seed: int = 0) -> tuple[float, float]:
    """A 95 % percentile interval from resampling both the seeds and the reviews (Efron and Tibshirani, 1993, ch. 13).

    So it holds both what another seed would change and what other test reviews would. It is approximate: from three
    seeds, resampling sees too little of how much they differ.

    Args:
        score: of arrays like the next two, the mean over their seeds.
        right: ``[seeds, reviews]``, whether each review is positive.
        said: ``[seeds, reviews]``, whether it was taken for positive.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    seeds, reviews = right.shape
    scores = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, seeds, seeds)[:, None]
        columns = generator.integers(0, reviews, reviews)
        scores.append(score(right[rows, columns], said[rows, columns]))
    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _accuracy(right: Any, said: Any) -> Any:
    return (right == said).mean()


def _f1(right: Any, said: Any) -> Any:
    hits = (right & said).sum(axis=-1)
    mentions = right.sum(axis=-1) + said.sum(axis=-1)
    return np.divide(2 * hits, mentions, out=np.zeros(len(hits)), where=mentions > 0).mean()
