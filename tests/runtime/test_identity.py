"""Tokens: who gets one, and what happens without."""

import time
from typing import Any

import jwt
import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.tokens import Tokens

GRANT = "urn:ibm:params:oauth:grant-type:apikey"


@pytest.mark.parametrize("path", ["/", "/identity/token", "https://127.0.0.1//identity/token"])
def test_key_is_exchanged_for_token(client: TestClient, runtime: Runtime, path: str) -> None:
    answer = client.post(
        path, data={"apikey": runtime.secrets.api_key, "grant_type": GRANT}, headers={"Authorization": ""}
    )
    body = answer.json()
    assert answer.status_code == 200
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["exp"] == body["expiration"] == claims["iat"] + body["expires_in"]


@pytest.mark.parametrize(
    "form",
    [
        {"apikey": "wrong", "grant_type": GRANT},
        {"apikey": "", "grant_type": GRANT},
        {"apikey": "schlüssel", "grant_type": GRANT},
        {"grant_type": "password"},
        {},
    ],
)
def test_wrong_key_is_a_400_in_iam_shape(client: TestClient, form: dict[str, str]) -> None:
    answer = client.post("/identity/token", data=form)
    assert answer.status_code == 400
    assert answer.json()["errorCode"].startswith("BXNIM")


def test_key_needs_no_url_encoding(runtime: Runtime) -> None:
    assert set(runtime.secrets.api_key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "authorization_rejected"),
        ("Basic abc", "authorization_rejected"),
        ("Bearer a.b.c", "authentication_token_not_valid"),
    ],
)
def test_no_token_no_answer(client: TestClient, project: dict[str, str], header: str, code: str) -> None:
    answer = client.get("/ml/v4/trainings", params=project, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["code"] == code


def token(runtime: Runtime, **claims: Any) -> dict[str, str]:
    payload = {"aud": "access", "exp": time.time() + 60, **claims}
    return {"Authorization": f"Bearer {jwt.encode(payload, runtime.secrets.signing_key, algorithm='HS256')}"}


def test_expired_token_is_told_so(client: TestClient, runtime: Runtime) -> None:
    answer = client.get("/v2/projects", headers=token(runtime, exp=time.time() - 1))
    assert answer.json()["errors"][0]["code"] == "authentication_token_expired"


def test_link_token_opens_nothing_else(client: TestClient, runtime: Runtime) -> None:
    assert client.get("/v2/projects", headers=token(runtime)).status_code == 200
    assert client.get("/v2/projects", headers=token(runtime, aud="upload")).status_code == 401


def test_unsigned_token_is_refused(client: TestClient) -> None:
    unsigned = jwt.encode({"aud": "access", "exp": time.time() + 60}, "", algorithm="none")
    assert client.get("/v2/projects", headers={"Authorization": f"Bearer {unsigned}"}).status_code == 401


def test_health_needs_no_token(client: TestClient) -> None:
    answer = client.get("/health", headers={"Authorization": ""}).json()
    assert answer["status"] == "ok"
    assert "local/fake" in answer["models"]


def test_cpd_mode_signs_in(client: TestClient, runtime: Runtime) -> None:
    assert client.get("/ml/wml_services/v2/version").json()["version"] == "5.2.0"
    body = {"username": "admin", "api_key": runtime.secrets.api_key}
    issued = client.post("/icp4d-api/v1/authorize", json=body).json()["token"]
    assert client.get("/v2/projects", headers={"Authorization": f"Bearer {issued}"}).status_code == 200
    assert client.post("/icp4d-api/v1/authorize", json={"username": "admin", "api_key": "x"}).status_code == 400


@pytest.mark.parametrize("step", [-7200, 7200])
def test_a_token_lasts_whatever_the_clock_does(
    client: TestClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    real, passed = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: real() - step)  # it is set right after the token was issued
    issued, _ = runtime.tokens.issue("access", 3600)
    header = {"Authorization": f"Bearer {issued}"}
    monkeypatch.setattr(time, "time", real)
    assert client.get("/v2/projects", headers=header).status_code == 200
    monkeypatch.setattr(time, "monotonic", lambda: passed() + 3601)
    answer = client.get("/v2/projects", headers=header)
    assert answer.json()["errors"][0]["code"] == "authentication_token_expired"


def test_a_token_of_an_earlier_run_goes_by_the_clock(client: TestClient, runtime: Runtime) -> None:
    earlier = Tokens(runtime.secrets.signing_key)
    for seconds, status in ((60, 200), (-1, 401)):
        header = {"Authorization": f"Bearer {earlier.issue('access', seconds)[0]}"}
        assert client.get("/v2/projects", headers=header).status_code == status


def test_a_token_without_an_end_is_refused(client: TestClient, runtime: Runtime) -> None:
    endless = jwt.encode({"aud": "access"}, runtime.secrets.signing_key, algorithm="HS256")
    assert client.get("/v2/projects", headers={"Authorization": f"Bearer {endless}"}).status_code == 401
