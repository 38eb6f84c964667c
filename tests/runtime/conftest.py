"""A runtime with a fake engine inside the test's own process."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.app import create_app
from prompt_tuning_helpers.runtime.context import Runtime, open_runtime
from prompt_tuning_helpers.runtime.endpoint import stop_recorded
from prompt_tuning_helpers.runtime.jobs.folder import end_recorded_processes
from prompt_tuning_helpers.runtime.store.state import State

from .fake_engine import FakeEngine, fake_tune_command

BASE = "local/fake"
ALIAS = "ibm/granite-13b-instruct-v2"
ROWS = [{"input": f"review {number}", "output": str(number % 2)} for number in range(10)]


def open_fake(root: Path) -> Runtime:
    """Open a state folder with a fake engine and start its queue."""
    runtime = open_runtime(State(root), FakeEngine([BASE, ALIAS]), fake_tune_command, aliases=[ALIAS])
    runtime.url = "https://127.0.0.1"
    runtime.jobs.start()
    return runtime


def open_client(runtime: Runtime) -> TestClient:
    """A client with a token."""
    token, _ = runtime.tokens.issue("access", 600)
    return TestClient(create_app(runtime), base_url="https://127.0.0.1", headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    opened = open_fake(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder; what a test that failed left running on it is ended."""
    state = tmp_path / "state"
    yield state
    stop_recorded(state, 10)
    end_recorded_processes(state / "jobs")


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to be ended after the test, whatever became of them."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait(10)


@pytest.fixture
def client(runtime: Runtime) -> TestClient:
    return open_client(runtime)


@pytest.fixture
def project(runtime: Runtime) -> dict[str, str]:
    """The query that names the project."""
    return {"project_id": runtime.secrets.project_id}


def upload(client: TestClient | httpx.Client, project: dict[str, str], content: bytes, name: str = "rows.json") -> str:
    """Upload a file the way the SDK does; gives the asset's id."""
    body = {"metadata": {"name": name, "asset_type": "data_asset"}, "entity": {"data_asset": {"mime_type": "text/x"}}}
    created = client.post("/v2/assets", params=project, json=body)
    assert created.status_code == 201, created.text
    asset = str(created.json()["metadata"]["asset_id"])
    attached = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": name, "mime": "text/x"})
    assert attached.status_code == 201, attached.text
    url, attachment = attached.json()["url1"], attached.json()["attachment_id"]
    assert client.put(url, content=content, headers={"Authorization": ""}).status_code == 201
    done = client.post(f"/v2/assets/{asset}/attachments/{attachment}/complete", params=project)
    assert done.status_code == 200, done.text
    return asset


def training_body(project: dict[str, str], asset: str, **tuning: Any) -> dict[str, Any]:
    """What the SDK sends to start a training."""
    location = {"href": f"/v2/assets/{asset}", "id": asset}
    return {
        "training_data_references": [{"type": "data_asset", "location": location}],
        "results_reference": {"type": "container", "location": {"path": "default_tuning_output"}},
        "tags": ["prompt_tuning"],
        "prompt_tuning": {"base_model": {"model_id": BASE}, "task_id": "classification", **tuning},
        "auto_update_model": True,
        "name": "a tuning",
        "description": "of nothing",
        **project,
    }


@pytest.fixture
def asset(client: TestClient, project: dict[str, str]) -> str:
    """A data asset with rows that can be trained on."""
    return upload(client, project, json.dumps(ROWS).encode())


@pytest.fixture
def train(client: TestClient, project: dict[str, str], asset: str) -> Callable[..., str]:
    """Starts a training; gives its id."""

    def start(**tuning: Any) -> str:
        answer = client.post("/ml/v4/trainings", json=training_body(project, asset, **tuning))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["metadata"]["id"])

    return start


def wait_for_training(
    client: TestClient | httpx.Client, project: dict[str, str], training: str, *states: str, seconds: float = 20
) -> dict[str, Any]:
    """Poll a training until it is in one of the states, by default any that is an end."""
    states = states or ("completed", "failed", "canceled")
    deadline = time.monotonic() + seconds
    while True:
        document: dict[str, Any] = client.get(f"/ml/v4/trainings/{training}", params=project).json()
        if document["entity"]["status"]["state"] in states:
            return document
        assert time.monotonic() < deadline, document["entity"]["status"]
        time.sleep(0.02)


@pytest.fixture
def model(client: TestClient, project: dict[str, str], train: Callable[..., str]) -> str:
    """A tuned model's id."""
    return str(wait_for_training(client, project, train(), "completed")["entity"]["model_id"])


@pytest.fixture
def deploy(client: TestClient, project: dict[str, str], model: str) -> Callable[..., str]:
    """Deploys the tuned model; gives the deployment's id."""

    def start(serving_name: str | None = None) -> str:
        parameters = {"serving_name": serving_name} if serving_name else {}
        body = {"name": "D", "online": {"parameters": parameters}, "asset": {"id": model}, **project}
        answer = client.post("/ml/v4/deployments", params=project, json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["metadata"]["id"])

    return start
