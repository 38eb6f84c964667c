"""A runtime with a fake engine inside the test's own process."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.endpoint import stop_recorded
from prompt_tuning_helpers.runtime.jobs.folder import end_recorded_processes
from tests.support.calls import ROWS, open_client, open_fake, training_body, upload, wait_for_training
from tests.support.servers import connect, fake_command, start_runtime


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
def used(tmp_path: Path) -> Path:
    """A state folder with a file in it, whose runtime was killed: its records are still beside the database."""
    state = tmp_path / "state"
    process, endpoint = start_runtime(state, fake_command(state))
    with connect(endpoint) as client:
        upload(client, {"project_id": endpoint.project_id}, json.dumps(ROWS).encode())
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    return state


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
