"""Processes that a file names: whether one is still the same, and how it is ended."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

# Times of a process's start that come from the clock are compared to within this.
SECONDS_APART = 1.0
LOOK_SECONDS = 0.5
GONE = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


@dataclass(frozen=True)
class KnownProcess:
    """A process, told from a later one with the same number.

    Args:
        pid: its number.
        started: on Linux the machine's boot and the clock ticks from that to the process's start, which do not move
            when the clock is set; elsewhere, and in files of earlier versions, seconds since 1970.
    """

    pid: int
    started: str | float

    @classmethod
    def find(cls, pid: int) -> "KnownProcess":
        """Find a process by its number.

        Raises:
            psutil.NoSuchProcess: when there is none, or only one that waits for its parent to notice its end.
        """
        if psutil.Process(pid).status() in GONE:
            raise psutil.NoSuchProcess(pid)
        return cls(pid, _start_of(pid))

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "KnownProcess":
        """Read a process from a record as ``to_record`` makes it, or as earlier versions did.

        Raises:
            KeyError, TypeError, ValueError: when it names none.
        """
        started = record["started"]
        return cls(int(record["pid"]), started if isinstance(started, str) else float(started))

    def to_record(self) -> dict[str, Any]:
        """Describe the process for a JSON file."""
        return {"pid": self.pid, "started": self.started}

    def is_alive(self) -> bool:
        """Tell whether this very process still runs; one that only waits for its parent to notice its end does not."""
        try:
            if psutil.Process(self.pid).status() in GONE:
                return False
            if isinstance(self.started, str):
                return self.started == _start_of(self.pid)
            return bool(abs(psutil.Process(self.pid).create_time() - self.started) < SECONDS_APART)
        except psutil.Error:
            return False

    def end(self, patience: float) -> bool:
        """Ask the process to end and wait until it is gone; ``False`` if it is still there after so many seconds."""
        return self._send(signal.SIGTERM, patience)

    def kill(self, patience: float) -> bool:
        """End a process that does not listen."""
        return self._send(signal.SIGKILL, patience)

    def _send(self, number: signal.Signals, patience: float) -> bool:
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return True
        deadline = time.monotonic() + patience
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def end_when(is_over: Callable[[], bool], name: str) -> None:
    """End this process, as SIGTERM does, soon after a condition holds.

    Args:
        is_over: the condition.
        name: of the thread that looks.
    """

    def look() -> None:
        while not is_over():
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, name=name, daemon=True).start()


def _start_of(pid: int) -> str | float:
    if not psutil.LINUX:
        return float(psutil.Process(pid).create_time())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    # The start is field 22. The second, the program's name, may hold spaces and brackets; it ends with the last one.
    return f"{_boot_id()} {stat.rpartition(')')[2].split()[19]}"


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""  # a container may hide it; the ticks alone must do then
