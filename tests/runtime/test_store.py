"""The store: what is recorded comes back as it was, and what belongs together is recorded and deleted together."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning_helpers.runtime.store.assets import Asset, Assets
from prompt_tuning_helpers.runtime.store.database import Database
from prompt_tuning_helpers.runtime.store.models import Models
from prompt_tuning_helpers.runtime.store.projects import Projects
from prompt_tuning_helpers.runtime.store.state import State
from prompt_tuning_helpers.runtime.store.table import Table
from prompt_tuning_helpers.runtime.store.trainings import Trainings

REQUEST: dict[str, Any] = {"prompt_tuning": {"base_model": {"model_id": "local/fake"}, "verbalizer": "{{input}}"}}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    state = State(tmp_path)
    state.prepare()
    opened = Database(state)
    Projects(opened).create("P", project_id="p")
    yield opened
    opened.close()


@pytest.fixture
def assets(database: Database, tmp_path: Path) -> Assets:
    return Assets(database, tmp_path)


@pytest.fixture
def trainings(database: Database, tmp_path: Path) -> Trainings:
    return Trainings(database, Models(database, tmp_path))


def test_records_come_back_as_they_were(database: Database, assets: Assets, trainings: Trainings) -> None:
    asset = assets.create("p", "ä", tags=["b", "a"])
    assert assets.get("p", asset.id) == asset
    attachment = assets.attach(asset, "rows.json", "text/x")
    assert assets.attachment(attachment.id) == attachment
    assert attachment.complete is False
    training = trainings.create("t", "p", "T", "", ["x"], REQUEST)
    assert trainings.get("p", "t") == training
    assert trainings.fail("t", "code", "Why.")
    failed = trainings.find("t")
    assert failed is not None
    assert failed == replace(
        training,
        state="failed",
        failure={"code": "code", "message": "Why."},
        completed_at=failed.completed_at,
        modified_at=failed.modified_at,
    )


def test_pages_are_newest_first_and_filtered(database: Database, assets: Assets) -> None:
    table = Table(database, "assets", Asset, json_columns=("tags",))
    made = [assets.create("p", name) for name in "abcab"]
    assert table.page(2, 1, project_id="p", name=None) == ([made[3], made[2]], 5)
    assert table.page(9, 0, project_id="p", name="a") == ([made[3], made[0]], 2)
    assert table.page(9, 9, project_id="p") == ([], 5)
    assert table.page(9, 0, project_id="another") == ([], 0)
    assert table.first("name = ?", "b") == made[1]


def test_only_the_named_fields_are_updated(database: Database, assets: Assets) -> None:
    table = Table(database, "assets", Asset, json_columns=("tags",))
    asset, other = assets.create("p", "a"), assets.create("p", "b")
    table.update(replace(asset, tags=["new"], name="not written"), "tags")
    assert table.get(id=asset.id) == replace(asset, tags=["new"])
    assert table.get(id=other.id) == other


def test_what_belongs_to_nothing_is_refused(database: Database, assets: Assets) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        assets.create("no such project", "a")


def test_a_training_is_completed_together_with_its_model(
    database: Database, trainings: Trainings, tmp_path: Path
) -> None:
    training = trainings.create("t", "p", "T", "D", [], REQUEST)
    with pytest.raises(KeyError):
        trainings.complete(replace(training, request={}))
    assert trainings.complete(training)
    model = Models(database, tmp_path).get("p", training.model_id)
    assert model is not None
    assert (model.training_id, model.base_model_id, model.task_id) == ("t", "local/fake", None)
    assert not trainings.complete(training)
    assert Models(database, tmp_path).page("p", 9) == ([model], 1)


def test_only_who_waits_for_another_training_is_queued(trainings: Trainings) -> None:
    first, second = (trainings.create(name, "p", "T", "", [], REQUEST) for name in ("one", "two"))
    assert trainings.next_waiting() == first
    assert list(map(trainings.shown_states(), (first, second))) == ["pending", "queued"]
    assert trainings.cancel(first.id)
    assert trainings.shown_states()(second) == "pending"
    assert trainings.next_waiting() == second


def test_an_id_makes_a_project_once(database: Database) -> None:
    first = Projects(database).create("other name", project_id="p")
    assert first.name == "P"
    assert Projects(database).all() == [first]
