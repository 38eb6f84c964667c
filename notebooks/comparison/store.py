"""The file of results: what they all depend on, then each method with its settings, then one result a line."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .methods import Candidate, Method
from .plan import AnsweringCost, Job, Measurement, Opening, Plan, Trial, TuningCost
from .search import DIVERGED, Score, Search, search

Result = dict[str, Any]


@dataclass
class Store:
    """The results that fit a plan, and the file that they are kept in.

    Args:
        path: of the file.
        plan: what the results are of.
        settings: what all results depend on.
        behaviour: by name of a method, what the code computed for it in small when its results were made.
        results: by name of a job.
    """

    path: Path
    plan: Plan
    settings: dict[str, Any]
    behaviour: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, plan: Plan) -> "Store":
        """Read a file; what other settings made is left out, and no file is as good as an empty one.

        Raises:
            ValueError: if a line is not what it should be, with its number and what to do.
        """
        store = cls(path, plan, plan.settings())
        fits = False

        def take(number: int, record: Result) -> None:
            nonlocal fits
            if number == 1:
                fits = record["plan"] == store.settings
            elif fits:
                store._take(record)

        read_lines(path, take)
        return store

    def _take(self, record: Result) -> None:
        """Take over a line of the file, if it fits the plan."""
        if "settings" in record:
            methods = {method.name: method for method in self.plan.methods}
            method = methods.get(record["method"])
            if method and json.loads(json.dumps(method.settings())) == record["settings"]:
                self.behaviour[method.name] = record["behaviour"]
        elif record["method"] in self.behaviour:
            self.results[record["job"]] = record

    def get(self, job: Job) -> Result | None:
        """Give a job's result; ``None`` if there is none."""
        return self.results.get(job.name)

    def put(self, job: Job, result: Result) -> None:
        """Keep a result, whole or not at all."""
        described: Result = {
            "job": job.name,
            "kind": job.kind,
            "method": job.method.name,
            "rows": job.rows,
            "seed": job.seed,
            "candidate": asdict(job.candidate),
        }
        self.results[job.name] = described | result
        self._write()

    def keep_only(self, behaviour: dict[str, Any], same: Callable[[Any, Any], bool]) -> set[str]:
        """Drop the results of methods for which the code computes something else now.

        Args:
            behaviour: by name of a method, what the code computes for it in small.
            same: whether two such computations gave the same.

        Returns:
            The names of the methods whose results were dropped.
        """
        changed = {name for name, now in behaviour.items() if not same(self.behaviour.get(name), now)}
        dropped = {result["method"] for result in self.results.values()} & changed
        self.behaviour |= {name: behaviour[name] for name in changed}
        self.results = {name: result for name, result in self.results.items() if result["method"] not in changed}
        return dropped

    def score(self, trial: Trial) -> Score | None:
        """Give the score of a candidate; ``None`` if it was not tried yet."""
        result = self.get(trial)
        if result is None:
            return None
        return DIVERGED if "diverged" in result else Score(result["accuracy"], result["loss"], result["written"])

    def search(self, method: Method, rows: int, seed: int, unknown: Score | None = None) -> Search:
        """Go on with the search for a method, number of rows and seed as far as the results allow.

        Args:
            method: the method.
            rows: training rows.
            seed: the seed.
            unknown: what to take for the score of a candidate that was not tried yet.
        """
        searched = self.plan.searched(method)

        def score_of(candidate: Candidate) -> Score | None:
            return self.score(self.plan.trial(method, rows, seed, candidate)) or unknown

        return search(searched.start(rows), searched.axes, score_of, method.judged_by_writing)

    def trials(self, unknown: Score | None = None) -> Iterator[Trial]:
        """List the trials that the searches have asked for so far: of the most rows first, and none twice."""
        listed: dict[Trial, None] = {}
        for rows, method, seed in self._cells():
            found = self.search(method, rows, seed, unknown)
            for candidate in (*found.scores, *found.missing):
                listed[self.plan.trial(method, rows, seed, candidate)] = None
        yield from listed

    def measurements(self, unknown: Score | None = None) -> Iterator[Measurement]:
        """List the measurements of all whose search has ended, of the most rows first."""
        for rows, method, seed in self._cells():
            found = self.search(method, rows, seed, unknown)
            if not found.missing:
                yield Measurement(method, rows, seed, found.chosen)

    def _cells(self) -> Iterator[tuple[int, Method, int]]:
        """List what is searched and measured: numbers of rows, methods and seeds."""
        for rows in self.plan.rows[::-1]:
            for method in self.plan.methods:
                if rows in self.plan.rows_of(method):
                    yield from ((rows, method, seed) for seed in self.plan.seeds_of(method))

    def accuracy_jobs(self, unknown: Score | None = None) -> list[Job]:
        """List the jobs that can be run now, or have been, of all that may run anywhere; what matters most is first."""
        jobs: list[Job] = [*self.trials(unknown), *self.measurements(unknown)]
        jobs += [Opening(job.method, job.rows, job.seed, job.candidate) for job in jobs if self._opens(job)]
        # Stable: for each number of rows, the trials come first, since what is measured depends on them.
        return sorted(jobs, key=lambda job: -job.rows)

    def cost_jobs(self, unknown: Score | None = None) -> list[Job]:
        """List the jobs that measure what the first seed of each method costs with the most rows."""
        first = [job for job in self.measurements(unknown) if job.rows == self.plan.rows[-1]]
        first = [job for job in first if job.seed == self.plan.seeds[0]]
        kinds: list[Job] = [
            TuningCost(job.method, job.rows, job.seed, job.candidate) for job in first if job.method.is_tuned
        ]
        return kinds + [AnsweringCost(job.method, job.rows, job.seed, job.candidate) for job in first]

    def _opens(self, job: Job) -> bool:
        cell = job.method.name, job.rows, job.seed
        return isinstance(job, Measurement) and cell == (self.plan.opened, self.plan.rows[-1], self.plan.seeds[0])

    def missing(self, jobs: Callable[[Score | None], list[Job]]) -> list[Job]:
        """List the jobs of a kind that can be run now and have no result.

        Args:
            jobs: ``accuracy_jobs`` or ``cost_jobs`` of this store.
        """
        return [job for job in jobs(None) if self.get(job) is None]

    def expected(self, jobs: Callable[[Score | None], list[Job]]) -> list[Job]:
        """List the jobs of a kind that have no result, those that wait for a search included.

        It takes each search for one that finds nothing better than what it starts from; most take a few more trials.

        Args:
            jobs: ``accuracy_jobs`` or ``cost_jobs`` of this store.
        """
        return [job for job in jobs(DIVERGED) if self.get(job) is None]

    def _write(self) -> None:
        records: list[Result] = [{"plan": self.settings}]
        records += [
            {"method": method.name, "settings": method.settings(), "behaviour": self.behaviour.get(method.name)}
            for method in self.plan.methods
        ]
        records += [self.results[name] for name in sorted(self.results)]
        write_lines(self.path, records)


def read_lines(path: Path, take: Callable[[int, Result], None]) -> None:
    """Read a file of one record a line; no file is as good as an empty one.

    Args:
        path: of the file.
        take: gets the number of each line, from 1, and its record.

    Raises:
        ValueError: if a line is not what it should be, with its number and what to do.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            take(number, json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"Line {number} of {path} is no result. Put the file back as it was, with git for instance, or "
                "delete the line and run `make compare`."
            ) from error


def write_lines(path: Path, records: Iterable[Result]) -> None:
    """Write a file of one record a line, whole or not at all.

    Args:
        path: of the file.
        records: for JSON.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text("".join(json.dumps(record, allow_nan=False) + "\n" for record in records), encoding="utf-8")
    new.replace(path)
