"""Projects: what everything else belongs to."""

import uuid
from dataclasses import dataclass

from .database import Database, now


@dataclass(frozen=True)
class Project:
    """A project of the runtime's one user."""

    id: str
    name: str
    description: str
    created_at: str


@dataclass(frozen=True)
class Removed:
    """Ids of what was deleted with a project; the files that belong to them are still there."""

    attachments: list[str]
    trainings: list[str]
    models: list[str]


class Projects:
    """The projects of a runtime.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, description: str = "", project_id: str | None = None) -> Project:
        """Make a project; with an id that exists, leave that one as it is."""
        project = Project(project_id or str(uuid.uuid4()), name, description, now())
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO projects (id, name, description, created_at) VALUES (?, ?, ?, ?)",
                (project.id, project.name, project.description, project.created_at),
            )
        return project

    def get(self, project_id: str) -> Project | None:
        """The project with this id, if any."""
        row = self._database.row("SELECT * FROM projects WHERE id = ?", project_id)
        return Project(**row) if row else None

    def all(self) -> list[Project]:
        """All projects, the newest last."""
        return [Project(**row) for row in self._database.rows("SELECT * FROM projects ORDER BY created_at, id")]

    def delete(self, project_id: str) -> Removed:
        """Delete a project's record with those of all it owns."""
        with self._database.transaction() as connection:
            removed = self.empty(project_id)
            connection.execute("DELETE FROM projects WHERE id = ?", (project_id,))
        return removed

    def empty(self, project_id: str) -> Removed:
        """Delete the records of all that a project owns, and not its own."""
        with self._database.transaction() as connection:
            # Read inside the transaction: these are exactly the records that it deletes.
            removed = self._owned(project_id)
            for table in ("deployments", "models", "trainings", "assets"):
                connection.execute(f"DELETE FROM {table} WHERE project_id = ?", (project_id,))
        return removed

    def _owned(self, project_id: str) -> Removed:
        def ids(query: str) -> list[str]:
            return [row["id"] for row in self._database.rows(query, project_id)]

        return Removed(
            attachments=ids(
                "SELECT attachments.id FROM attachments JOIN assets ON assets.id = asset_id WHERE project_id = ?"
            ),
            trainings=ids("SELECT id FROM trainings WHERE project_id = ?"),
            # A model may lie in its place before it is recorded, under the id that its training has for it.
            models=ids(
                "SELECT id FROM models WHERE project_id = ?1 UNION SELECT model_id FROM trainings WHERE project_id = ?1"
            ),
        )
