"""Projects: what everything else belongs to."""

import uuid
from dataclasses import dataclass

from .database import Database
from .table import Table


@dataclass(frozen=True)
class Project:
    """A project of the runtime's one user."""

    id: str
    name: str
    description: str
    created_at: str


class Projects:
    """The projects of a runtime.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._table = Table(database, "projects", Project, order="created_at, id")

    def create(self, name: str, description: str = "", project_id: str | None = None) -> Project:
        """Make a project; with an id that exists, leave that one as it is."""
        project = Project(project_id or str(uuid.uuid4()), name, description, self._database.now())
        with self._database.transaction():
            existing = self.get(project.id)
            if existing is None:
                self._table.insert(project)
        return existing or project

    def get(self, project_id: str) -> Project | None:
        """Give the project with this id, if any."""
        return self._table.get(id=project_id)

    def all(self) -> list[Project]:
        """Give all projects, the newest last."""
        return self._table.select("TRUE")

    def delete(self, project_id: str) -> None:
        """Delete a project's record, and with it those of all it owns."""
        self._table.delete(id=project_id)
