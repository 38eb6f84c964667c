"""The parts that are measured, all of them or, for ``make bench``, in brief."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import torch

from prompt_tuning_helpers.engine.sources import quiet_libraries

from . import prompts, report, runtimes, tunings

PARTS = {"tuning": tunings, "runtime": runtimes, "prompt": prompts}
FEW = 2  # sizes of each part, the smallest


def prepare() -> None:
    """Make this process and what it starts compute on one thread: what threads wait for each other counts as work."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    quiet_libraries()


def in_brief() -> dict[str, float]:
    """Measure each part's smallest sizes, in a process of its own; say on standard error which figure grows most.

    Returns:
        The growth of that figure of each part, over that of the sizes.
    """
    found = {}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), prepare) as pool:
        for part in PARTS:
            what, found[part] = pool.submit(_steepest, part).result()
            print(f"growth.{part}: {what}", file=sys.stderr, flush=True)
    return found


def _steepest(part: str) -> tuple[str, float]:
    return report.steepest([point for size in PARTS[part].SIZES[:FEW] for point in PARTS[part].measure(size)])
