"""What goes wrong around a server, on a test's order: its clock is set, its disk fills up, or it is killed.

The order lies in a file that the server's process and the test's have in memory, so that it holds at once. Each change
of a file or a record is counted, and so a server can be killed between any two of them, the same two each time.
"""

import ctypes
import datetime
import errno
import functools
import mmap
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import psutil


class Kind(IntEnum):
    """What happens once a number of changes has been made: the process is killed, or no other change can be made."""

    NONE = 0
    KILLED = 1
    FULL = 2
    READ_ONLY = 3


class Trouble(ctypes.Structure):
    """The order.

    Args:
        clock: how far the clock is ahead, in s.
        kind: a ``Kind``.
        after: how many changes can still be made before.
        pause: how long it takes to list a folder, in s.
    """

    clock: float
    kind: int
    after: int
    pause: float
    _fields_ = (
        ("clock", ctypes.c_double),
        ("kind", ctypes.c_int64),
        ("after", ctypes.c_int64),
        ("pause", ctypes.c_double),
    )


# A full disk still lets files be deleted and renamed.
NEED_SPACE = ("open", "os.mkdir", "os.link", "os.fsync")
CHANGES = (*NEED_SPACE, "os.rename", "os.remove", "os.rmdir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
LOOKS = ("os.listdir", "os.scandir")
MESSAGES = {Kind.FULL: "database or disk is full", Kind.READ_ONLY: "attempt to write a readonly database"}


def share(path: Path) -> Trouble:
    """The order in a file, which is made if it is not there."""
    with path.open("ab") as file:
        file.truncate(ctypes.sizeof(Trouble))
    with path.open("r+b") as file:
        return Trouble.from_buffer(mmap.mmap(file.fileno(), 0))


def install(path: Path, state: Path) -> None:
    """Let this process meet whatever the order says; to be called before the runtime is imported.

    Args:
        path: the order's file.
        state: the folder on the disk that makes trouble.
    """
    trouble = share(path)
    shift_clock(trouble)
    shift_starts_of_processes(trouble)
    disk = Disk(trouble, state)
    sys.addaudithook(disk.watch)
    fsync = os.fsync

    def watched_fsync(fd: Any) -> None:
        disk.change("os.fsync")
        fsync(fd)

    os.fsync = watched_fsync

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if statement.startswith(("INSERT", "UPDATE", "DELETE", "COMMIT")):
                disk.change("database")
            cursor = super().execute(statement, *values)
            if statement == "COMMIT":
                disk.count()
            return cursor

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]


class Disk:
    """Counts the changes that this process makes.

    Args:
        trouble: the order.
        root: what is on the disk.
    """

    def __init__(self, trouble: Trouble, root: Path) -> None:
        self._trouble = trouble
        self._root = root
        self._lock = threading.Lock()

    def watch(self, event: str, values: tuple[Any, ...]) -> None:
        """Note what Python is about to do with a file."""
        if event not in CHANGES and event not in LOOKS:
            return
        path = values[0]
        is_named = isinstance(path, str | os.PathLike)
        # The removal of a folder names what is in it without the folder.
        if is_named and Path(path).is_absolute() and not Path(path).is_relative_to(self._root):
            return
        if event in LOOKS:
            time.sleep(self._trouble.pause)
        elif event != "open" or (is_named and values[2] & WRITING):
            self.change(event)

    def change(self, event: str) -> None:
        """Make a change, which may fail, or be the last one."""
        kind = self.count()
        if event == "database" and kind in MESSAGES:
            raise sqlite3.OperationalError(MESSAGES[Kind(kind)])
        if kind == Kind.READ_ONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if kind == Kind.FULL and event in NEED_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def count(self) -> int:
        """Count a change; what happens to it."""
        with self._lock:
            if self._trouble.after > 0:
                self._trouble.after -= 1
                return Kind.NONE
        if self._trouble.kind == Kind.KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._trouble.kind


def shift_clock(trouble: Trouble) -> None:
    """Let this process see another time of day."""
    real_time, real_datetime = time.time, datetime.datetime
    time.time = lambda: real_time() + trouble.clock
    time.time_ns = lambda: int(time.time() * 10**9)

    class AnyDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real_datetime)

    class Datetime(real_datetime, metaclass=AnyDatetime):  # type: ignore[misc,valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return cls.fromtimestamp(time.time(), tz)  # type: ignore[no-any-return]

    datetime.datetime = Datetime  # type: ignore[misc]


def shift_starts_of_processes(trouble: Trouble) -> Callable[[], None]:
    """Let psutil see processes start at another time, as it does on Linux once the clock was set; what undoes it."""
    if not psutil.LINUX:
        return lambda: None
    real = psutil._pslinux.boot_time
    psutil._pslinux.boot_time = lambda: real() + trouble.clock

    def undo() -> None:
        psutil._pslinux.boot_time = real

    return undo
