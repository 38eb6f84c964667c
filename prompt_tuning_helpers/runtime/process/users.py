"""Counts the users of a runtime that is to end with them: each holds a lock, which ends with its process."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class UsersLock:
    """A lock that all processes that use a runtime share, and that the runtime gets when there are none.

    The kernel releases a process's lock at its end, however that comes. Programs that a process starts do not inherit
    it; a fork does, and counts as a user while it lives.

    Args:
        path: the lock's file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        """Become a user; if the runtime ends at this moment for want of one, wait until it is gone."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def try_alone(self) -> bool:
        """Take the lock if nobody else holds it: whoever comes then waits. Otherwise this process is no user more."""
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def is_current(self) -> bool:
        """Tell whether the locked file is still the one of that name; a folder may be deleted and made again."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)
