"""The file of results: what they all depend on, then each method with its settings, then one result a line."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .methods import candidate_as_json
from .plan import Job, Measurement, Plan

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
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        fits = False
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                record = json.loads(line)
                if number == 1:
                    fits = record["plan"] == store.settings
                elif fits:
                    store._take(record)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"Line {number} of {path} is no result. Put the file back as it was, with git for instance, or "
                    "delete the line and run `make compare`."
                ) from error
        return store

    def _take(self, record: dict[str, Any]) -> None:
        """Take over a line of the file, if it fits the plan."""
        if "settings" in record:
            methods = {method.name: method for method in self.plan.methods}
            method = methods.get(record["method"])
            if method and json.loads(json.dumps(method.settings())) == record["settings"]:
                self.behaviour[method.name] = record["behaviour"]
        elif record["method"] in self.behaviour:
            self.results[record["job"]] = record

    def get(self, job: Job) -> Result | None:
        """Give a job's result; ``None`` if there is none, or if it was made with another choice of the search."""
        result = self.results.get(job.name)
        if result and isinstance(job, Measurement):
            fits = result["chosen"] == candidate_as_json(job.chosen) and ("opened" in result) == self.plan.opens(job)
            return result if fits else None
        return result

    def put(self, job: Job, result: Result) -> None:
        """Keep a result, whole or not at all."""
        described: Result = {"job": job.name, "method": job.method.name}
        if isinstance(job, Measurement):
            described |= {"rows": job.rows, "chosen": candidate_as_json(job.chosen)}
        self.results[job.name] = described | {"seed": job.seed} | result
        self._write()

    def keep_only(self, behaviour: dict[str, Any], same: Any) -> None:
        """Drop the results of methods for which the code computes something else now.

        Args:
            behaviour: by name of a method, what the code computes for it in small.
            same: whether two such computations gave the same.
        """
        changed = {name for name, now in behaviour.items() if not same(self.behaviour.get(name), now)}
        self.behaviour |= {name: behaviour[name] for name in changed}
        self.results = {name: result for name, result in self.results.items() if result["method"] not in changed}

    def missing(self) -> list[Job]:
        """List the jobs that can be run now and have no result: the searches first, then what they allow to measure."""
        searches: list[Job] = [job for job in self.plan.searches() if self.get(job) is None]
        return searches + [job for job in self.measurements() if self.get(job) is None]

    def measurements(self) -> list[Measurement]:
        """List the measurements of all whose search is done; the first seed of all methods, then the next."""
        jobs = []
        for seed in self.plan.seeds:
            for method in self.plan.methods:
                search = self.plan.search_of(method, seed)
                if found := self.get(search):
                    chosen = search.method.candidate(found["chosen"])
                    jobs += [Measurement(method, rows, seed, chosen) for rows in self.plan.rows_of(method)]
        return jobs

    def _write(self) -> None:
        records: list[Result] = [{"plan": self.settings}]
        records += [
            {"method": method.name, "settings": method.settings(), "behaviour": self.behaviour.get(method.name)}
            for method in self.plan.methods
        ]
        records += [self.results[name] for name in sorted(self.results)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text("".join(json.dumps(record, allow_nan=False) + "\n" for record in records), encoding="utf-8")
        new.replace(self.path)
