"""Processes that a file names: whether one is still the same, and how it is ended."""

import os
import signal
import threading
import time
from contextlib import suppress

import psutil

# Clocks are adjusted between two readings of a process's start, so they are compared to within this.
SECONDS_APART = 1.0


def started_at(pid: int) -> float:
    """When a process started, which tells it from a later one with the same id."""
    return float(psutil.Process(pid).create_time())


def is_alive(pid: int, started: float) -> bool:
    """Whether this very process still runs; one that only waits for its parent to notice its end does not."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < SECONDS_APART
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end_process(pid: int, started: float, patience: float) -> bool:
    """Ask a process to end and wait until it is gone; ``False`` if it is still there after so many seconds."""
    try:
        if is_alive(pid, started):
            psutil.Process(pid).terminate()
    except psutil.NoSuchProcess:
        return True
    return _wait(pid, started, patience)


def kill_process(pid: int, started: float, patience: float) -> bool:
    """End a process that does not listen."""
    try:
        if is_alive(pid, started):
            psutil.Process(pid).kill()
    except psutil.NoSuchProcess:
        return True
    return _wait(pid, started, patience)


def stop_after(pid: int) -> None:
    """End this process, as SIGTERM does, once another one is gone."""

    def wait() -> None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="until-exit-of", daemon=True).start()


def _wait(pid: int, started: float, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while is_alive(pid, started):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
