"""The file of results: each kind of job with the settings that it depends on, then one result a line."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..store import Result, read_lines, write_lines
from .kinds import KINDS, Job
from .plan import Plan


@dataclass
class ControlStore:
    """The results that fit a plan, and the file that they are kept in.

    Args:
        path: of the file.
        plan: what the results are of.
        behaviour: by kind of job, what the code computed in small when the results of this kind were made.
        results: by name of a job.
    """

    path: Path
    plan: Plan
    behaviour: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, plan: Plan) -> "ControlStore":
        """Read a file; what other settings made is left out, and no file is as good as an empty one.

        Raises:
            ValueError: if a line is not what it should be, with its number and what to do.
        """
        store = cls(path, plan)
        names = {job.name for job in plan.jobs}
        settings = {kind.kind: json.loads(json.dumps(plan.settings(kind))) for kind in KINDS}

        def take(number: int, record: Result) -> None:
            if "settings" in record:
                if settings.get(record["kind"]) == record["settings"]:
                    store.behaviour[record["kind"]] = record["behaviour"]
            elif record["kind"] in store.behaviour and record["job"] in names:
                store.results[record["job"]] = record

        read_lines(path, take)
        return store

    def get(self, job: Job) -> Result | None:
        """Give a job's result; ``None`` if there is none."""
        return self.results.get(job.name)

    def put(self, job: Job, result: Result) -> None:
        """Keep a result, whole or not at all."""
        self.results[job.name] = {"job": job.name, "kind": job.kind} | result
        self._write()

    def expected(self) -> list[Job]:
        """List the jobs that have no result."""
        return [job for job in self.plan.jobs if self.get(job) is None]

    def missing(self) -> list[Job]:
        """List the jobs that have no result, and all that they need."""
        return [job for job in self.expected() if all(self.get(needed) is not None for needed in job.needs)]

    def keep_only(self, behaviour: dict[str, Any], same: Callable[[Any, Any], bool]) -> set[str]:
        """Drop the results of kinds of jobs for which the code computes something else now.

        Args:
            behaviour: by kind of job, what the code computes for it in small.
            same: whether two such computations gave the same.

        Returns:
            The kinds whose results were dropped.
        """
        changed = {kind for kind, now in behaviour.items() if not same(self.behaviour.get(kind), now)}
        dropped = {result["kind"] for result in self.results.values()} & changed
        self.behaviour |= {kind: behaviour[kind] for kind in changed}
        self.results = {name: result for name, result in self.results.items() if result["kind"] not in changed}
        return dropped

    def _write(self) -> None:
        records: list[Result] = [
            {"kind": kind.kind, "settings": self.plan.settings(kind), "behaviour": self.behaviour.get(kind.kind)}
            for kind in KINDS
        ]
        records += [self.results[job.name] for job in self.plan.jobs if job.name in self.results]
        write_lines(self.path, records)
