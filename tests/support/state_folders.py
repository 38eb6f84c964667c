"""State folders as tests look into them and change them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from prompt_tuning_helpers.runtime.store.state import State


def everything_in(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """All that lies in a folder: modes, contents, and where links lead."""
    found: dict[str, tuple[int, bytes | str]] = {"": (folder.stat().st_mode, "")}
    for path in folder.rglob("*"):
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def execute(state: State, script: str) -> None:
    """Run SQL on a state folder's database."""
    with closing(sqlite3.connect(state.database)) as connection:
        connection.executescript(script)
