"""The record of the requests: all that a program asked, and no secret."""

import json
from collections.abc import Callable
from typing import Any

import jwt
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.controls.record import MOST_REQUESTS, Record, RecordedRequest
from prompt_tuning_helpers.runtime.controls.redaction import HIDDEN, Redaction
from tests.support.controls import EXAMPLES, GENERATE, SIGN_IN, ask


def test_what_a_program_asked(
    client: TestClient,
    runtime: Runtime,
    project: dict[str, str],
    other: dict[str, str],
    control: Callable[..., Any],
) -> None:
    control("DELETE", "")
    ask(client, project, "x", parameters={"max_new_tokens": 3})
    ask(client, other, "y")
    client.get("/v2/projects", params={"limit": 5}, headers={"X-Mine": "1"})
    client.post("/ml/v1/text/embeddings", json={"inputs": ["x"], **project})
    client.get("/ml/v4/trainings", params=project, headers={"Authorization": "Bearer nonsense"})
    client.put("/ml/v4/trainings", params=project)
    client.get(f"/no/such/{runtime.secrets.api_key}", params=project)
    recorded = control("GET", "/requests", params=project)
    assert recorded["forgotten"] == 0
    shown = [(item["operation"], item["status"], item["project_id"]) for item in recorded["resources"]]
    mine = project["project_id"]
    assert shown == [
        (f"POST {GENERATE}", 200, mine),
        ("GET /v2/projects", 200, None),
        ("POST /ml/v1/text/embeddings", 404, mine),
        ("GET /ml/v4/trainings", 401, mine),
        ("PUT /ml/v4/trainings", 405, mine),
        (f"GET /no/such/{HIDDEN}", 404, mine),
    ]
    first, second, *_ = recorded["resources"]
    assert first["body"]["parameters"] == {"max_new_tokens": 3}
    assert first["body"]["input"] == "x"
    assert first["query"].keys() == {"version"}
    assert second["query"] == {"limit": "5"}
    assert second["headers"]["x-mine"] == "1"
    assert len(control("GET", "/requests")["resources"]) == 7


def test_a_deployment_tells_the_project(
    client: TestClient, project: dict[str, str], deploy: Callable[..., str], control: Callable[..., Any]
) -> None:
    deploy("by_name")
    client.post("/ml/v1/deployments/by_name/text/generation", json={"input": "x"})
    assert control("GET", "/requests", params=project)["resources"][-1]["project_id"] == project["project_id"]


def test_no_secret_is_recorded(client: TestClient, runtime: Runtime, control: Callable[..., Any]) -> None:
    key, project = runtime.secrets.api_key, {"project_id": runtime.secrets.project_id}
    real_key = "a-real-key-by-mistake"
    client.post("/identity/token", data={"apikey": key, **SIGN_IN}, headers={"Authorization": "Basic Yng6Yng="})
    client.post("/identity/token", data={"apikey": real_key, **SIGN_IN})
    client.post("/icp4d-api/v1/authorize", json={"username": "admin", "api_key": real_key, "password": real_key})
    token, _ = runtime.tokens.issue("access", 600)
    ask(client, project, f"my key is {key}, my token {token}", parameters={"api-key": real_key, "max_new_tokens": 2})
    client.get("/v2/projects", params={"name": key}, headers={"X-Api-Key": real_key, "Cookie": real_key})
    asset = client.post("/v2/assets", params=project, json={"metadata": {"name": "x", "asset_type": "data_asset"}})
    attachments = f"/v2/assets/{asset.json()['metadata']['asset_id']}/attachments"
    link = client.post(attachments, params=project, json={"name": "x", "mime": "text/x"}).json()["url1"]
    client.put(link, content=b"rows")
    client.post("/identity/token", content=f"apikey={key}".encode(), headers={"Content-Type": "text/plain"})
    recorded = control("GET", "/requests")["resources"]
    shown = json.dumps(recorded)
    for secret in (key, real_key, token, link.rsplit("/", 1)[-1], "Yng6Yng"):
        assert secret not in shown
    signing_in, *_ = recorded
    assert signing_in["body"] == SIGN_IN
    asked = next(item for item in recorded if item["operation"] == f"POST {GENERATE}")
    assert asked["body"]["input"] == f"my key is {HIDDEN}, my token {HIDDEN}"
    assert asked["body"]["parameters"] == {"max_new_tokens": 2}
    assert next(item for item in recorded if item["operation"].startswith("PUT"))["path"] == f"/upload/{HIDDEN}"


DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@EXAMPLES
@given(document=DOCUMENTS, secret=st.text("abcXYZ019-_", min_size=8), where=st.sampled_from(["value", "name", "field"]))
def test_no_document_hides_a_secret(document: Any, secret: str, where: str) -> None:
    clean = Redaction([secret])
    token = jwt.encode({"exp": 1}, "k" * 32)
    holders: dict[str, Any] = {
        "value": [document, {"x": f"a{secret}b {token}"}],
        "name": {secret: document, token: 1},
        "field": {"API_KEY": "other", "deep": [{"Access-Token": "other", "max_tokens": 5}]},
    }
    shown = json.dumps(clean.document(holders[where]), ensure_ascii=False)
    assert secret not in shown
    assert token not in shown
    if where == "field":
        assert json.loads(shown) == {"deep": [{"max_tokens": 5}]}


def test_the_record_is_bounded() -> None:
    record = Record()
    for number in range(MOST_REQUESTS + 3):
        record.add(RecordedRequest("", f"GET /{number}", "", {}, {}))
    requests, forgotten = record.of(None)
    assert (len(requests), forgotten, requests[0].operation) == (MOST_REQUESTS, 3, "GET /3")
    for request in requests[-8:]:
        record.fill(request, "x", 2**24, "project")
    requests, forgotten = record.of(None)
    assert len(requests) == 4
    assert len(requests) + forgotten == MOST_REQUESTS + 3
    record.forget("other")
    assert len(record.of(None)[0]) == 4
    record.forget(None)
    assert record.of(None) == ([], 0)
