"""Trainings: what was asked for, how far it is, and what came of it."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from .database import Database
from .models import Model, Models
from .table import Table

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
        """Say whether nothing more will happen to it."""
        return self.state in TERMINAL


class Trainings:
    """The trainings of all projects. Each change is one transaction that checks the state it starts from.

    Args:
        database: where they are kept.
        models: where a completed training's model is recorded.
    """

    def __init__(self, database: Database, models: Models) -> None:
        self._database = database
        self._table = Table(database, "trainings", Training, json_columns=("tags", "request", "failure"))
        self._models = models

    def create(
        self, training_id: str, project_id: str, name: str, description: str, tags: list[str], request: dict[str, Any]
    ) -> Training:
        """Record a training that waits for its turn."""
        created = self._database.now()
        training = Training(
            id=training_id,
            project_id=project_id,
            name=name,
            description=description,
            tags=tags,
            request=request,
            state="pending",
            failure=None,
            model_id=str(uuid.uuid4()),
            created_at=created,
            modified_at=created,
            running_at=None,
            completed_at=None,
        )
        self._table.insert(training)
        return training

    def get(self, project_id: str, training_id: str) -> Training | None:
        """Give a training of a project, if it is there."""
        return self._table.get(id=training_id, project_id=project_id)

    def find(self, training_id: str) -> Training | None:
        """Give a training of whichever project, if it is there."""
        return self._table.get(id=training_id)

    def page(
        self, project_id: str, limit: int, start: int = 0, wanted: Callable[[Training], bool] | None = None
    ) -> tuple[list[Training], int]:
        """Give a page of a project's trainings, newest first, and how many there are in all."""
        return self._table.page(limit, start, wanted, project_id=project_id)

    def next_waiting(self) -> Training | None:
        """Give the training whose turn it is."""
        # One that is recorded as running was left so by an error in the queue's one thread.
        return self._table.first("state IN ('pending', 'running')")

    def shown_states(self) -> Callable[[Training], str]:
        """Give the function that tells a training's state as clients see it: queued, while another comes first."""
        turn = cache(self.next_waiting)  # which looks through all trainings, so only if one waits

        def shown(training: Training) -> str:
            if training.state != "pending":
                return training.state
            first = turn()
            return "queued" if first is not None and first.id != training.id else training.state

        return shown

    def start(self, training_id: str) -> bool:
        """Record that a waiting training runs; give ``False`` if it no longer waits."""
        return self._change(
            training_id,
            ("pending",),
            "state = 'running', running_at = COALESCE(running_at, ?)",
            self._database.now(),
        )

    def wait_again(self, training_id: str) -> bool:
        """Record that a running training resumes later."""
        return self._change(training_id, ("running",), "state = 'pending'")

    def wait_all_again(self) -> None:
        """Record that no training runs, as at the start of a server."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE trainings SET state = 'pending' WHERE state = 'running'")

    def cancel(self, training_id: str) -> bool:
        """Record that a training is canceled; give ``False`` if it is over already."""
        return self._change(
            training_id, ("pending", "running"), "state = 'canceled', completed_at = ?", self._database.now()
        )

    def fail(self, training_id: str, code: str, message: str) -> bool:
        """Record why a training failed; give ``False`` if it is over already."""
        failure = json.dumps({"code": code, "message": message})
        return self._change(
            training_id,
            ("pending", "running"),
            "state = 'failed', failure = ?, completed_at = ?",
            failure,
            self._database.now(),
        )

    def complete(self, training: Training) -> bool:
        """Record a training's end together with its model; give ``False`` if it is over already, or deleted."""
        tuning = training.request["prompt_tuning"]
        finished = self._database.now()
        model = Model(
            id=training.model_id,
            project_id=training.project_id,
            training_id=training.id,
            name=training.name,
            description=training.description,
            base_model_id=tuning["base_model"]["model_id"],
            task_id=tuning.get("task_id"),
            verbalizer=tuning["verbalizer"],
            created_at=finished,
        )
        with self._database.transaction():
            completed = self._change(
                training.id, ("pending", "running"), "state = 'completed', completed_at = ?", finished
            )
            if completed:
                self._models.add(model)
        return completed

    def delete(self, training_id: str) -> None:
        """Delete a training's record; its model stays."""
        self._table.delete(id=training_id)

    def delete_all(self, project_id: str) -> list[Training]:
        """Delete the records of a project's trainings; give what they were."""
        trainings = self._table.select("project_id = ?", project_id)
        self._table.delete(project_id=project_id)
        return trainings

    def _change(self, training_id: str, states: tuple[str, ...], change: str, *values: str) -> bool:
        marks = ", ".join("?" * len(states))
        with self._database.transaction() as connection:
            changed = connection.execute(
                f"UPDATE trainings SET {change}, modified_at = ? WHERE id = ? AND state IN ({marks})",
                (*values, self._database.now(), training_id, *states),
            ).rowcount
        return changed > 0
