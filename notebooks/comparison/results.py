"""The stored results as the notebook shows them: the seeds of each method together, with intervals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prompt_tuning_helpers.engine.training_file import parse_rows
from prompt_tuning_helpers.evaluation import LABELS

from .intervals import f1, f1_interval, mean_interval
from .methods import Candidate, FullFineTuning, Method, Recipe
from .plan import DATA, FULL, TEST_FILES, AnsweringCost, Job, Measurement, Opening, Plan, TuningCost
from .search import Score
from .store import Result, Store


@dataclass(frozen=True)
class Searched:
    """What a search found on training rows that were held back.

    Args:
        method: that it was for.
        rows: training rows.
        seed: the seed.
        scores: of each candidate that was tried, in this order.
        chosen: the best candidate.
    """

    method: Method
    rows: int
    seed: int
    scores: dict[Candidate, Score]
    chosen: Candidate


@dataclass(frozen=True)
class Machine:
    """What results were computed on.

    Args:
        cpu: the processor's model.
        threads: that each job computed on.
        device: the GPU's model, or ``"cpu"``.
        numbers: their format.
    """

    cpu: str
    threads: int
    device: str
    numbers: str


@dataclass(frozen=True)
class Cost:
    """What a method costs with the most training rows, on one processor core.

    Args:
        trained_parameters: how many numbers are learnt.
        saved_bytes: what has to be kept beside the base model.
        update_seconds: of a few updates, each; none where nothing is tuned.
        updates: in a whole run.
        tuning_memory_mb: peak of the process that tunes; ``None`` where nothing is tuned.
        review_seconds: per review, of a few groups of reviews, each.
        answering_memory_mb: peak of a process that only answers.
    """

    trained_parameters: int
    saved_bytes: int
    update_seconds: tuple[float, ...]
    updates: int
    tuning_memory_mb: float | None
    review_seconds: tuple[float, ...]
    answering_memory_mb: float

    @property
    def tuning_seconds(self) -> float:
        """Of a whole run."""
        return float(np.mean(self.update_seconds)) * self.updates if self.updates else 0.0

    @property
    def each_tuning_seconds(self) -> tuple[float, ...]:
        """Of a whole run, by each of the timed updates."""
        return tuple(seconds * self.updates for seconds in self.update_seconds)

    @property
    def scoring_ms(self) -> float:
        """Milliseconds per review."""
        return 1000 * float(np.mean(self.review_seconds))


@dataclass(frozen=True)
class Measured:
    """What the seeds of one method and number of rows gave together.

    Args:
        method: the method.
        rows: training rows.
        chosen: by the search, for each seed.
        accuracy: mean over the seeds, of choosing the likelier of two words.
        accuracy_interval: see ``intervals``.
        f1: mean over the seeds, of the positive label.
        f1_interval: likewise.
        hits: for each seed, whether each test review was answered rightly.
        written: what is written freely, for each seed and test review: a label, or ``"-"`` for none.
        written_accuracy: mean over the seeds; an answer without a label is wrong.
        written_interval: likewise.
        written_hits: as ``hits``.
        cost: with the most training rows; ``None`` for fewer.
    """

    method: Method
    rows: int
    chosen: tuple[Candidate, ...]
    accuracy: float
    accuracy_interval: tuple[float, float]
    f1: float
    f1_interval: tuple[float, float]
    hits: tuple[tuple[bool, ...], ...]
    written: tuple[str, ...]
    written_accuracy: float
    written_interval: tuple[float, float]
    written_hits: tuple[tuple[bool, ...], ...]
    cost: Cost | None

    @property
    def passes(self) -> int | None:
        """Over the training rows, of the run whose cost was measured; ``None`` if the method makes none."""
        first = self.chosen[0]
        return first.epochs if self.method.is_tuned and isinstance(first, Recipe) else None

    @property
    def each_pass(self) -> tuple[float, ...]:
        """Seconds of one pass, by each of the timed updates."""
        if self.cost is None or self.passes is None:
            return ()
        return tuple(seconds / self.passes for seconds in self.cost.each_tuning_seconds)

    @property
    def pass_seconds(self) -> float | None:
        """Of one pass; ``None`` if the method makes none."""
        return float(np.mean(self.each_pass)) if self.each_pass else None


@dataclass(frozen=True)
class Comparison:
    """All that was measured.

    Args:
        plan: what was to be measured.
        searched: one for each search, in the plan's order.
        measured: by method and number of rows, in the plan's order.
        opened: what was seen inside the soft prompt that the plan names.
        reviews: the test reviews, in the order of the answers: ``file``, ``output`` and ``phenomenon`` of each.
        machines: that accuracies were computed on, each with the number of measurements, the most first.
        timed_on: likewise for the costs.
    """

    plan: Plan
    searched: tuple[Searched, ...]
    measured: tuple[Measured, ...]
    opened: Result
    reviews: tuple[dict[str, str], ...]
    machines: tuple[tuple[Machine, int], ...]
    timed_on: tuple[tuple[Machine, int], ...]

    @property
    def base_parameters(self) -> int:
        """How many parameters the base model has: full fine-tuning trains all of them."""
        costs = (found.cost for found in self.measured if isinstance(found.method, FullFineTuning))
        return next(cost.trained_parameters for cost in costs if cost)

    @property
    def with_all_rows(self) -> list[Measured]:
        """What each method gave on the largest number of rows."""
        return [found for found in self.measured if found.rows == self.plan.rows[-1]]

    def of(self, method: str, rows: int | None = None) -> Measured:
        """Find what one method gave on so many rows, or else on the most."""
        wanted = rows or self.plan.rows[-1]
        return next(found for found in self.measured if found.method.name == method and found.rows == wanted)

    def cost(self, method: str) -> Cost:
        """Find what one method costs with the most rows."""
        cost = self.of(method).cost
        assert cost is not None
        return cost


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
    lacking = [job.name for jobs in (store.accuracy_jobs, store.cost_jobs) for job in store.missing(jobs)]
    if lacking:
        shown = "; ".join(lacking[:3]) + (f"; and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise LookupError(
            f"These results are missing or were made with other settings: {shown}. Run `make compare`; it computes "
            "what is lacking and keeps the rest."
        )
    jobs = list(store.measurements())
    reviews = read_reviews(plan)
    measured = []
    for method in plan.methods:
        for rows in plan.rows_of(method):
            of_cell = [job for job in jobs if job.method == method and job.rows == rows]
            cost = _cost(store, of_cell[0]) if rows == plan.rows[-1] else None
            measured.append(_aggregate(of_cell, store, reviews, cost))
    (opened,) = (store.results[job.name] for job in store.accuracy_jobs() if isinstance(job, Opening))
    return Comparison(
        plan,
        searched=tuple(_searched(store, job) for job in jobs),
        measured=tuple(measured),
        opened=opened,
        reviews=reviews,
        machines=_machines(store, jobs),
        timed_on=_machines(store, store.cost_jobs()),
    )


def read_reviews(plan: Plan) -> tuple[dict[str, str], ...]:
    """Read of each test review in which file it stands, its label, and what makes it hard."""
    reviews = [
        {"file": name, "output": row["output"], "phenomenon": row["phenomenon"]}
        for name in TEST_FILES
        for row in parse_rows((DATA / name).read_bytes())
    ]
    return tuple(reviews[: plan.test_rows])


def _machines(store: Store, jobs: Sequence[Job]) -> tuple[tuple[Machine, int], ...]:
    return tuple(Counter(Machine(**store.results[job.name]["machine"]) for job in jobs).most_common())


def _searched(store: Store, job: Measurement) -> Searched:
    found = store.search(job.method, job.rows, job.seed)
    return Searched(job.method, job.rows, job.seed, found.scores, found.chosen)


def _cost(store: Store, job: Job) -> Cost:
    """Put together what tuning and answering of a method cost."""
    cell = job.method, job.rows, job.seed, job.candidate
    answering, tuning = store.results[AnsweringCost(*cell).name], store.get(TuningCost(*cell)) or {}
    return Cost(
        trained_parameters=tuning.get("trained_parameters", 0),
        saved_bytes=answering["saved_bytes"],
        update_seconds=tuple(tuning.get("update_seconds", ())),
        updates=tuning.get("updates", 0),
        tuning_memory_mb=tuning.get("peak_memory_mb"),
        review_seconds=tuple(answering["review_seconds"]),
        answering_memory_mb=answering["peak_memory_mb"],
    )


def _aggregate(
    seeds: list[Measurement], store: Store, reviews: Sequence[dict[str, str]], cost: Cost | None
) -> Measured:
    """Put together what the seeds of one method and number of rows gave; one seed stands for all that give the same."""
    results = [store.results[job.name] for job in seeds]
    times = len(store.plan.seeds) // len(seeds)
    results, chosen = results * times, [job.candidate for job in seeds] * times
    right = np.array([[review["output"] == LABELS[1] for review in reviews]] * len(results))
    said = np.array([result["margins"] for result in results]) > 0
    labels = np.array([[review["output"] for review in reviews]] * len(results))
    written = np.array([list(result["written"]) for result in results])
    hits, written_hits = right == said, labels == written
    return Measured(
        method=seeds[0].method,
        rows=seeds[0].rows,
        chosen=tuple(chosen),
        accuracy=float(hits.mean()),
        accuracy_interval=mean_interval(hits),
        f1=f1(right, said),
        f1_interval=f1_interval(right, said),
        hits=tuple(map(tuple, hits.tolist())),
        written=tuple(result["written"] for result in results),
        written_accuracy=float(written_hits.mean()),
        written_interval=mean_interval(written_hits),
        written_hits=tuple(map(tuple, written_hits.tolist())),
        cost=cost,
    )
