"""A runtime with controls, and a test's own requests to it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.controls import Controls
from tests.support.calls import open_fake
from tests.support.controls import own


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A runtime with controls."""
    opened = open_fake(tmp_path / "state", controls=Controls())
    yield opened
    opened.close()


@pytest.fixture
def control(client: TestClient, runtime: Runtime) -> Callable[..., Any]:
    """Makes a test's own request, which must be met; gives what is answered."""

    def send(method: str, path: str, **content: Any) -> Any:
        answer = client.request(method, f"/test-controls{path}", headers=own(runtime), **content)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    return send


@pytest.fixture
def other(client: TestClient) -> dict[str, str]:
    """The query that names a second project."""
    made = client.post("/transactional/v2/projects", json={"name": "other"})
    return {"project_id": made.json()["location"].rsplit("/", 1)[-1]}
