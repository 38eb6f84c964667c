"""What is measured: a figure at a size, and the means to take it."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

SAMPLE_SECONDS = 0.02
MIB = 2**20


@dataclass(frozen=True)
class Point:
    """One figure at one size; a line of ``build/growth.jsonl``.

    Args:
        part: ``"tuning"``, ``"runtime"`` or ``"prompt"``.
        what: is measured, as ``WHAT`` in ``report.py`` names it.
        size: rows, records or tokens.
        value: in the unit.
        unit: ``"s"``, ``"MiB"`` or ``"KiB"``.
    """

    part: str
    what: str
    size: int
    value: float
    unit: str


def timed(work: Callable[[], object], calls: int = 1, server: int | None = None) -> float:
    """Take the processor time of a call, in seconds: that of this process and of what it starts.

    Unlike the time that passes, it hardly depends on what else the machine does.

    Args:
        work: what is called.
        calls: how often; the mean counts. Systems count the time of other processes in steps of 10 ms or so.
        server: a process that works for this one, whose time counts, too.
    """
    before = _processor_time(server)
    for _ in range(calls):
        work()
    return (_processor_time(server) - before) / calls


def _processor_time(server: int | None) -> float:
    used = psutil.Process().cpu_times()
    seconds = time.process_time() + float(used.children_user + used.children_system)
    if server:
        used = psutil.Process(server).cpu_times()
        seconds += float(used.user + used.system)
    return seconds


class Growth:
    """How much a process's resident memory grew while it was watched."""

    peak: int = 0

    @property
    def mib(self) -> float:
        """The most that it had, less what it had at the start, in MiB."""
        return self.peak / MIB


@contextmanager
def memory_growth(pid: int | None = None) -> Iterator[Growth]:
    """Watch a process's resident memory inside the block, by looking every 20 ms.

    Args:
        pid: of the process; this one by default.
    """
    process, growth, done = psutil.Process(pid or os.getpid()), Growth(), threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            growth.peak = max(growth.peak, process.memory_info().rss - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield growth
    finally:
        done.set()
        watcher.join()
