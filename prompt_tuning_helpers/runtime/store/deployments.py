"""Deployments: a tuned model that answers, under its id and maybe a serving name."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .database import Database
from .table import Table


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
    custom: dict[str, Any] = field(default_factory=dict)


class ServingNameTaken(Exception):
    """Another deployment of this runtime has the serving name."""


class Deployments:
    """The deployments of all projects.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._table = Table(database, "deployments", Deployment, json_columns=("tags", "custom"))

    def create(
        self,
        project_id: str,
        model_id: str,
        name: str,
        description: str,
        tags: list[str],
        serving_name: str | None,
        custom: dict[str, Any] | None = None,
    ) -> Deployment:
        """Deploy a model.

        Raises:
            ServingNameTaken: when another deployment, of whichever project, has the name.
        """
        made = Deployment(
            str(uuid.uuid4()),
            project_id,
            model_id,
            name,
            description,
            tags,
            serving_name,
            self._database.now(),
            custom or {},
        )
        with self._database.transaction():
            self._check_serving_name(made)
            self._table.insert(made)
        return made

    def update(self, deployment: Deployment) -> None:
        """Record a deployment's new model, names, description, tags and custom fields.

        Raises:
            ServingNameTaken: when another deployment, of whichever project, has the serving name.
        """
        with self._database.transaction():
            self._check_serving_name(deployment)
            self._table.update(deployment, "model_id", "name", "description", "tags", "serving_name", "custom")

    def get(self, project_id: str, deployment_id: str) -> Deployment | None:
        """Give a deployment of a project, if it is there."""
        return self._table.get(id=deployment_id, project_id=project_id)

    def by_serving_name(self, serving_name: str) -> Deployment | None:
        """Give the deployment that has a serving name, of whichever project."""
        return self._table.get(serving_name=serving_name)

    def find(self, id_or_name: str) -> Deployment | None:
        """Give the deployment with this id or else this serving name; inference names no project."""
        return self._table.get(id=id_or_name) or self.by_serving_name(id_or_name)

    def project_of(self, id_or_name: str) -> str | None:
        """Give the project of the deployment that ``find`` gives, if there is one."""
        found = self.find(id_or_name)
        return found.project_id if found else None

    def page(
        self,
        project_id: str,
        limit: int,
        start: int = 0,
        model_id: str | None = None,
        serving_name: str | None = None,
        name: str | None = None,
        wanted: Callable[[Deployment], bool] | None = None,
    ) -> tuple[list[Deployment], int]:
        """Give a page of a project's deployments, newest first, and how many there are in all."""
        return self._table.page(
            limit, start, wanted, project_id=project_id, model_id=model_id, serving_name=serving_name, name=name
        )

    def delete(self, deployment: Deployment) -> None:
        """Delete a deployment; its serving name is free again."""
        self._table.delete(id=deployment.id)

    def delete_all(self, project_id: str) -> None:
        """Delete a project's deployments."""
        self._table.delete(project_id=project_id)

    def _check_serving_name(self, deployment: Deployment) -> None:
        """Refuse a name that is taken; inside a transaction, so that of two at once only one can pass."""
        other = self.by_serving_name(deployment.serving_name) if deployment.serving_name is not None else None
        if other is not None and other.id != deployment.id:
            raise ServingNameTaken
