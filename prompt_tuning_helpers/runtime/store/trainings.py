"""Trainings: what was asked for, how far it is, and what came of it."""

import json
import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

from .database import Database, now

TERMINAL = ("completed", "failed", "canceled")


@dataclass(frozen=True)
class Training:
    """A training.

    Args:
        request: the request's body with the settings that were left out filled in.
        state: pending, running, completed, failed or canceled.
        failure: why it failed, ``{"code", "message"}``.
        model_id: the id that the tuned model has or will have.
    """

    position: int
    id: str
    project_id: str
    name: str
    description: str
    tags: list[str]
    request: dict[str, Any]
    state: str
    failure: dict[str, str] | None
    model_id: str
    created_at: str
    modified_at: str
    running_at: str | None
    completed_at: str | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in TERMINAL


class Trainings:
    """The trainings of all projects. Each change is one transaction that checks the state it starts from.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, training_id: str, project_id: str, name: str, description: str, tags: list[str], request: dict[str, Any]
    ) -> Training:
        """Record a training that waits for its turn."""
        created = now()
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO trainings (id, project_id, name, description, tags, request, state, model_id, created_at,"
                " modified_at) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)",
                (
                    *(training_id, project_id, name, description, json.dumps(tags), json.dumps(request)),
                    *(str(uuid.uuid4()), created, created),
                ),
            )
        made = self.get(project_id, training_id)
        assert made is not None
        return made

    def get(self, project_id: str, training_id: str) -> Training | None:
        """A training of a project, if it is there."""
        row = self._database.row("SELECT * FROM trainings WHERE id = ? AND project_id = ?", training_id, project_id)
        return _training(row) if row else None

    def find(self, training_id: str) -> Training | None:
        """A training of whichever project."""
        row = self._database.row("SELECT * FROM trainings WHERE id = ?", training_id)
        return _training(row) if row else None

    def page(
        self, project_id: str, limit: int, start: int = 0, state: str | None = None, tags: list[str] | None = None
    ) -> tuple[list[Training], int]:
        """A page of a project's trainings, newest first, and how many there are in all."""
        rows = self._database.rows("SELECT * FROM trainings WHERE project_id = ? ORDER BY position DESC", project_id)
        found = [
            training
            for training in map(_training, rows)
            if (state is None or training.state == state) and set(tags or ()) <= set(training.tags)
        ]
        return found[start : start + limit], len(found)

    def next_waiting(self) -> Training | None:
        """The training whose turn it is."""
        # One that is recorded as running was left so by an error in the queue's one thread.
        row = self._database.row(
            "SELECT * FROM trainings WHERE state IN ('pending', 'running') ORDER BY position LIMIT 1"
        )
        return _training(row) if row else None

    def has_others_ahead(self, training: Training) -> bool:
        """Whether an older training is not over yet."""
        row = self._database.row(
            "SELECT 1 FROM trainings WHERE state IN ('pending', 'running') AND position < ? LIMIT 1", training.position
        )
        return row is not None

    def start(self, training_id: str) -> bool:
        """Record that a waiting training runs; ``False`` if it no longer waits."""
        return self._change(training_id, ("pending",), "state = 'running', running_at = COALESCE(running_at, ?)", now())

    def wait_again(self, training_id: str) -> bool:
        """Record that a running training goes on later."""
        return self._change(training_id, ("running",), "state = 'pending'")

    def wait_all_again(self) -> None:
        """Record that no training runs, as at the start of a server."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE trainings SET state = 'pending' WHERE state = 'running'")

    def cancel(self, training_id: str) -> bool:
        """Record that a training is canceled; ``False`` if it is over already."""
        return self._change(training_id, ("pending", "running"), "state = 'canceled', completed_at = ?", now())

    def fail(self, training_id: str, code: str, message: str) -> bool:
        """Record why a training failed; ``False`` if it is over already."""
        failure = json.dumps({"code": code, "message": message})
        return self._change(
            training_id, ("pending", "running"), "state = 'failed', failure = ?, completed_at = ?", failure, now()
        )

    def complete(self, training: Training) -> bool:
        """Record a training's end together with its model; ``False`` if it is over already, or deleted."""
        tuning = training.request["prompt_tuning"]
        finished = now()
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE trainings SET state = 'completed', completed_at = ?, modified_at = ?"
                " WHERE id = ? AND state IN ('pending', 'running')",
                (finished, finished, training.id),
            ).rowcount
            if changed:
                connection.execute(
                    "INSERT INTO models (id, project_id, training_id, name, description, base_model_id, task_id,"
                    " verbalizer, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(training.model_id, training.project_id, training.id, training.name, training.description),
                        *(tuning["base_model"]["model_id"], tuning.get("task_id"), tuning["verbalizer"], finished),
                    ),
                )
        return changed > 0

    def delete(self, training_id: str) -> None:
        """Delete a training's record; its model stays."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM trainings WHERE id = ?", (training_id,))

    def _change(self, training_id: str, states: tuple[str, ...], change: str, *values: str) -> bool:
        marks = ", ".join("?" * len(states))
        with self._database.transaction() as connection:
            changed = connection.execute(
                f"UPDATE trainings SET {change}, modified_at = ? WHERE id = ? AND state IN ({marks})",
                (*values, now(), training_id, *states),
            ).rowcount
        return changed > 0


def _training(row: sqlite3.Row) -> Training:
    values = {key: row[key] for key in row.keys() if key not in ("tags", "request", "failure")}  # noqa: SIM118
    return Training(
        **values,
        tags=json.loads(row["tags"]),
        request=json.loads(row["request"]),
        failure=json.loads(row["failure"]) if row["failure"] else None,
    )
