"""What ends with a project, and what a reset leaves."""

import json
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from tests.support.calls import ROWS, training_body, upload, wait_for_training


def names_in(runtime: Runtime) -> list[str]:
    """All that lies in the folders of blobs, jobs and models."""
    state = runtime.state
    return [path.name for folder in (state.blobs, state.jobs, state.models) for path in folder.iterdir()]


@pytest.fixture
def another(client: TestClient) -> dict[str, str]:
    """The query that names another project."""
    location = client.post("/transactional/v2/projects", json={"name": "another"}).json()["location"]
    return {"project_id": location.rsplit("/", 1)[-1]}


def test_a_reset_empties_a_project_and_no_other(
    client: TestClient, runtime: Runtime, project: dict[str, str], another: dict[str, str], deploy: Callable[..., str]
) -> None:
    deployment = deploy("a_name")
    kept = upload(client, another, b"x")
    path = f"/v2/projects/{project['project_id']}/reset"
    assert client.post(path).status_code == 204
    for listed in ("/ml/v4/deployments", "/ml/v4/models", "/ml/v4/trainings"):
        assert client.get(listed, params=project).json()["total_count"] == 0
    assert client.post("/v2/asset_types/data_asset/search", params=project, json={}).json()["results"] == []
    assert client.post(f"/ml/v1/deployments/{deployment}/text/generation", json={"input": "x"}).status_code == 404
    assert client.get(f"/v2/assets/{kept}", params=another).status_code == 200
    assert len(names_in(runtime)) == 1
    assert client.post(path).status_code == 204
    assert upload(client, project, b"y")


@pytest.mark.parametrize("ending", ["reset", "delete"])
def test_a_running_training_ends_with_its_project(
    client: TestClient, runtime: Runtime, project: dict[str, str], another: dict[str, str], ending: str
) -> None:
    asset = upload(client, another, json.dumps(ROWS).encode())
    body = training_body(another, asset, init_text="slow", num_epochs=10_000)
    training = client.post("/ml/v4/trainings", json=body).json()["metadata"]["id"]
    wait_for_training(client, another, training, "running")
    name = another["project_id"]
    if ending == "reset":
        assert client.post(f"/v2/projects/{name}/reset").status_code == 204
    else:
        assert client.delete(f"/transactional/v2/projects/{name}").status_code == 204
    assert names_in(runtime) == []
    # The queue is free for the next one.
    asset = upload(client, project, json.dumps(ROWS).encode())
    training = client.post("/ml/v4/trainings", json=training_body(project, asset)).json()["metadata"]["id"]
    wait_for_training(client, project, training, "completed")


def test_a_project_that_is_not_there(client: TestClient) -> None:
    assert client.post("/v2/projects/x/reset").status_code == 404
    assert client.delete("/transactional/v2/projects/x").status_code == 404
