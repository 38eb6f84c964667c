"""The database's tables: made, brought up to date, and refused where they are not what they should be."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from prompt_tuning_helpers.runtime.store import database
from prompt_tuning_helpers.runtime.store.database import MIGRATIONS, VERSION, Database
from prompt_tuning_helpers.runtime.store.state import State, StateError
from tests.support.state_folders import execute

NEXT = (*MIGRATIONS, "ALTER TABLE projects ADD COLUMN color TEXT;", "CREATE TABLE notes (id TEXT PRIMARY KEY);")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def version_of(state: State) -> int:
    with closing(sqlite3.connect(state.database)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def make(state: State) -> None:
    """Make a database with a record."""
    made = Database(state)
    assert made.was_made
    with made.transaction() as connection:
        connection.execute("INSERT INTO projects VALUES ('p', 'name', '', 'today')")
    made.close()


def project_of(state: State) -> str:
    opened = Database(state)
    assert not opened.was_made
    row = opened.row("SELECT name FROM projects")
    opened.close()
    assert row
    return str(row["name"])


def test_a_new_database_has_the_version(state: State) -> None:
    make(state)
    assert version_of(state) == VERSION
    assert project_of(state) == "name"


def make_first(state: State) -> None:
    """Make a database as the first version of the package did, with a record."""
    execute(state, f"PRAGMA journal_mode = WAL; {MIGRATIONS[0]} INSERT INTO projects VALUES ('p', 'name', '', 'today')")


def test_one_without_a_version_has_the_first(state: State) -> None:
    make_first(state)
    assert project_of(state) == "name"
    assert version_of(state) == VERSION


def test_an_older_one_is_brought_up_to_date(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    make(state)
    monkeypatch.setattr(database, "MIGRATIONS", NEXT)
    monkeypatch.setattr(database, "VERSION", len(NEXT))
    assert project_of(state) == "name"
    assert version_of(state) == len(NEXT)


def test_a_change_that_fails_half_way_leaves_the_old_version(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    make(state)
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*NEXT, "SELECT * FROM nowhere;"))
        patch.setattr(database, "VERSION", len(NEXT) + 1)
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            Database(state)
    assert version_of(state) == VERSION
    assert project_of(state) == "name"


def test_a_newer_one_is_refused(state: State) -> None:
    make(state)
    execute(state, f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StateError, match=rf"runtime.db was made by a newer .*version {VERSION + 1}.*Use the newer"):
        Database(state)


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ("ALTER TABLE trainings ADD COLUMN color TEXT", "color"),
        ("ALTER TABLE trainings DROP COLUMN failure", "failure"),
        ("ALTER TABLE trainings RENAME COLUMN failure TO trouble", "failure, trouble"),
        ("DROP TABLE trainings", "completed_at, created_at"),
    ],
)
@pytest.mark.parametrize("made_by", [make, make_first])
def test_other_tables_are_refused(state: State, change: str, column: str, made_by: Callable[[State], None]) -> None:
    made_by(state)
    execute(state, change)
    before = state.database.read_bytes()
    with pytest.raises(StateError, match=rf"runtime.db is damaged: its table 'trainings' .* {column}.*reset --state"):
        Database(state)
    assert state.database.read_bytes() == before


def test_another_programs_database_is_refused(state: State) -> None:
    execute(state, "CREATE TABLE cookies (id)")
    before = state.database.read_bytes()
    with pytest.raises(StateError, match=r"runtime.db is damaged"):
        Database(state)
    with closing(sqlite3.connect(state.database)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("cookies",)]
    assert len(state.database.read_bytes()) == len(before)
