"""The plan of the comparison: methods, amounts of data and seeds, and the jobs that fill its table.

Importing this module is cheap; it needs no torch.
"""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from prompt_tuning_helpers.engine.sources import DEFAULT_SOURCE, TINY_SOURCE
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

from .methods import METHODS, Candidate, Method


@dataclass(frozen=True)
class Search:
    """The job that chooses among a method's candidates, on training rows alone.

    Args:
        method: whose candidates are tried.
        seed: of what is random.
    """

    method: Method
    seed: int

    @property
    def name(self) -> str:
        """Of its result."""
        return f"search-{self.method.name}-seed-{self.seed}"


@dataclass(frozen=True)
class Measurement:
    """The job that measures a method on the test file.

    Args:
        method: what is measured.
        rows: how many training rows it learns from.
        seed: which of them, and what else is random.
        chosen: what the search chose.
    """

    method: Method
    rows: int
    seed: int
    chosen: Candidate

    @property
    def name(self) -> str:
        """Of its result."""
        return f"{self.method.name}-{self.rows}-rows-seed-{self.seed}"


Job = Search | Measurement


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Args:
        model: source of the base model.
        methods: the rows of the table.
        rows: numbers of training rows, in rising order; the table shows the last.
        seeds: each draws training rows (of 320 it takes all), their order, random starting points, and examples.
        search_rows: training rows of a search, which is measured on as many others.
        test_rows: how many rows of the test file are asked about.
        opened: name of the method whose soft prompt is looked into; its first seed's.
    """

    model: str = DEFAULT_SOURCE
    methods: tuple[Method, ...] = METHODS
    rows: tuple[int, ...] = (20, 80, 320)
    seeds: tuple[int, ...] = (0, 1, 2)
    search_rows: int = 80
    test_rows: int = 120
    opened: str = "prompt-20"

    def method(self, name: str) -> Method:
        """Give the method of this name."""
        return next(method for method in self.methods if method.name == name)

    def rows_of(self, method: Method) -> tuple[int, ...]:
        """Give the numbers of training rows that a method is measured on."""
        return self.rows if method.learns_from_little else self.rows[-1:]

    def searches(self) -> list[Search]:
        """Give all searches, in the order of the methods."""
        return [
            Search(method, seed)
            for method in self.methods
            if method.candidates
            for seed in (self.seeds if method.is_searched_per_seed else self.seeds[:1])
        ]

    def search_of(self, method: Method, seed: int) -> Search:
        """Give the search that chooses what a method uses with a seed."""
        searched = self.method(method.searched_as or method.name)
        return Search(searched, seed if searched.is_searched_per_seed else self.seeds[0])

    def opens(self, job: Measurement) -> bool:
        """Tell whether this is the measurement whose soft prompt is looked into."""
        return (job.method.name, job.rows, job.seed) == (self.opened, self.rows[-1], self.seeds[0])

    def settings(self) -> dict[str, Any]:
        """Give what all results depend on, for JSON; see ``Method.settings`` for the rest."""
        return {
            "model": self.model,
            "data": {split: _digest(split) for split in ("train", "test")},
            "search_rows": self.search_rows,
            "test_rows": self.test_rows,
            "lesson": lesson_settings(),
        }


def _digest(split: str) -> str:
    return hashlib.sha256(reviews_path(split).read_bytes()).hexdigest()


def lesson_settings() -> dict[str, Any]:
    """Give the lesson's own settings that all methods share."""
    lesson = asdict(LOCAL_SETTINGS)
    return {name: lesson[name] for name in ("batch_size", "init_text", "max_input_tokens", "verbalizer")}


FULL = Plan()
# Every method once, in seconds: what tests recompute.
SMALL = Plan(model=TINY_SOURCE, rows=(20,), seeds=(0,), search_rows=20, test_rows=12)
