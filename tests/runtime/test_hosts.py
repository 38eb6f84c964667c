"""Whom a request is meant for, and how much its head may hold."""

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.app import create_app
from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.http.heads import LARGEST_HEAD


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8443", "localhost", "LocalHost:1", "[::1]", "[::1]:8443"])
def test_own_names(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "attacker.example:8443",
        "127.0.0.1.attacker.example",
        "localhost.attacker.example",
        "attacker.example#127.0.0.1",
        "user@127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:port",
        "127.0.0.1:1:2",
        "127.0.0.2",
        "0.0.0.0",
        "::1",
        "",
        "\xfflocalhost",
    ],
)
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    answer = client.get("/health", headers={b"Host": host.encode("latin-1")})
    assert answer.status_code == 421
    error = answer.json()["errors"][0]
    assert error["code"] == "misdirected_request"
    assert "127.0.0.1 and localhost" in error["message"]


def test_a_request_has_one_host(runtime: Runtime) -> None:
    client = TestClient(create_app(runtime), base_url="https://127.0.0.1")
    answer = client.get("/health", headers=[("Host", "127.0.0.1"), ("Host", "attacker.example")])
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "invalid_host"


def test_a_head_has_a_limit(client: TestClient) -> None:
    assert client.get("/health", headers={"X-More": "x" * (LARGEST_HEAD - 2000)}).status_code == 200
    assert client.get("/health", headers={"X-More": "x" * LARGEST_HEAD}).status_code == 431
    many = client.get("/health", params={"more": "x" * 30_000}, headers={f"X-{n}": "x" * 1000 for n in range(40)})
    assert many.status_code == 431
    assert many.json()["errors"][0]["code"] == "request_header_too_large"


def test_without_a_token_a_body_is_small(client: TestClient) -> None:
    answer = client.post("/identity/token", content=b"x" * (64 * 2**10 + 1), headers={"Authorization": ""})
    assert answer.status_code == 413
    assert "65536 bytes" in answer.json()["errors"][0]["message"]
