"""Assets, runs, models and deployments: found, listed, paged and deleted through the SDK's other calls."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection
from ibm_watsonx_ai.utils.enums import AssetDuplicateAction
from ibm_watsonx_ai.wml_client_error import WMLClientError

from tests.support.lesson import Lesson, Run, make_tuner, wait_for
from tests.support.service import NAME, Service

pytestmark = pytest.mark.watsonx


def ids(resources: Iterable[dict[str, Any]]) -> list[str]:
    return [item["metadata"]["id"] for item in resources]


def test_asset_round_trip(client: Any, rows_file: Path, tmp_path: Path) -> None:
    name = f"{NAME} round"
    names = client.data_assets.ConfigurationMetaNames
    meta = {names.NAME: name, names.DESCRIPTION: "rows", names.DATA_CONTENT_NAME: str(rows_file)}
    created = client.data_assets.store(meta)
    asset_id = client.data_assets.get_id(created)
    metadata = client.data_assets.get_details(asset_id)["metadata"]
    assert (metadata["name"], metadata["description"]) == (name, "rows")
    assert asset_id in client.data_assets.get_href(created)
    assert asset_id in set(client.data_assets.list()["ASSET_ID"])
    assert len(client.data_assets.list(limit=1)) == 1
    assert any(item["metadata"]["asset_id"] == asset_id for item in client.data_assets.get_details()["resources"])
    target = tmp_path / "copy.json"
    client.data_assets.download(asset_id, str(target))
    assert target.read_bytes() == rows_file.read_bytes()
    assert client.data_assets.get_content(asset_id) == rows_file.read_bytes()
    with pytest.raises(WMLClientError):
        client.data_assets.create(name=name, file_path=str(rows_file), duplicate_action=AssetDuplicateAction.REJECT)
    assert client.data_assets.delete(asset_id) == "SUCCESS"
    with pytest.raises(WMLClientError):
        client.data_assets.get_details(asset_id)


def test_asset_asynchronously(async_client: Any, client: Any, rows_file: Path, tmp_path: Path) -> None:
    """An asynchronous upload is sent in chunks, without its length."""
    assets, target = async_client.data_assets, tmp_path / "copy.json"

    async def go_round() -> str:
        asset_id: str = assets.get_id(await assets.acreate(name=f"{NAME} async", file_path=str(rows_file)))
        assert (await assets.aget_details(asset_id))["metadata"]["asset_id"] == asset_id
        assert await assets.aget_content(asset_id) == rows_file.read_bytes()
        await assets.adownload(asset_id, str(target))
        assert await assets.adelete(asset_id, purge_on_delete=True) == "SUCCESS"
        return asset_id

    asset_id = asyncio.run(go_round())
    assert target.read_bytes() == rows_file.read_bytes()
    with pytest.raises(WMLClientError):
        client.data_assets.get_details(asset_id)


def test_upload_that_fails_leaves_nothing_behind(client: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.json").touch()
    for name in ("empty.json", "missing.json"):
        with pytest.raises(WMLClientError):
            client.data_assets.create(name=f"{NAME} {name}", file_path=str(tmp_path / name))
        assert f"{NAME} {name}" not in set(client.data_assets.list()["NAME"])


def test_runs(experiment: Any, lesson: Lesson) -> None:
    training_id = lesson.tuner.id
    assert training_id in set(experiment.runs.list()["run_id"])
    assert training_id in set(experiment.runs(filter=NAME).list()["run_id"])
    assert len(experiment.runs(filter=f"{NAME} nothing").list()) == 0
    assert experiment.runs.get_run_details(training_id)["metadata"]["id"] == training_id
    assert experiment.runs.get_run_details(include_metrics=True)["metadata"]["id"]
    tuner = experiment.runs.get_tuner(training_id)
    assert tuner.get_run_status() == "completed"
    assert tuner.get_model_id() == lesson.model_id
    assert tuner.summary()["loss"].iloc[0] == lesson.tuner.summary()["loss"].iloc[0]


def test_runs_of_one_group_share_their_experiment(client: Any, lesson: Lesson, second_run: Run) -> None:
    first, second = (
        client.training.get_details(training_id)["metadata"]["tags"]
        for training_id in (lesson.tuner.id, second_run.training_id)
    )
    assert first == second
    tagged = client.training.get_details(tag_value=first, get_all=True)
    assert {lesson.tuner.id, second_run.training_id} == set(ids(tagged["resources"]))


def test_trainings(client: Any, lesson: Lesson) -> None:
    training_id = lesson.tuner.id
    assert client.training.get_status(training_id)["state"] == "completed"
    assert client.training.get_id(client.training.get_details(training_id)) == training_id
    assert training_id in set(client.training.list()["ID (training)"])
    completed = client.training.get_details(state="completed", get_all=True)["resources"]
    assert training_id in ids(completed)
    assert {item["entity"]["status"]["state"] for item in completed} == {"completed"}


def test_models(client: Any, lesson: Lesson) -> None:
    assert lesson.model_id in set(client.repository.list_models()["ID"])
    details = client.repository.get_model_details(lesson.model_id)
    assert details["entity"]["type"] == "prompt_tune_1.0"
    assert client.repository.get_details(lesson.model_id)["metadata"]["id"] == lesson.model_id
    assert client.repository.get_model_id(details) == lesson.model_id
    with pytest.raises(WMLClientError, match="existing deployments"):
        client.repository.delete(lesson.model_id)


def test_deployments(client: Any, lesson: Lesson) -> None:
    assert lesson.deployment_id in set(client.deployments.list()["ID"])
    assert lesson.deployment_id in ids(client.deployments.get_details(get_all=True)["resources"])
    found = client.deployments.get_details(serving_name=NAME)["resources"]
    assert ids(found) == [lesson.deployment_id]


def test_pages(client: Any, lesson: Lesson, second_run: Run) -> None:
    """With one entry a page, all pages together are what one page with all of them is."""
    for get_details, made in (
        (client.training.get_details, {lesson.tuner.id, second_run.training_id}),
        (client.repository.get_model_details, {lesson.model_id, second_run.model_id}),
    ):
        whole = ids(get_details(limit=100)["resources"])
        assert made <= set(whole)
        assert len(get_details(limit=1)["resources"]) == 1
        assert ids(get_details(limit=1, get_all=True)["resources"]) == whole
        pages = list(get_details(limit=1, get_all=True, asynchronous=True))
        assert [ids(page["resources"]) for page in pages] == [[name] for name in whole]


def test_serving_names_are_unique(client: Any, lesson: Lesson) -> None:
    assert client.deployments.is_serving_name_available(NAME) is False
    assert client.deployments.is_serving_name_available(f"{NAME}_free") is True
    names = client.deployments.ConfigurationMetaNames
    meta = {names.NAME: f"{NAME} again", names.ONLINE: {}, names.SERVING_NAME: NAME}
    with pytest.raises(WMLClientError, match=r"Error: 4\d\d"):
        client.deployments.create(lesson.model_id, meta)


def test_deleted_deployment(client: Any, second_run: Run) -> None:
    """It answers no more, and its serving name is free again."""
    names = client.deployments.ConfigurationMetaNames
    meta = {names.NAME: f"{NAME} short", names.ONLINE: {}, names.SERVING_NAME: f"{NAME}_short"}
    deployment_id = client.deployments.get_id(client.deployments.create(second_run.model_id, meta))
    tuned: Any = ModelInference(deployment_id=deployment_id, api_client=client)
    answer = tuned.generate("x", params={"decoding_method": "greedy", "max_new_tokens": 2})
    assert answer["results"][0]["generated_token_count"] in (1, 2)
    assert client.deployments.delete(deployment_id) == "SUCCESS"
    assert client.deployments.is_serving_name_available(f"{NAME}_short") is True
    with pytest.raises(WMLClientError):
        client.deployments.get_details(deployment_id)
    with pytest.raises(WMLClientError):
        tuned.generate_text("x")


def test_updates(client: Any, service: Service, second_run: Run, lesson: Lesson) -> None:
    """A deployment keeps its id when its name, its serving name or its model changes."""
    names = client.deployments.ConfigurationMetaNames
    meta = {names.NAME: f"{NAME} old", names.ONLINE: {}, names.SERVING_NAME: f"{NAME}_old"}
    deployment_id = client.deployments.get_id(client.deployments.create(second_run.model_id, meta))
    for changes in (
        {names.NAME: f"{NAME} new", names.TAGS: ["tagged"]},
        {names.SERVING_NAME: f"{NAME}_new"},
        {names.ASSET: {"id": lesson.model_id}},
    ):
        # The SDK would wait five seconds each time for what the local runtime does at once.
        client.deployments.update(deployment_id, changes, background_mode=service.endpoint is not None)
    details = client.deployments.get_details(deployment_id)
    assert details["metadata"]["name"] == f"{NAME} new"
    assert details["metadata"]["tags"] == ["tagged"]
    assert details["entity"]["asset"]["id"] == lesson.model_id
    assert client.deployments.is_serving_name_available(f"{NAME}_old") is True
    assert client.deployments.is_serving_name_available(f"{NAME}_new") is False
    said = client.deployments.generate_text(lesson.deployment_id, "x")
    assert client.deployments.generate_text(deployment_id, "x") == said
    assert client.deployments.delete(deployment_id) == "SUCCESS"

    meta = {client.repository.ModelMetaNames.NAME: f"{NAME} renamed"}
    assert client.repository.update_model(second_run.model_id, meta)["metadata"]["name"] == f"{NAME} renamed"
    assert client.repository.get_model_details(second_run.model_id)["metadata"]["name"] == f"{NAME} renamed"


def test_background_runs_and_cancel(client: Any, experiment: Any, base_model: str, lesson: Lesson) -> None:
    """A run that is canceled softly keeps its record; then the record goes, too. One that waits is canceled as well."""
    data = [DataConnection(data_asset_id=lesson.asset_id)]
    running, waiting = (make_tuner(experiment, base_model, num_epochs=50, name=f"{NAME} {n}") for n in range(2))
    for tuner in (running, waiting):
        tuner.run(data, background_mode=True)
        assert tuner.get_run_status() in ("queued", "pending", "running")
    for tuner in (waiting, running):
        tuner.cancel_run()
        wait_for(tuner, "canceled")
        tuner.cancel_run()  # the SDK takes "already completed" for a success
        tuner.cancel_run(hard_delete=True)
        assert tuner.id not in set(experiment.runs.list()["run_id"])
        with pytest.raises(WMLClientError):
            client.training.get_details(tuner.id)


def test_hard_cancel_of_a_running_run(client: Any, experiment: Any, base_model: str, lesson: Lesson) -> None:
    tuner = make_tuner(experiment, base_model, num_epochs=50, name=f"{NAME} hard")
    tuner.run([DataConnection(data_asset_id=lesson.asset_id)], background_mode=True)
    wait_for(tuner, "running", "completed")
    tuner.cancel_run(hard_delete=True)
    with pytest.raises(WMLClientError):
        client.training.get_details(tuner.id)


def test_deleted_model_and_run(client: Any, second_run: Run) -> None:
    """The last test of the second run: a run's record goes without its model, and a model without its run."""
    client.training.delete(second_run.training_id)
    with pytest.raises(WMLClientError):
        client.training.get_details(second_run.training_id)
    assert client.repository.get_model_details(second_run.model_id)["metadata"]["id"] == second_run.model_id
    assert client.repository.delete(second_run.model_id) == "SUCCESS"
    with pytest.raises(WMLClientError):
        client.repository.get_model_details(second_run.model_id)
    with pytest.raises(WMLClientError):
        client.repository.delete(second_run.model_id)


def test_projects(client: Any, service: Service) -> None:
    listed = client.projects.get_details(get_all=True)["resources"]
    assert service.project_id in [item["metadata"]["guid"] for item in listed]
    assert client.projects.get_id(client.projects.get_details(service.project_id)) == service.project_id
