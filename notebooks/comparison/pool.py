"""The processes that jobs run in.

They begin anew and find by its module what they are to run; what stands in ``__main__`` they would look for in vain.
"""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any


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
