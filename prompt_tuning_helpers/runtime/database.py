"""One SQLite file: its tables, and one connection that a lock shares among threads."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS assets (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    name TEXT NOT NULL, description TEXT NOT NULL, asset_type TEXT NOT NULL, mime_type TEXT NOT NULL,
    tags TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attachments (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, asset_id TEXT NOT NULL REFERENCES assets(id)
        ON DELETE CASCADE,
    name TEXT NOT NULL, mime_type TEXT NOT NULL, size INTEGER, complete INTEGER NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trainings (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    name TEXT NOT NULL, description TEXT NOT NULL, tags TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    failure TEXT, model_id TEXT NOT NULL, created_at TEXT NOT NULL, modified_at TEXT NOT NULL, running_at TEXT,
    completed_at TEXT);
CREATE TABLE IF NOT EXISTS models (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    training_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, base_model_id TEXT NOT NULL,
    task_id TEXT, verbalizer TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deployments (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, project_id TEXT NOT NULL REFERENCES projects
        ON DELETE CASCADE,
    model_id TEXT NOT NULL REFERENCES models(id), name TEXT NOT NULL, description TEXT NOT NULL, tags TEXT NOT NULL,
    serving_name TEXT UNIQUE, created_at TEXT NOT NULL);
"""


def now() -> str:
    """The time, as watsonx.ai writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Database:
    """The runtime's records. Calls are short; a commit is on disk when it returns.

    Args:
        path: the SQLite file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(SCHEMA)

    def rows(self, query: str, *values: str | int | None) -> list[sqlite3.Row]:
        """All rows that a query gives."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: str | int | None) -> sqlite3.Row | None:
        """The first row that a query gives, if any."""
        found = self.rows(query, *values)
        return found[0] if found else None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside happens, and is on disk afterwards, or nothing happens; within another it is part of it."""
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
