"""A table of records: what all tables have in common, derived from the fields of their records."""

import json
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from .database import Database


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Record = TypeVar("Record", bound=Dataclass)
Value = str | int | None


class Table(Generic[Record]):
    """One table, with a column for each field of its records. Names of columns come from code, never from a request.

    Args:
        database: where it is.
        name: of the table.
        record: the dataclass of its rows.
        json_columns: the fields that are kept as JSON.
        order: what SQL orders the rows by, the oldest first.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        record: type[Record],
        json_columns: Collection[str] = (),
        order: str = "position",
    ) -> None:
        self._database = database
        self._name = name
        self._record = record
        self._json_columns = frozenset(json_columns)
        self._types = {field.name: field.type for field in fields(record)}
        self._order = order

    def insert(self, record: Record) -> None:
        """Add a record.

        Raises:
            sqlite3.IntegrityError: when its id is taken, or when it belongs to something that is not there.
        """
        marks = ", ".join("?" * len(self._types))
        values = [self._to_column(name, getattr(record, name)) for name in self._types]
        with self._database.transaction() as connection:
            connection.execute(f"INSERT INTO {self._name} ({', '.join(self._types)}) VALUES ({marks})", values)

    def get(self, **columns: Value) -> Record | None:
        """Give the record that has these values, if there is one."""
        condition, values = _equal(columns)
        return self.first(condition, *values)

    def first(self, condition: str, *values: Value) -> Record | None:
        """Give the oldest of the records that fulfil an SQL condition, if there is one."""
        row = self._database.row(
            f"SELECT * FROM {self._name} WHERE {condition} ORDER BY {self._order} LIMIT 1", *values
        )
        return self._from_row(row) if row else None

    def select(self, condition: str, *values: Value) -> list[Record]:
        """Give the records that fulfil an SQL condition, the oldest first."""
        rows = self._database.rows(f"SELECT * FROM {self._name} WHERE {condition} ORDER BY {self._order}", *values)
        return [self._from_row(row) for row in rows]

    def page(
        self, limit: int, start: int, wanted: Callable[[Record], bool] | None = None, **columns: Value
    ) -> tuple[list[Record], int]:
        """Give a page of the records with these values, newest first, and how many there are in all.

        Args:
            limit: how many records the page has at most.
            start: how many newer ones come before it.
            wanted: tells which of the records with these values count; all without it.
            columns: the values; ``None`` stands for any.
        """
        condition, values = _equal({name: value for name, value in columns.items() if value is not None})
        if wanted is not None:
            found = [record for record in reversed(self.select(condition, *values)) if wanted(record)]
            return found[start : start + limit], len(found)
        rows = self._database.rows(
            f"SELECT * FROM {self._name} WHERE {condition} ORDER BY {self._order} DESC LIMIT ? OFFSET ?",
            *(*values, limit, start),
        )
        (total,) = self._database.rows(f"SELECT COUNT(*) AS n FROM {self._name} WHERE {condition}", *values)
        return [self._from_row(row) for row in rows], total["n"]

    def update(self, record: Record, *columns: str) -> None:
        """Write these fields of a record to the row with its id."""
        changes = ", ".join(f"{name} = ?" for name in columns)
        values = [self._to_column(name, getattr(record, name)) for name in (*columns, "id")]
        with self._database.transaction() as connection:
            connection.execute(f"UPDATE {self._name} SET {changes} WHERE id = ?", values)

    def delete(self, **columns: Value) -> None:
        """Delete the records that have these values.

        Raises:
            sqlite3.IntegrityError: when something that is not deleted with them refers to one.
        """
        condition, values = _equal(columns)
        with self._database.transaction() as connection:
            connection.execute(f"DELETE FROM {self._name} WHERE {condition}", values)

    def _to_column(self, name: str, value: Any) -> Value:
        return json.dumps(value) if name in self._json_columns and value is not None else value

    def _from_row(self, row: sqlite3.Row) -> Record:
        return self._record(**{name: self._from_column(name, row[name]) for name in self._types})

    def _from_column(self, name: str, value: Value) -> Any:
        if self._types[name] is bool:
            return bool(value)  # SQLite has numbers for it
        return json.loads(str(value)) if name in self._json_columns and value is not None else value


def _equal(columns: dict[str, Value]) -> tuple[str, list[Value]]:
    """Give the SQL condition that columns have these values, and the values; it is true where there are none."""
    return " AND ".join(f"{name} = ?" for name in columns) or "TRUE", list(columns.values())
