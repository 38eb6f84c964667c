"""The plan of the comparison: methods, amounts of data and seeds, and the jobs that fill its table.

Importing this module is cheap; it needs no torch.
"""

import hashlib
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from prompt_tuning_helpers.engine.sources import DEFAULT_SOURCE, TINY_SOURCE
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS

from .methods import METHODS, Candidate, GradientMethod, Method, Recipe

DATA = Path(__file__).parents[2] / "data"
TRAINING_FILE = "dog_grooming_reviews_train_data.json"
TRAINING_ROWS = 320  # in that file
TEST_FILES = ("dog_grooming_reviews_test_data.json", "dog_grooming_reviews_holdout_data.json")
BATCH_SIZE = LOCAL_SETTINGS.batch_size
WARM_UP_UPDATES, TIMED_UPDATES = 2, 10  # of a job that measures the cost of tuning


@dataclass(frozen=True)
class Job:
    """One thing to compute, of one candidate of a method.

    Args:
        method: whose candidate.
        rows: how many training rows it learns from.
        seed: which of them, and what else is random.
        candidate: what is tried, or what the search chose.
    """

    kind: ClassVar[str]

    method: Method
    rows: int
    seed: int
    candidate: Candidate

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.kind}: {self.method.name}, {self.rows} rows, seed {self.seed}, {self.candidate.describe()}"


@dataclass(frozen=True)
class Trial(Job):
    """Tries a candidate on training rows that were held back."""

    kind = "trial"


@dataclass(frozen=True)
class Measurement(Job):
    """Asks what was chosen about the test reviews."""

    kind = "measurement"


@dataclass(frozen=True)
class Opening(Job):
    """Looks into a soft prompt."""

    kind = "opening"


@dataclass(frozen=True)
class TuningCost(Job):
    """Measures time and memory of tuning, on one processor core."""

    kind = "cost of tuning"


@dataclass(frozen=True)
class AnsweringCost(Job):
    """Measures time and memory of answering, on one processor core, and what has to be kept for it."""

    kind = "cost of answering"


JOBS: tuple[type[Job], ...] = (Trial, Measurement, Opening, TuningCost, AnsweringCost)
COSTS = (TuningCost, AnsweringCost)


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Args:
        model: source of the base model.
        methods: the rows of the table.
        rows: numbers of training rows, in rising order; the table shows the last.
        seeds: each draws training rows (of 320 it takes all), their order, random starting points, and examples.
        held_back: training rows that trials are measured on.
        test_rows: how many test reviews are asked about, the first of the first file first.
        opened: name of the method whose soft prompt is looked into; its first seed's.
        opened_rows: how many test reviews are asked about for that, again and again.
    """

    model: str = DEFAULT_SOURCE
    methods: tuple[Method, ...] = METHODS
    rows: tuple[int, ...] = (20, 80, 320)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    held_back: int = 80
    test_rows: int = 720
    opened: str = "prompt-20"
    opened_rows: int = 120

    def method(self, name: str) -> Method:
        """Give the method of this name."""
        return next(method for method in self.methods if method.name == name)

    def rows_of(self, method: Method) -> tuple[int, ...]:
        """Give the numbers of training rows that a method is measured on."""
        return self.rows if method.learns_from_little else self.rows[-1:]

    def seeds_of(self, method: Method) -> tuple[int, ...]:
        """Give the seeds that a method is measured with: one, if all would give the same."""
        return self.seeds if method.depends_on_seed else self.seeds[:1]

    def searched(self, method: Method) -> Method:
        """Give the method whose trials count for this one."""
        return self.method(method.searched_as or method.name)

    def trial(self, method: Method, rows: int, seed: int, candidate: Candidate) -> Trial:
        """Give the job that tries a candidate for a method."""
        searched = self.searched(method)
        return Trial(searched, rows, seed if searched.is_searched_per_seed else self.seeds[0], candidate)

    def learnt_from(self, job: Job) -> int:
        """Give the training rows of a job: a trial of all rows does without those that are held back."""
        return min(job.rows, TRAINING_ROWS - self.held_back) if isinstance(job, Trial) else job.rows

    def updates(self, job: Job) -> int:
        """Give the updates of weights that a job takes."""
        if not isinstance(job.candidate, Recipe) or not job.method.is_tuned or isinstance(job, AnsweringCost):
            return 0
        updates = job.candidate.epochs * math.ceil(self.learnt_from(job) / BATCH_SIZE)
        return min(updates, WARM_UP_UPDATES + TIMED_UPDATES) if isinstance(job, TuningCost) else updates

    def settings(self) -> dict[str, Any]:
        """Give what all results depend on, for JSON; see ``Method.settings`` for the rest."""
        return {
            "model": self.model,
            "data": {name: hashlib.sha256((DATA / name).read_bytes()).hexdigest() for name in data_files()},
            "held_back": self.held_back,
            "test_rows": self.test_rows,
            "opened_rows": self.opened_rows,
            "lesson": lesson_settings(),
        }


def data_files() -> tuple[str, ...]:
    """Name the files of reviews."""
    return (TRAINING_FILE, *TEST_FILES)


def lesson_settings() -> dict[str, Any]:
    """Give the lesson's own settings that all methods share."""
    lesson = asdict(LOCAL_SETTINGS)
    return {name: lesson[name] for name in ("batch_size", "init_text")}


FULL = Plan()
# Every method once, in seconds: what tests recompute.
SMALL = Plan(
    model=TINY_SOURCE,
    methods=tuple(
        replace(method, epochs=((320, 1),)) if isinstance(method, GradientMethod) else method for method in METHODS
    ),
    rows=(16,),
    seeds=(0,),
    held_back=8,
    test_rows=12,
    opened_rows=6,
)
