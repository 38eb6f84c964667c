"""The clock, which can be stopped and set, and the tokens that grow old by it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from tests.support.calls import BASE
from tests.support.controls import SIGN_IN, ask, own


def test_a_frozen_clock(
    client: TestClient, runtime: Runtime, project: dict[str, str], control: Callable[..., Any]
) -> None:
    set_to = control("PUT", "/clock", json={"frozen_at": "2031-05-06T09:00:00+02:00"})
    assert set_to == {"now": "2031-05-06T07:00:00.000Z", "frozen": True}
    client.headers["Authorization"] = f"Bearer {runtime.tokens.issue('access', 600)[0]}"  # the one before is over
    body = {"metadata": {"name": "rows", "asset_type": "data_asset"}}
    dated = client.post("/v2/assets", params=project, json=body).json()["metadata"]["created_at"]
    assert dated == ask(client, project, "x").json()["created_at"] == "2031-05-06T07:00:00.000Z"
    assert control("PUT", "/clock", json={"advance": 90})["now"] == "2031-05-06T07:01:30.000Z"
    assert control("GET", "/requests")["resources"][0]["at"] == "2031-05-06T07:00:00.000Z"
    chat = {"model_id": BASE, "messages": [{"role": "user", "content": "x"}], **project}
    created = client.post("/ml/v1/text/chat", json=chat).json()["created"]
    assert created == datetime(2031, 5, 6, 7, 1, 30, tzinfo=UTC).timestamp()
    form = {"apikey": runtime.secrets.api_key, **SIGN_IN}
    assert client.post("/identity/token", data=form).json()["expiration"] == created + 3600
    back = control("PUT", "/clock", json={})
    assert not back["frozen"]
    assert back["now"] < "2031"


def test_tokens_grow_old_by_the_clock(client: TestClient, control: Callable[..., Any]) -> None:
    def status() -> int:
        return client.get("/v2/projects").status_code  # with a token of ten minutes

    control("PUT", "/clock", json={"advance": 590})
    assert status() == 200
    control("PUT", "/clock", json={"advance": 11})
    assert status() == 401
    control("PUT", "/clock", json={"advance": -11})
    assert status() == 200
    control("PUT", "/clock", json={"frozen_at": "2031-01-01T00:00:00Z"})
    assert status() == 401


def test_tokens_can_be_over_and_short(client: TestClient, runtime: Runtime, control: Callable[..., Any]) -> None:
    form = {"apikey": runtime.secrets.api_key, **SIGN_IN}
    assert control("PUT", "/tokens", json={"expire_issued": True, "seconds": 60}) == {"seconds": 60}
    refused = client.get("/v2/projects")
    assert refused.json()["errors"][0]["code"] == "authentication_token_expired"
    issued = client.post("/identity/token", data=form).json()
    assert issued["expires_in"] == 60
    header = {"Authorization": f"Bearer {issued['access_token']}"}
    assert client.get("/v2/projects", headers=header).status_code == 200
    assert control("PUT", "/tokens", json={}) == {"seconds": 3600}


@pytest.mark.parametrize(
    "text", ["tomorrow", "2031-01-01", "2031-01-01T00:00:00", "1969-01-01T00:00:00Z", "9" * 30, ""]
)
def test_times_that_are_none(client: TestClient, runtime: Runtime, text: str) -> None:
    answer = client.put("/test-controls/clock", headers=own(runtime), json={"frozen_at": text})
    assert answer.status_code == 400
    assert "frozen_at must be a time" in answer.json()["errors"][0]["message"]
