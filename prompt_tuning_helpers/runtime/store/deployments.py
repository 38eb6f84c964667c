"""Deployments: a tuned model that answers, under its id and maybe a serving name."""

import json
import sqlite3
import uuid
from dataclasses import dataclass

from .database import Database, now


@dataclass(frozen=True)
class Deployment:
    """An online deployment of a tuned model."""

    id: str
    project_id: str
    model_id: str
    name: str
    description: str
    tags: list[str]
    serving_name: str | None
    created_at: str


class ServingNameTaken(Exception):
    """Another deployment of this runtime has the serving name."""


class Deployments:
    """The deployments of all projects.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, project_id: str, model_id: str, name: str, description: str, tags: list[str], serving_name: str | None
    ) -> Deployment:
        """Deploy a model.

        Raises:
            ServingNameTaken: when another deployment, of whichever project, has the name.
        """
        made = Deployment(str(uuid.uuid4()), project_id, model_id, name, description, tags, serving_name, now())
        with self._database.transaction() as connection:
            # Checked inside the transaction, so that of two at once only one can pass.
            if serving_name is not None and self.by_serving_name(serving_name) is not None:
                raise ServingNameTaken
            connection.execute(
                "INSERT INTO deployments (id, project_id, model_id, name, description, tags, serving_name, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (made.id, project_id, model_id, name, description, json.dumps(tags), serving_name, made.created_at),
            )
        return made

    def update(self, deployment: Deployment) -> None:
        """Record a deployment's new model, names, description and tags.

        Raises:
            ServingNameTaken: when another deployment, of whichever project, has the serving name.
        """
        with self._database.transaction() as connection:
            other = self.by_serving_name(deployment.serving_name) if deployment.serving_name is not None else None
            if other is not None and other.id != deployment.id:
                raise ServingNameTaken
            connection.execute(
                "UPDATE deployments SET model_id = ?, name = ?, description = ?, tags = ?, serving_name = ?"
                " WHERE id = ?",
                (
                    *(deployment.model_id, deployment.name, deployment.description, json.dumps(deployment.tags)),
                    *(deployment.serving_name, deployment.id),
                ),
            )

    def get(self, project_id: str, deployment_id: str) -> Deployment | None:
        """A deployment of a project, if it is there."""
        row = self._database.row("SELECT * FROM deployments WHERE id = ? AND project_id = ?", deployment_id, project_id)
        return _deployment(row) if row else None

    def by_serving_name(self, serving_name: str) -> Deployment | None:
        """The deployment that has a serving name, of whichever project."""
        row = self._database.row("SELECT * FROM deployments WHERE serving_name = ?", serving_name)
        return _deployment(row) if row else None

    def find(self, id_or_name: str) -> Deployment | None:
        """The deployment with this id or serving name; inference names no project."""
        row = self._database.row(
            "SELECT * FROM deployments WHERE id = ? OR serving_name = ? ORDER BY id = ? DESC",
            id_or_name,
            id_or_name,
            id_or_name,
        )
        return _deployment(row) if row else None

    def page(
        self,
        project_id: str,
        limit: int,
        start: int = 0,
        model_id: str | None = None,
        serving_name: str | None = None,
        name: str | None = None,
    ) -> tuple[list[Deployment], int]:
        """A page of a project's deployments, newest first, and how many there are in all."""
        condition = (
            "project_id = ? AND (? IS NULL OR model_id = ?) AND (? IS NULL OR serving_name = ?)"
            " AND (? IS NULL OR name = ?)"
        )
        values = (project_id, model_id, model_id, serving_name, serving_name, name, name)
        rows = self._database.rows(
            f"SELECT * FROM deployments WHERE {condition} ORDER BY position DESC LIMIT ? OFFSET ?",
            *values,
            limit,
            start,
        )
        total = self._database.row(f"SELECT COUNT(*) AS n FROM deployments WHERE {condition}", *values)
        return [_deployment(row) for row in rows], total["n"] if total else 0

    def delete(self, deployment: Deployment) -> None:
        """Delete a deployment; its serving name is free again."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM deployments WHERE id = ?", (deployment.id,))


def _deployment(row: sqlite3.Row) -> Deployment:
    values = {key: row[key] for key in row.keys() if key not in ("position", "tags")}  # noqa: SIM118
    return Deployment(**values, tags=json.loads(row["tags"]))
