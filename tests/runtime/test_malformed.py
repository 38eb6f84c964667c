"""Malformed requests to every operation: an answer below 500 in the error shape, and nothing changed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.routes import OPERATIONS
from prompt_tuning_helpers.runtime.routes.operations import Operation
from tests.support.calls import BASE, open_client, open_fake, training_body, upload

Setting = tuple[Runtime, TestClient, dict[str, str], str]
EXAMPLES = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
MANY_EXAMPLES = settings(EXAMPLES, max_examples=150)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**60)
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["", "\x00", "../../etc/passwd", "x" * 2000, "\ud800", "1e999", "🐕", "%00", "' OR 1=1 --"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
WORDS = (
    "name description tags metadata entity prompt_tuning input model_id project_id messages parameters online asset "
    "query limit bookmark training_data_references results_reference username api_key"
)
KEYS = st.sampled_from(WORDS.split())
BODIES = st.dictionaries(KEYS | st.text(), VALUES, max_size=6)
RAW_BODIES = st.binary(max_size=200) | st.sampled_from(
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"name": "\\ud800"}',
        b"\xff\xfe{}",
        "{}".encode("utf-16"),
    ]
)
IDS = st.sampled_from(["x", "..", "%2e%2e", "%00", "%ff", "a" * 500, "' OR 1=1", "0" * 36, "{asset_id}", "a%2fb"])
QUERY_KEYS = st.sampled_from(["limit", "start", "filters", "state", "type", "hard_delete", "conflict", "serving_name"])
MORE_QUERY_KEYS = st.sampled_from(["tag.value", "search", "name", "asset_id", "duplicate_action", "include"])
QUERIES = st.dictionaries(QUERY_KEYS | MORE_QUERY_KEYS, st.text(max_size=30) | IDS, max_size=4)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    runtime = open_fake(tmp_path_factory.mktemp("malformed") / "state")
    client, project = open_client(runtime), {"project_id": runtime.secrets.project_id}
    asset = upload(client, project, json.dumps([{"input": "a", "output": "b"}]).encode())
    yield runtime, client, project, asset
    runtime.close()


def path_of(operation: Operation, part: str) -> str:
    pieces = operation.path.split("/")
    return "/".join(part if piece.startswith("{") else piece for piece in pieces)


def send(setting: Setting, operation: Operation, part: str, query: dict[str, str], **content: Any) -> None:
    _, client, project, _ = setting
    # What an operation does not read is refused before its handler is reached; test_undeclared.py is about that.
    known = {name: value for name, value in {**project, **query}.items() if name in (operation.query or ())}
    if not operation.has_body:
        content.pop("content", None)
    answer = client.request(operation.method, path_of(operation, part), params=encodable(known), **content)
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    if answer.status_code >= 400 and operation.path not in ("/", "/identity/token"):
        error = answer.json()["errors"][0]
        assert error["code"]
        assert len(error["message"]) > 10


def encodable(query: dict[str, str]) -> dict[str, str]:
    def clean(text: str) -> str:
        return text.encode("utf-8", errors="replace").decode()

    return {clean(key): clean(value) for key, value in query.items()}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
@EXAMPLES
@given(part=IDS, query=QUERIES, body=BODIES)
def test_odd_json(setting: Setting, operation: Operation, part: str, query: dict[str, str], body: object) -> None:
    send(setting, operation, part, query, content=json.dumps(body).encode())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
@EXAMPLES
@given(part=IDS, query=QUERIES, body=RAW_BODIES, kind=st.sampled_from(["text/xml", "application/json", "multipart/x"]))
def test_odd_bytes(
    setting: Setting, operation: Operation, part: str, query: dict[str, str], body: bytes, kind: str
) -> None:
    send(setting, operation, part, query, content=body, headers={"Content-Type": kind})


def mutate(draw: st.DrawFn, document: Any) -> Any:
    """The document with one of its parts replaced or left out."""
    if isinstance(document, dict) and document and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(document)))
        if draw(st.integers(0, 4)) == 0:
            return {name: value for name, value in document.items() if name != key}
        return {**document, key: mutate(draw, document[key])}
    if isinstance(document, list) and document and draw(st.booleans()):
        return [mutate(draw, document[0]), *document[1:]]
    return draw(VALUES)


@st.composite
def broken(draw: st.DrawFn, document: Any) -> Any:
    return mutate(draw, document)


ALL_SETTINGS = {
    "init_method": "text",
    "init_text": "fail",
    "learning_rate": 0.01,
    "num_epochs": 1,
    "batch_size": 1,
    "accumulate_steps": 1,
    "max_input_tokens": 10,
    "max_output_tokens": 2,
    "verbalizer": "{{input}}",
    "num_virtual_tokens": 3,
    "seed": 1,
}


@MANY_EXAMPLES
@given(data=st.data())
def test_almost_right_trainings(setting: Setting, data: st.DataObject) -> None:
    runtime, client, project, asset = setting
    body = data.draw(broken(training_body(project, asset, **ALL_SETTINGS)))
    answer = client.post("/ml/v4/trainings", params=project, content=json.dumps(body).encode())
    assert answer.status_code in (201, 400, 404), answer.text
    known = runtime.trainings.page(project["project_id"], 10**6)[1]
    assert len(list(runtime.state.jobs.iterdir())) == known
    if answer.status_code == 201:
        training = answer.json()["metadata"]["id"]
        assert client.get(f"/ml/v4/trainings/{training}", params=project).json()["metadata"]["id"] == training
        deleted = client.delete(f"/ml/v4/trainings/{training}", params={**project, "hard_delete": "true"})
        assert deleted.status_code == 204, deleted.text


QUESTION = {
    "model_id": BASE,
    "input": "x",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    "moderations": {"hap": {}},
    "parameters": {
        "decoding_method": "sample",
        "max_new_tokens": 3,
        "min_new_tokens": 1,
        "temperature": 1,
        "top_k": 3,
        "top_p": 1,
        "random_seed": 1,
        "repetition_penalty": 1,
        "stop_sequences": ["a"],
        "include_stop_sequence": True,
        "truncate_input_tokens": 1,
        "time_limit": 10,
        "return_options": {"input_text": True},
        "return_tokens": True,
    },
    "max_tokens": 5,
    "temperature": 1,
    "top_p": 1,
    "n": 1,
    "seed": 1,
    "stop": ["a"],
    "time_limit": 1000,
}
TEXT_PATHS = st.sampled_from(["generation", "generation_stream", "chat", "chat_stream", "tokenization"])


@MANY_EXAMPLES
@given(path=TEXT_PATHS, data=st.data())
def test_almost_right_questions(setting: Setting, path: str, data: st.DataObject) -> None:
    _, client, project, _ = setting
    body = data.draw(broken({**QUESTION, **project}))
    answer = client.post(f"/ml/v1/text/{path}", params=project, content=json.dumps(body).encode())
    assert answer.status_code in (200, 400, 404), answer.text
    assert "event: error" not in answer.text


@MANY_EXAMPLES
@given(filters=st.text() | st.from_regex(r"!?(function|task|tier)_[a-z]*(,.{0,9})?(:and|:or)?", fullmatch=True))
def test_odd_filters(setting: Setting, filters: str) -> None:
    answer = setting[1].get("/ml/v1/foundation_model_specs", params=encodable({"filters": filters}))
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/", "/nothing", "/v2/assets", "/ml/v4/trainings/x/", "/health", "/v2/assets/a/b/c"])
def test_no_html_and_no_redirects(setting: Setting, method: str, path: str) -> None:
    answer = setting[1].request(method, path, follow_redirects=False)
    assert answer.status_code < 500
    assert answer.status_code not in range(300, 400)
    assert "DOCTYPE" not in answer.text
    if answer.status_code in (404, 405) and method != "HEAD":
        assert answer.json()["errors"][0]["message"]


def test_bodies_have_a_limit(setting: Setting) -> None:
    answer = setting[1].post("/v2/assets", params=setting[2], content=b" " * (16 * 2**20 + 1))
    assert answer.status_code == 413


def test_nothing_was_left_behind(setting: Setting) -> None:
    runtime, _, project, asset = setting
    assert [item.id for item in runtime.assets.page(project["project_id"], "data_asset", 10**6)[0]] == [asset]
    log: Path = runtime.state.log
    assert not log.exists() or "Traceback" not in log.read_text()
