"""The lock that gives a state folder to one runtime, which notices when the folder is taken away from under it."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import psutil
from filelock import BaseFileLock, FileLock, Timeout

from .endpoint import Endpoint, Record, command_line, read_record, remove_record, write_record
from .store.state import State

# How many seconds a runtime waits for another to leave the folder, by what that one says it does. One that says
# nothing may just be about to.
PATIENCE = {"ending": 60.0}
PATIENCE_WITH_NAMELESS = 3.0


class StateInUse(Exception):
    """Another runtime uses the state folder; the message names it and says what to do."""


class StateLost(Exception):
    """The state folder was deleted, moved or replaced by another while a runtime used it."""


class LockedState:
    """A state folder whose lock this process holds.

    Args:
        state: the folder.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        # The file is open as long as it is locked, so that no other gets its number.
        self._locked = state.lock.stat()
        self.loss = (
            f"The runtime's state folder {state.root} was deleted, moved or replaced while the runtime ran, so nothing "
            "can be kept there any more. The runtime ends: start it again."
        )

    def is_lost(self) -> bool:
        """Tell whether the folder's lock is no longer the file that was locked."""
        try:
            return not os.path.samestat(self._locked, self.state.lock.stat())
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False  # the disk or the network has trouble, which may pass

    def publish(self, endpoint: Endpoint) -> None:
        """Say in the folder's record that this process serves now, and where.

        Raises:
            StateLost: when the folder was taken away meanwhile.
            OSError: when it cannot be written.
        """
        if self.is_lost():
            raise StateLost(self.loss)
        write_record(self.state.root, "running", endpoint)

    def note(self, phase: str) -> None:
        """Say in the folder's record what this process does now; on a full disk nothing can be said."""
        if self.is_lost():
            return
        try:
            write_record(self.state.root, phase)
        except OSError:
            with suppress(OSError):
                self.state.endpoint.unlink(missing_ok=True)


@contextmanager
def lock_state(state: State) -> Iterator[LockedState]:
    """Lock a state folder, and say so in its record; a runtime that is ending there is waited for.

    Raises:
        StateInUse: when another process uses it.
        OSError: when the folder cannot be used.
    """
    with _acquire(state):
        locked = LockedState(state)
        locked.note("starting")
        try:
            yield locked
        finally:
            remove_record(state.root)


def _acquire(state: State) -> AbstractContextManager[BaseFileLock]:
    lock = FileLock(state.lock, mode=0o600)
    began = time.monotonic()
    while True:
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            holder = _holder(state)
            patience = PATIENCE.get(holder.phase, 0.0) if holder else PATIENCE_WITH_NAMELESS
            if time.monotonic() - began > patience:
                raise StateInUse(_describe(state, holder)) from None
            time.sleep(0.1)


def _holder(state: State) -> Record | None:
    """Read the record of the process that holds the lock, as far as can be told."""
    record = read_record(state.root)
    if record is None or record.process.is_alive() or _is_of_earlier_version(record):
        return record
    return None


def _is_of_earlier_version(record: Record) -> bool:
    """Tell whether a runtime of an earlier version seems gone only because the clock was set since it started."""
    return psutil.LINUX and not isinstance(record.process.started, str) and psutil.pid_exists(record.process.pid)


def _describe(state: State, holder: Record | None) -> str:
    other_folder = "name another folder with --state"
    if holder is None:
        return f"Another process uses {state.root} and does not say which: try again in a moment, or {other_folder}."
    process = f"process {holder.process.pid}"
    stop = command_line("stop", state.root)
    if holder.phase == "starting":
        return (
            f"A runtime is starting on {state.root} ({process}). Use that one once it serves, end it with `{stop}`, or "
            f"{other_folder}."
        )
    if holder.endpoint is None:
        return f"The runtime on {state.root} ({process}) is still ending: end its process by hand, or {other_folder}."
    how = f"with `{stop}`" if holder.process.is_alive() else "by ending that process"
    return (
        f"Another runtime ({process}, {holder.endpoint.url}) uses {state.root}. Use that one, end it {how}, "
        f"or {other_folder}."
    )
