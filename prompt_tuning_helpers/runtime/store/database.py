"""One SQLite file: its tables, and one connection that a lock shares among threads."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..clock import Clock
from .state import State, StateError

# The SQL that leads from each version of the tables to the next, beginning with none at all. What was released is
# never changed: a change of the tables is another entry.
MIGRATIONS = (
    """
CREATE TABLE projects (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE assets (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    name TEXT NOT NULL, description TEXT NOT NULL, asset_type TEXT NOT NULL, mime_type TEXT NOT NULL,
    tags TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE attachments (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, asset_id TEXT NOT NULL REFERENCES assets(id)
        ON DELETE CASCADE,
    name TEXT NOT NULL, mime_type TEXT NOT NULL, size INTEGER, complete INTEGER NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE trainings (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    name TEXT NOT NULL, description TEXT NOT NULL, tags TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    failure TEXT, model_id TEXT NOT NULL, created_at TEXT NOT NULL, modified_at TEXT NOT NULL, running_at TEXT,
    completed_at TEXT);
CREATE TABLE models (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    training_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, base_model_id TEXT NOT NULL,
    task_id TEXT, verbalizer TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE deployments (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    model_id TEXT NOT NULL REFERENCES models(id), name TEXT NOT NULL, description TEXT NOT NULL, tags TEXT NOT NULL,
    serving_name TEXT UNIQUE, created_at TEXT NOT NULL);
""",
    """
ALTER TABLE deployments ADD COLUMN custom TEXT NOT NULL DEFAULT '{}';
ALTER TABLE models ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
""",
)
VERSION = len(MIGRATIONS)

Column = tuple[str, str, int, int]  # its name, type, whether it may not be null, and its place in the primary key


class Database:
    """The runtime's records. Calls are short; a commit is on disk when it returns.

    Args:
        state: the folder that holds the SQLite file, which is made if it is not there.
        clock: what records are dated by.

    Raises:
        StateError: when the file is not as this version of the package, or an older one, left it.
    """

    def __init__(self, state: State, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(state.database, check_same_thread=False, isolation_level=None, timeout=30)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self.was_made = _bring_up_to_date(self._connection, state)
        except BaseException as error:
            self._connection.close()
            # A full disk, say, is another matter.
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                raise StateError(f"{state.database} is damaged: {error}. {state.remedy}") from error
            raise

    def now(self) -> str:
        """Give the time that a record is dated by, as watsonx.ai writes it."""
        return self._clock.now()

    def rows(self, query: str, *values: str | int | None) -> list[sqlite3.Row]:
        """Give all rows that a query gives."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: str | int | None) -> sqlite3.Row | None:
        """Give the first row that a query gives, if any."""
        found = self.rows(query, *values)
        return found[0] if found else None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make one change of all that happens inside: it is then on disk, or not made. One in another joins it."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # After a full disk SQLite may have rolled back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def is_of_runtime(path: Path) -> bool:
    """Say whether a file is the database of a runtime, of whichever version."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return _columns_by_table(connection).keys() >= _expected(1).keys()
    except sqlite3.Error:
        return False


def version_of(path: Path) -> int:
    """Give the version of a database's tables, without changing anything.

    Raises:
        sqlite3.Error: when the file cannot be read as a database.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        # Versions were not recorded from the first.
        return max(1, int(connection.execute("PRAGMA user_version").fetchone()[0]))


def _bring_up_to_date(connection: sqlite3.Connection, state: State) -> bool:
    """Make the tables, or change those of an older version, all or nothing; say whether there were none."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    is_new = version == 0 and not _columns_by_table(connection)
    if version == 0 and not is_new:
        version = 1  # made before versions were recorded
    if version > VERSION:
        raise StateError(
            f"{state.database} was made by a newer version of prompt-tuning-helpers: its tables are of version "
            f"{version}, and this one knows them up to {VERSION}. Use the newer version, or name another state folder."
        )
    if not is_new:
        _check(connection, state, version)
    changes = "".join(MIGRATIONS[version:])
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {changes} PRAGMA user_version = {VERSION}; COMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return is_new


def _check(connection: sqlite3.Connection, state: State, version: int) -> None:
    """Make sure that the tables are those of a version."""
    found, expected = _columns_by_table(connection), _expected(version)
    for table, columns in expected.items():
        if different := sorted({name for name, *_ in columns ^ found.get(table, set())}):
            raise StateError(
                f"{state.database} is damaged: its table {table!r} is not that of version {version}; what differs is "
                f"{', '.join(different)}. {state.remedy}"
            )


def _expected(version: int) -> dict[str, set[Column]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("".join(MIGRATIONS[:version]))
        return _columns_by_table(connection)


def _columns_by_table(connection: sqlite3.Connection) -> dict[str, set[Column]]:
    query = (
        'SELECT tables.name, columns.name, columns.type, columns."notnull", columns.pk FROM sqlite_master AS tables'
        " JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
    )
    columns_by_table: dict[str, set[Column]] = {}
    for table, name, kind, not_null, key in connection.execute(query):
        columns_by_table.setdefault(table, set()).add((name, kind, not_null, key))
    return columns_by_table
