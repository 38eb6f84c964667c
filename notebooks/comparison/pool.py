"""The processes that jobs run in, and the loop that hands jobs to them.

They begin anew and find by its module what they are to run; what stands in ``__main__`` they would look for in vain.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from tqdm import tqdm


class Named(Protocol):
    """A job: all that is asked of it here is its name."""

    @property
    def name(self) -> str:
        """Of its result."""
        ...


Job = TypeVar("Job", bound=Named)


def new_pool(processes: int, jobs_each: int | None = None) -> Any:
    """Make processes that run jobs on one thread each, and end with this one, however it ends.

    Args:
        processes: how many.
        jobs_each: after how many jobs one ends and makes room for a new one; ``None`` for never.
    """
    return ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
        max_tasks_per_child=jobs_each,
    )


def _end_with_parent() -> None:
    def wait_for_end() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()


def run_jobs(
    missing: Callable[[], list[Job]],
    expected: Callable[[], list[Job]],
    submit: Callable[[Job], "Future[dict[str, Any]]"],
    put: Callable[[Job, dict[str, Any]], None],
    pool: Any,
    processes: int,
) -> dict[str, str]:
    """Run all jobs that have no result yet, each as soon as there is a process for it and it can be run.

    Args:
        missing: lists the jobs that can be run now and have no result.
        expected: lists those that have no result, with those that cannot be run yet.
        submit: hands a job to the pool.
        put: keeps a result.
        pool: what runs them.
        processes: how many it runs at a time.

    Returns:
        The names of the jobs that failed, each with its error.
    """
    failed: dict[str, str] = {}
    running: dict[Future[dict[str, Any]], Job] = {}
    with tqdm(total=len(expected()), unit="job", file=sys.stderr) as bar:
        try:
            while True:
                busy = {job.name for job in running.values()} | failed.keys()
                for job in missing():
                    if len(running) < processes and job.name not in busy:
                        running[submit(job)] = job
                if not running:
                    return failed
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job = running.pop(future)
                    try:
                        put(job, future.result())
                    except (OSError, BrokenProcessPool):  # of the disk, or of the pool: no other job would fare better
                        raise
                    except Exception as error:  # this job alone is at fault, and what needs it stays undone
                        failed[job.name] = f"{type(error).__name__}: {error}"
                        bar.write(f"{job.name} failed: {failed[job.name]}", file=sys.stderr)
                    bar.update()
                    bar.total = bar.n + len(expected()) - len(failed)
                    bar.set_postfix_str(job.name)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # or all that wait would still run, for nothing
            for process in multiprocessing.active_children():
                process.terminate()
            raise
