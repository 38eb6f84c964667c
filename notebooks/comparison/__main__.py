"""``make compare``: computes the results that are missing or were made with other settings, and keeps the rest.

    PYTHONPATH=notebooks python -m comparison notebooks/comparison_results

Each job runs in a process of its own on one thread, so that times are those of one processor core. An interrupted
run goes on where it stopped.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from .jobs import run
from .plan import FULL, Plan
from .results import Store, missing


def compute(plan: Plan, store: Store, processes: int) -> None:
    """Run all jobs of a plan that have no result yet.

    Args:
        plan: what to compute.
        store: where results are kept.
        processes: how many jobs run at a time.
    """
    # Read by the processes that the jobs get. All methods compute on the processor, for their costs to be comparable.
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    while jobs := missing(plan, store):
        # The searches come first, since what is measured depends on them.
        jobs = [job for job in jobs if job.settings["task"] == jobs[0].settings["task"]]
        with (
            ProcessPoolExecutor(processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool,
            tqdm(total=len(jobs), unit="job", file=sys.stderr) as bar,
        ):
            running = {pool.submit(run, job): job for job in jobs}
            try:
                for future in as_completed(running):
                    job = running[future]
                    bar.set_postfix_str(job.name)  # first, so that it names the job that fails
                    store.put(job, future.result())
                    bar.update()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # or all that wait would still run, for nothing
                raise


def main() -> None:
    """Read the command line and compute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the results")
    parser.add_argument("--processes", type=int, default=2, help="jobs at a time; each may take 4 GB of memory")
    options = parser.parse_args()
    compute(FULL, Store(options.folder), options.processes)


if __name__ == "__main__":
    main()
