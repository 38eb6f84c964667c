"""Tuned models: a soft prompt, and the base model it belongs to."""

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from .database import Database


@dataclass(frozen=True)
class Model:
    """A tuned model."""

    id: str
    project_id: str
    training_id: str
    name: str
    description: str
    base_model_id: str
    task_id: str | None
    verbalizer: str
    created_at: str


class Models:
    """The tuned models of all projects; a training makes them.

    Args:
        database: where they are recorded.
        folder: holds one soft prompt per model.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def get(self, project_id: str, model_id: str) -> Model | None:
        """A model of a project, if it is there."""
        row = self._database.row("SELECT * FROM models WHERE id = ? AND project_id = ?", model_id, project_id)
        return _model(row) if row else None

    def page(self, project_id: str, limit: int, start: int = 0) -> tuple[list[Model], int]:
        """A page of a project's models, newest first, and how many there are in all."""
        rows = self._database.rows(
            "SELECT * FROM models WHERE project_id = ? ORDER BY position DESC LIMIT ? OFFSET ?",
            project_id,
            limit,
            start,
        )
        total = self._database.row("SELECT COUNT(*) AS n FROM models WHERE project_id = ?", project_id)
        return [_model(row) for row in rows], total["n"] if total else 0

    def update(self, model: Model) -> None:
        """Record a model's new name and description."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE models SET name = ?, description = ? WHERE id = ?", (model.name, model.description, model.id)
            )

    def delete(self, model: Model) -> bool:
        """Delete a model; ``False``, and nothing done, while it is deployed."""
        try:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM models WHERE id = ?", (model.id,))
        except sqlite3.IntegrityError:
            return False
        shutil.rmtree(self.soft_prompt(model.id), ignore_errors=True)
        return True

    def soft_prompt(self, model_id: str) -> Path:
        """The folder of a model's soft prompt; the id is one of ours."""
        return self._folder / model_id


def _model(row: sqlite3.Row) -> Model:
    return Model(**{key: row[key] for key in row.keys() if key != "position"})  # noqa: SIM118
