"""Assets, runs, models and deployments through the SDK's other calls."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ibm_watsonx_ai.helpers import DataConnection
from ibm_watsonx_ai.utils.enums import AssetDuplicateAction
from ibm_watsonx_ai.wml_client_error import WMLClientError

from .conftest import Lesson, make_tuner


def test_asset_round_trip(client: Any, rows_file: Path, tmp_path: Path) -> None:
    created = client.data_assets.create(name="round", file_path=str(rows_file))
    asset_id = client.data_assets.get_id(created)
    assert client.data_assets.get_details(asset_id)["metadata"]["name"] == "round"
    assert asset_id in set(client.data_assets.list()["ASSET_ID"])
    assert any(item["metadata"]["asset_id"] == asset_id for item in client.data_assets.get_details()["resources"])
    target = tmp_path / "copy.json"
    client.data_assets.download(asset_id, str(target))
    assert target.read_bytes() == rows_file.read_bytes()
    assert client.data_assets.get_content(asset_id) == rows_file.read_bytes()
    with pytest.raises(WMLClientError):
        client.data_assets.create(name="round", file_path=str(rows_file), duplicate_action=AssetDuplicateAction.REJECT)
    assert client.data_assets.delete(asset_id) == "SUCCESS"
    with pytest.raises(WMLClientError, match="no asset of this id"):
        client.data_assets.get_details(asset_id)


def test_asset_by_acreate(client: Any, async_client: Any, rows_file: Path) -> None:
    created = asyncio.run(async_client.data_assets.acreate(name="async", file_path=str(rows_file)))
    asset_id = client.data_assets.get_id(created)
    assert client.data_assets.get_content(asset_id) == rows_file.read_bytes()
    assert client.data_assets.delete(asset_id, purge_on_delete=True) == "SUCCESS"


def test_empty_file(client: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.touch()
    before = len(client.data_assets.list())
    with pytest.raises(WMLClientError):
        client.data_assets.create(name="empty", file_path=str(empty))
    assert len(client.data_assets.list()) == before


def test_runs(experiment: Any, lesson: Lesson) -> None:
    training_id = lesson.details["metadata"]["id"]
    listed = experiment.runs.list()
    assert training_id in set(listed["run_id"])
    assert training_id in set(experiment.runs(filter="conformance").list()["run_id"])
    assert experiment.runs.get_run_details(training_id)["metadata"]["id"] == training_id
    assert experiment.runs.get_run_details()["metadata"]["id"]
    tuner = experiment.runs.get_tuner(training_id)
    assert tuner.get_run_status() == "completed"
    assert tuner.get_model_id() == lesson.model_id


def test_models(client: Any, lesson: Lesson) -> None:
    assert lesson.model_id in set(client.repository.list_models()["ID"])
    assert client.repository.get_model_details(lesson.model_id)["entity"]["type"] == "prompt_tune_1.0"
    assert client.repository.get_details(lesson.model_id)["metadata"]["id"] == lesson.model_id
    with pytest.raises(WMLClientError, match="existing deployments"):
        client.repository.delete(lesson.model_id)


def test_serving_name_is_taken(client: Any, lesson: Lesson) -> None:
    names = client.deployments.ConfigurationMetaNames
    meta = {names.NAME: "again", names.ONLINE: {}, names.SERVING_NAME: "conformance_2026"}
    with pytest.raises(WMLClientError, match="is taken by another deployment"):
        client.deployments.create(lesson.model_id, meta)


def test_background_run_and_cancel(client: Any, experiment: Any, lesson: Lesson) -> None:
    """A run that is canceled softly keeps its record; then the record goes, too."""
    tuner = make_tuner(experiment, num_epochs=2000)
    details = tuner.run([DataConnection(data_asset_id=lesson.asset_id)], background_mode=True)
    training_id = details["metadata"]["id"]
    assert tuner.get_run_status() in ("queued", "pending", "running")
    tuner.cancel_run()
    assert tuner.get_run_status() == "canceled"
    tuner.cancel_run()  # the SDK takes "already completed" for a success
    tuner.cancel_run(hard_delete=True)
    assert training_id not in set(experiment.runs.list()["run_id"])
    with pytest.raises(WMLClientError, match="no training of this id"):
        client.training.get_details(training_id)


def test_other_lists_are_there(client: Any) -> None:
    assert len(client.software_specifications.list()) == 0
    assert client.spaces.get_details()["resources"] == []


def test_projects(client: Any, live_runtime: object) -> None:
    assert client.projects.get_details()["resources"][0]["entity"]["name"]
