"""Whose a file is: what other users of the computer may have written decides nothing about a key."""

import os
import shlex
import stat
from pathlib import Path


def complaint(path: Path, status: os.stat_result) -> str | None:
    """Say how other users come to control a file or a folder.

    Args:
        path: its name, for the message.
        status: what ``stat`` tells of it, or ``lstat``: a symbolic link has an owner, but no mode of its own.

    Returns:
        A sentence or two with the remedy; ``None`` if it is this user's own and only this user may change it.
    """
    if os.name != "posix":
        return None  # there are no such owners and modes
    if status.st_uid != os.geteuid():
        return f"{path} belongs to another user. Use one of your own instead."
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"Other users may change {path}. Look whether it still says what you wrote, and keep it to yourself "
            f"with: chmod go-rwx {shlex.quote(str(path))}"
        )
    return None


def is_readable_by_others(status: os.stat_result) -> bool:
    """Tell whether other users may read a file."""
    return os.name == "posix" and bool(status.st_mode & (stat.S_IRGRP | stat.S_IROTH))
