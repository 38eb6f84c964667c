"""``make compare``: computes the results that are missing or were made with other settings, and keeps the rest.

Each job runs in a process of its own on one thread, so that times are those of one processor core. An interrupted
run goes on where it stopped.
"""

import argparse
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .behaviour import behaviour_of, is_same
from .jobs import run
from .plan import FULL, Job, Plan
from .store import Result, Store

RESULTS = Path(__file__).with_name("results.jsonl")


def compute(plan: Plan, store: Store, processes: int, run_job: Callable[[Plan, Job], Result] = run) -> None:
    """Run all jobs of a plan that have no result yet.

    Args:
        plan: what to compute.
        store: where results are kept.
        processes: how many jobs run at a time.
        run_job: what runs one, in a process of its own.
    """
    # Read by the processes that the jobs get. All methods compute on the processor, for their costs to be comparable.
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    while jobs := store.missing():
        # The searches come first, since what is measured depends on them.
        jobs = [job for job in jobs if type(job) is type(jobs[0])]
        with (
            _pool(processes) as pool,
            tqdm(total=len(jobs), unit="job", file=sys.stderr) as bar,
        ):
            running = {pool.submit(run_job, plan, job): job for job in jobs}
            try:
                for future in as_completed(running):
                    job = running[future]
                    bar.set_postfix_str(job.name)  # first, so that it names the job that fails
                    store.put(job, future.result())
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # or all that wait would still run, for nothing
                for process in multiprocessing.active_children():
                    process.terminate()
                raise


def _pool(processes: int) -> Any:
    """Make processes that run one job each, and end with this one, however it ends."""
    return ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
        max_tasks_per_child=1,
    )


def _end_with_parent() -> None:
    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Read the command line and compute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS, help="their file")
    parser.add_argument("--processes", type=int, default=2, help="jobs at a time; each may take 4 GB of memory")
    options = parser.parse_args()
    store = Store.read(options.results, FULL)
    store.keep_only(behaviour_of(FULL.methods), is_same)
    compute(FULL, store, options.processes)


if __name__ == "__main__":
    main()
