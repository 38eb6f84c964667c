"""Computes what is missing of the controls of soft prompts, several jobs at a time; ``make compare`` does so, too.

The soft prompts are those that the comparison measures with 20 virtual tokens and all training reviews, tuned anew and
kept in ``build/controls``. An interrupted run goes on where it stopped.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from ..behaviour import is_same
from ..pool import new_pool, run_jobs
from .jobs import behaviour_in_small, run
from .kinds import Transfer, Tuning
from .plan import plan_of
from .results import CONTROLS, RESULTS
from .reviews import answers_of, updates_of
from .store import ControlStore


def compute(store: ControlStore, device: str, processes: int) -> dict[str, str]:
    """Run all jobs that have no result yet.

    Args:
        store: where results are kept.
        device: what jobs compute on.
        processes: how many jobs run at a time.

    Returns:
        The names of the jobs that failed, each with its error.
    """
    with new_pool(processes) as pool:
        print("Looking whether the code computes what it did ...", file=sys.stderr)
        for kind in sorted(store.keep_only(pool.submit(behaviour_in_small).result(), is_same)):
            print(f"The code computes something else for {kind} now, so that is computed again.", file=sys.stderr)
        return run_jobs(
            missing=store.missing,
            expected=store.expected,
            submit=lambda job: pool.submit(run, store.plan, job, device),
            put=store.put,
            pool=pool,
            processes=processes,
        )


def describe(store: ControlStore) -> str:
    """Say how much is left to compute.

    Args:
        store: the results that there are.
    """
    left = store.expected()
    lines = [
        f"Soft prompts of {store.plan.virtual_tokens} virtual tokens, tuned with {store.plan.recipe.describe()} "
        f"({store.plan.recipe_from}).",
        f"{len(store.results)} results fit the plan. Still to compute:",
    ]
    lines += [f"  {kind}: {count} jobs" for kind, count in Counter(job.kind for job in left).items()]
    updates = {
        kind: sum(updates_of(store.plan, job) for job in left if isinstance(job, kind)) for kind in (Tuning, Transfer)
    }
    answers = sum(answers_of(store.plan, job) for job in left)
    lines.append(
        f"together: {updates[Tuning]:,} updates on reviews, {updates[Transfer]:,} on tickets, {answers:,} answers"
    )
    return "\n".join(lines)


def main() -> None:
    """Read the command line and compute."""
    parser = argparse.ArgumentParser(
        prog="python -m comparison.controls",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", type=Path, default=CONTROLS, help="of the controls' results")
    parser.add_argument("--comparison", type=Path, default=RESULTS, help="file of the comparison's results")
    parser.add_argument("--processes", type=int, default=2, help="jobs at a time; each may take 4 GB of memory")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="what jobs run on")
    parser.add_argument("--plan", action="store_true", help="compute nothing, and say how much there is to do")
    options = parser.parse_args()
    store = ControlStore.read(options.file, plan_of(options.comparison))
    print(describe(store), file=sys.stdout if options.plan else sys.stderr)
    if options.plan:
        return
    from ..networks import choose_device

    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes that the jobs get
    failed = compute(store, choose_device(options.device), options.processes)
    if failed:
        sys.exit("\n".join(["These jobs failed:", *(f"  {name}: {error}" for name, error in failed.items())]))


if __name__ == "__main__":
    main()
