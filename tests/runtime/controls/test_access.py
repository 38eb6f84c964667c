"""Controls are there for who has the key, and only in a runtime that was started for tests."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.routes import controls as control_routes
from tests.support.calls import open_client, open_fake
from tests.support.controls import own


@pytest.mark.parametrize("operation", control_routes.OPERATIONS, ids=str)
def test_without_the_option_there_is_nothing(tmp_path: Path, operation: Any) -> None:
    runtime = open_fake(tmp_path / "closed")
    try:
        client = open_client(runtime)
        for headers in ({}, own(runtime)):
            found = client.request(operation.method, operation.path, headers=headers)
            unknown = client.request(operation.method, "/no-such-thing", headers=headers)
            assert (found.status_code, found.json()["errors"]) == (404, unknown.json()["errors"])
        # The scheme of tests is none elsewhere, either.
        assert client.get("/v2/projects", headers=own(runtime)).status_code == 401
    finally:
        runtime.close()


@pytest.mark.parametrize("operation", control_routes.OPERATIONS, ids=str)
@pytest.mark.parametrize("scheme", ["", "Bearer {token}", "Bearer {key}", "Test-Controls {token}", "Test-Controls ü"])
def test_controls_take_the_key_alone(client: TestClient, runtime: Runtime, operation: Any, scheme: str) -> None:
    token, _ = runtime.tokens.issue("access", 600)
    header = scheme.format(token=token, key=runtime.secrets.api_key).encode()
    answer = client.request(operation.method, operation.path, headers={b"Authorization": header})
    assert answer.status_code == 401
    assert "Test-Controls" in answer.json()["errors"][0]["message"]


def test_the_key_is_no_bearer_token_for_a_program(client: TestClient, runtime: Runtime) -> None:
    header = {"Authorization": f"Bearer {runtime.secrets.api_key}"}
    assert client.get("/v2/projects", headers=header).status_code == 401
    assert client.get("/v2/projects", headers=own(runtime)).status_code == 200
