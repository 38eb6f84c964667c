"""Faults on demand: which requests fail, how, and how often."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from tests.support.controls import GENERATE, SIGN_IN, ask, own, text


def test_faults_come_in_turn(client: TestClient, project: dict[str, str], control: Callable[..., Any]) -> None:
    control("POST", "/faults", json={"operation": f"POST {GENERATE}", "status": 429, "retry_after": 7, "times": 2})
    control("POST", "/faults", json={"operation": f"POST {GENERATE}", "status": 500, "code": "odd", "message": "No."})
    answers = [ask(client, project, "x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 500, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["7", "7", None, None]
    assert answers[0].json()["errors"][0]["code"] == "too_many_requests"
    assert "429 Too Many Requests" in answers[0].json()["errors"][0]["message"]
    assert answers[2].json()["errors"][0] | {"more_info": ""} == {"code": "odd", "message": "No.", "more_info": ""}
    recorded = control("GET", "/requests", params=project)["resources"]
    assert [(item["status"], item["fault"]) for item in recorded] == [
        *((status, True) for status in (429, 429, 500)),
        (200, False),
    ]


def test_which_requests_fail(
    client: TestClient, project: dict[str, str], other: dict[str, str], control: Callable[..., Any]
) -> None:
    control("POST", "/faults", json={"operation": "* /ml/v1/text/*", "status": 503, "always": True, **project})
    assert [ask(client, project, "x").status_code for _ in range(3)] == [503] * 3
    assert ask(client, project, "x", f"{GENERATE}_stream").status_code == 503
    assert ask(client, other, "x").status_code == 200
    assert client.get("/v2/projects").status_code == 200
    (fault,) = control("GET", "", params=project)["faults"]
    assert (fault["operation"], fault["always"]) == ("* /ml/v1/text/*", True)
    control("DELETE", "/faults", params=other)
    assert ask(client, project, "x").status_code == 503
    control("DELETE", "/faults", params=project)
    assert ask(client, project, "x").status_code == 200


def test_a_request_that_fails_does_nothing(
    client: TestClient, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control("POST", "/faults", json={"operation": "POST /v2/assets", "status": 500})
    body = {"metadata": {"name": "rows", "asset_type": "data_asset"}}
    assert [client.post("/v2/assets", params=project, json=body).status_code for _ in range(2)] == [500, 201]
    found = client.post("/v2/asset_types/data_asset/search", params=project, json={"query": "*:*"}).json()
    assert found["total_rows"] == 1


def test_what_names_no_project_fails_for_any(
    client: TestClient, runtime: Runtime, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control("POST", "/faults", json={"operation": "POST /identity/token", "status": 500, **project})
    form = {"apikey": runtime.secrets.api_key, **SIGN_IN}
    assert [client.post("/identity/token", data=form).status_code for _ in range(2)] == [500, 200]


def test_a_tests_own_requests_meet_no_fault(client: TestClient, runtime: Runtime, control: Callable[..., Any]) -> None:
    control("POST", "/faults", json={"operation": "*", "status": 500, "always": True})
    assert client.get("/v2/projects").status_code == 500
    assert client.get("/v2/projects", headers=own(runtime)).status_code == 200
    control("DELETE", "")
    assert client.get("/v2/projects").status_code == 200


def test_a_slow_answer(client: TestClient, project: dict[str, str], control: Callable[..., Any]) -> None:
    control("POST", "/faults", json={"operation": f"POST {GENERATE}", "delay": 0.3})
    started = time.monotonic()
    assert text(ask(client, project, "x")) == "x"
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"operation": "*"}, "needs a status, a delay or drop_after"),
        ({"operation": "*", "retry_after": 1, "drop_after": 1}, "retry_after needs a status"),
        ({"operation": "*", "status": 200}, "status must be a whole number from 400 to 599"),
        ({"operation": "*", "status": 500, "times": 0}, "times must be"),
        ({"operation": "*", "status": 500, "times": 2, "always": True}, "give one of them"),
        ({"operation": "*", "delay": -1}, "delay must be"),
        ({"operation": "*", "drop_after": -1}, "drop_after must be"),
        ({"status": 500}, "operation is missing"),
        ({"operation": "POST /ml/v1/text/generations", "status": 500}, f"for instance POST {GENERATE}"),
        ({"operation": "* /test-controls", "status": 500}, "operation must be a method and a path"),
        ({"operation": "*", "status": 500, "project_id": "nowhere"}, "is not there"),
    ],
)
def test_faults_that_cannot_be(client: TestClient, runtime: Runtime, body: dict[str, Any], said: str) -> None:
    answer = client.post("/test-controls/faults", headers=own(runtime), json=body)
    assert answer.status_code in (400, 404)
    assert said in answer.json()["errors"][0]["message"]
    assert client.get("/test-controls", headers=own(runtime)).json()["faults"] == []
