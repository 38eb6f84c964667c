"""``make compare``: computes the results that are missing or were made with other settings, and keeps the rest.

Accuracies come first, several jobs at a time, on a GPU where there is one. Then come costs, on the processor: one job
at a time, each in a process of its own on one thread, so that times and memory are those of the job on one core. An
interrupted run goes on where it stopped.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .behaviour import behaviour_of, is_same
from .jobs import run
from .methods import METHODS
from .networks import choose_device
from .plan import FULL, Job, Measurement, Opening, Plan, Trial
from .pool import new_pool, run_jobs
from .search import Score
from .store import Result, Store

RESULTS = Path(__file__).with_name("results.jsonl")

RunJob = Callable[[Plan, Job, str], Result]
Jobs = Callable[[Score | None], list[Job]]


def compute(store: Store, jobs: Jobs, device: str, pool: Any, processes: int, run_job: RunJob = run) -> dict[str, str]:
    """Run all jobs of a kind that have no result yet, each as soon as there is a process for it and it can be run.

    Args:
        store: where results are kept.
        jobs: those of the store's accuracy or cost.
        device: what they compute on.
        pool: what runs them.
        processes: how many it runs at a time.
        run_job: what runs one.

    Returns:
        The names of the jobs that failed, each with its error.
    """
    return run_jobs(
        missing=partial(store.missing, jobs),
        expected=partial(store.expected, jobs),
        submit=lambda job: pool.submit(run_job, store.plan, job, device),
        put=store.put,
        pool=pool,
        processes=processes,
    )


def describe(store: Store) -> str:
    """Say how much is left to compute.

    Args:
        store: the results that there are.
    """
    accuracy, costs = store.expected(store.accuracy_jobs), store.expected(store.cost_jobs)
    lines = [
        f"{len(store.results)} results fit the plan. Still to compute, if no search goes on beyond its first values:"
    ]
    for rows in store.plan.rows[::-1]:
        for kind in (Trial, Measurement, Opening):
            of_kind = [job for job in accuracy if isinstance(job, kind) and job.rows == rows]
            if of_kind:
                updates = sum(store.plan.updates(job) for job in of_kind)
                lines.append(f"  {kind.kind}s, {rows} rows: {len(of_kind)} jobs, {updates:,} updates")
    updates = sum(store.plan.updates(job) for job in accuracy)
    asked = sum({Trial: store.plan.held_back, Measurement: store.plan.test_rows}.get(type(job), 0) for job in accuracy)
    lines.append(f"accuracies together: {len(accuracy)} jobs, {updates:,} updates, {asked:,} reviews answered")
    lines.append(f"costs: {len(costs)} jobs, {sum(store.plan.updates(job) for job in costs):,} updates")
    return "\n".join(lines)


def main() -> None:
    """Read the command line and compute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS, help="their file")
    parser.add_argument(
        "--processes", type=int, default=2, help="accuracy jobs at a time; each may take 4 GB of memory"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="what accuracy runs on")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--accuracy", action="store_true", help="compute no costs")
    only.add_argument("--costs", action="store_true", help="compute costs alone")
    only.add_argument("--plan", action="store_true", help="compute nothing, and say how much there is to do")
    options = parser.parse_args()
    store = Store.read(options.results, FULL)
    if options.plan:
        print(describe(store))
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes that the jobs get
    pool = new_pool(options.processes)
    print("Looking whether the code computes what it did ...", file=sys.stderr)
    behaviour = dict(zip([method.name for method in METHODS], pool.map(behaviour_of, METHODS), strict=True))
    for name in sorted(store.keep_only(behaviour, is_same)):
        print(f"The code computes something else for {name} now, so its results are computed again.", file=sys.stderr)
    failed: dict[str, str] = {}
    if not options.costs:
        failed |= compute(store, store.accuracy_jobs, choose_device(options.device), pool, options.processes)
    pool.shutdown()
    if not options.accuracy:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        failed |= compute(store, store.cost_jobs, "cpu", new_pool(1, jobs_each=1), 1)
    if failed:
        sys.exit("\n".join(["These jobs failed:", *(f"  {name}: {error}" for name, error in failed.items())]))


if __name__ == "__main__":
    main()
