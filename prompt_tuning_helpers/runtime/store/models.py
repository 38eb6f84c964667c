"""Tuned models: a soft prompt, and the base model it belongs to."""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .database import Database
from .table import Table


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
    tags: list[str] = field(default_factory=list)


class Models:
    """The tuned models of all projects; a training makes them.

    Args:
        database: where they are recorded.
        folder: holds one soft prompt per model.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._table = Table(database, "models", Model, json_columns=("tags",))
        self._folder = folder

    def add(self, model: Model) -> None:
        """Record a model whose soft prompt is in its place."""
        self._table.insert(model)

    def get(self, project_id: str, model_id: str) -> Model | None:
        """Give a model of a project, if it is there."""
        return self._table.get(id=model_id, project_id=project_id)

    def page(
        self, project_id: str, limit: int, start: int = 0, wanted: Callable[[Model], bool] | None = None
    ) -> tuple[list[Model], int]:
        """Give a page of a project's models, newest first, and how many there are in all."""
        return self._table.page(limit, start, wanted, project_id=project_id)

    def update(self, model: Model) -> None:
        """Record a model's new name, description and tags."""
        self._table.update(model, "name", "description", "tags")

    def delete(self, model: Model) -> bool:
        """Delete a model; give ``False``, and do nothing, while it is deployed."""
        try:
            self._table.delete(id=model.id)
        except sqlite3.IntegrityError:
            return False
        self.remove_soft_prompt(model.id)
        return True

    def delete_all(self, project_id: str) -> list[str]:
        """Delete the records of a project's models, of which none is deployed; give their ids."""
        models = self._table.select("project_id = ?", project_id)
        self._table.delete(project_id=project_id)
        return [model.id for model in models]

    def remove_soft_prompt(self, model_id: str) -> None:
        """Remove the soft prompt of a model whose record was deleted, or of one that was never recorded."""
        shutil.rmtree(self.soft_prompt(model_id), ignore_errors=True)

    def soft_prompt(self, model_id: str) -> Path:
        """Give the folder of a model's soft prompt; the id is one of ours."""
        return self._folder / model_id
