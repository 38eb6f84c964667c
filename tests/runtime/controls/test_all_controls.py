"""What holds for all controls together: they are taken back by project, and odd requests are refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.routes import controls as control_routes
from tests.support.controls import SAME_RUNTIME, own


def test_one_project_is_taken_back(
    client: TestClient, project: dict[str, str], other: dict[str, str], control: Callable[..., Any]
) -> None:
    for named in (project, other, {}):
        control("PUT", "/answers", json={"prompt": "x", "answers": ["canned"], **named})
        control("POST", "/faults", json={"operation": "POST /v2/assets", "status": 500, **named})
    control("PUT", "/clock", json={"frozen_at": "2031-01-01T00:00:00Z"})
    control("PUT", "/tokens", json={"seconds": 60})
    control("DELETE", "", params=other)
    assert len(control("GET", "", params=other)["answers"]) == len(control("GET", "", params=other)["faults"]) == 0
    kept = control("GET", "", params=project)
    assert len(kept["answers"]) == len(kept["faults"]) == len(control("GET", "")["answers"]) == 1
    assert kept["clock"]["frozen"]
    control("DELETE", "")
    left = control("GET", "", params=project)
    assert (left["answers"], left["faults"], left["tokens"], left["clock"]["frozen"]) == (
        [],
        [],
        {"seconds": 3600},
        False,
    )


@pytest.mark.parametrize("path", ["answers", "faults", "clock", "tokens"])
def test_a_body_must_be_an_object(client: TestClient, runtime: Runtime, path: str) -> None:
    method = "POST" if path == "faults" else "PUT"
    answer = client.request(method, f"/test-controls/{path}", headers=own(runtime), json=["x"])
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"] == 'The body must be a JSON object; it is ["x"].'


NAMES = (
    *("prompt", "pattern", "flags", "answers", "project_id", "operation", "times", "always", "status", "code"),
    *("message", "retry_after", "delay", "drop_after", "frozen_at", "advance", "seconds", "expire_issued"),
)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES | st.lists(st.text()), max_size=5)


@SAME_RUNTIME
@given(operation=st.sampled_from(control_routes.OPERATIONS), body=BODIES)
def test_odd_controls(client: TestClient, runtime: Runtime, operation: Any, body: dict[str, Any]) -> None:
    if body.get("delay"):
        body["delay"] = 0  # nothing here is to be slow
    content = json.dumps(body).encode() if operation.has_body else b""
    answer = client.request(operation.method, operation.path, content=content, headers=own(runtime))
    assert answer.status_code in (200, 204, 400, 404), answer.text
    assert client.get("/test-controls", headers=own(runtime)).status_code == 200
    assert client.get("/health", headers=own(runtime)).status_code == 200
