"""A runtime with a fake engine inside the test's own process, and the calls that tests make to any runtime."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.app import create_app
from prompt_tuning_helpers.runtime.context import Runtime, open_runtime
from prompt_tuning_helpers.runtime.controls import Controls
from prompt_tuning_helpers.runtime.store.state import State
from tests.support.fake_engine import FakeEngine, fake_tune_command

VERSION = "2026-10-14"
BASE = "local/fake"
ALIAS = "ibm/granite-13b-instruct-v2"
ROWS = [{"input": f"review {number}", "output": str(number % 2)} for number in range(10)]


def open_fake(root: Path, keep_settings: bool = False, controls: Controls | None = None) -> Runtime:
    """Open a state folder with a fake engine and start its queue."""
    engine = FakeEngine([BASE, ALIAS])
    runtime = open_runtime(
        State(root), engine, fake_tune_command, aliases=[ALIAS], keep_settings=keep_settings, controls=controls
    )
    runtime.url = "https://127.0.0.1"
    runtime.jobs.start()
    return runtime


def open_client(runtime: Runtime) -> TestClient:
    """A client with a token."""
    token, _ = runtime.tokens.issue("access", 600)
    client = TestClient(create_app(runtime), base_url="https://127.0.0.1", headers={"Authorization": f"Bearer {token}"})
    client.event_hooks = {"request": [add_version]}
    return client


def add_version(request: httpx.Request) -> None:
    """Give a request the version that it needs, unless it has one; a hook for clients."""
    if request.url.path.startswith("/ml/v") and "version" not in request.url.params:
        request.url = request.url.copy_set_param("version", VERSION)


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


def events(text: str) -> list[dict[str, Any]]:
    """The data of a stream's events."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
