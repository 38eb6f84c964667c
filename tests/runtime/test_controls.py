"""What a test of another program can set of a runtime, over routes that are closed unless they were asked for."""

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prompt_tuning_helpers.engine import Generation, GenerationParameters, GenerationRequest
from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.controls import Controls
from prompt_tuning_helpers.runtime.controls.answers import FLAGS, Answer, Answers, Key
from prompt_tuning_helpers.runtime.controls.generation import give
from prompt_tuning_helpers.runtime.controls.record import MOST_REQUESTS, Record, RecordedRequest
from prompt_tuning_helpers.runtime.controls.redaction import HIDDEN, Redaction
from prompt_tuning_helpers.runtime.http.errors import ApiError
from prompt_tuning_helpers.runtime.routes import controls as control_routes
from tests.support.calls import BASE, events, open_client, open_fake

EXAMPLES = settings(max_examples=150, deadline=None)
SAME_RUNTIME = settings(EXAMPLES, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
GENERATE = "/ml/v1/text/generation"
SIGN_IN = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey"}


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


def own(runtime: Runtime) -> dict[str, str]:
    return {"Authorization": f"Test-Controls {runtime.secrets.api_key}"}


def ask(client: TestClient, project: dict[str, str], prompt: str, path: str = GENERATE, **more: Any) -> Any:
    return client.post(path, json={"model_id": BASE, "input": prompt, **project, **more})


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["results"][0]["generated_text"])


# Open and closed


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


# Answers


def test_answers_in_the_models_place(client: TestClient, project: dict[str, str], control: Callable[..., Any]) -> None:
    control("PUT", "/answers", json={"prompt": "say hello", "answers": ["Good day to you."]})
    answer = ask(client, project, "say hello")
    assert answer.json()["results"] == [
        {
            "generated_text": "Good day to you.",
            "generated_token_count": 4,
            "input_token_count": 2,
            "stop_reason": "eos_token",
        }
    ]
    assert text(ask(client, project, "say hello again")) == "again"
    control("PUT", "/answers", json={"prompt": "say hello", "answers": []})
    assert text(ask(client, project, "say hello")) == "hello"


def test_a_stream_says_the_same(client: TestClient, project: dict[str, str], control: Callable[..., Any]) -> None:
    said = " Good  day\nto you. "
    cut = {"text": said, "stop_reason": "max_tokens"}
    control("PUT", "/answers", json={"prompt": "say hello", "answers": [cut]})
    parts = [event["results"][0] for event in events(ask(client, project, "say hello", f"{GENERATE}_stream").text)]
    assert "".join(part["generated_text"] for part in parts) == said
    assert [part["stop_reason"] for part in parts] == ["not_finished"] * 4 + ["max_tokens"]
    counts = [part["generated_token_count"] for part in parts]
    assert counts == sorted(counts)
    assert counts[-1] == 4


def test_a_conversation_is_known_by_its_last_message(
    client: TestClient, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control(
        "PUT", "/answers", json={"prompt": "hello", "answers": ["first", {"text": "x", "stop_reason": "max_tokens"}]}
    )
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]
    body = {"model_id": BASE, "messages": messages, **project}
    (choice,) = client.post("/ml/v1/text/chat", json=body).json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": "first"}
    assert choice["finish_reason"] == "stop"
    streamed = events(client.post("/ml/v1/text/chat_stream", json=body).text)
    assert "".join(event["choices"][0]["delta"]["content"] for event in streamed) == "x"
    assert streamed[-1]["choices"][0]["finish_reason"] == "length"


def test_deployments_answer_the_bare_prompt(
    client: TestClient, deploy: Callable[..., str], control: Callable[..., Any]
) -> None:
    deploy("by_name")
    control("PUT", "/answers", json={"prompt": "kind?", "answers": ["1"]})
    for path in ("generation", "generation_stream"):
        answer = client.post(f"/ml/v1/deployments/by_name/text/{path}", json={"input": "kind?"})
        results = [event["results"][0] for event in events(answer.text)] or answer.json()["results"]
        assert "".join(result["generated_text"] for result in results) == "1"


def test_answers_come_in_turn_and_the_last_stays(
    client: TestClient, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control("PUT", "/answers", json={"prompt": "x", "answers": ["1", "2", "3"]})
    assert [text(ask(client, project, "x")) for _ in range(5)] == ["1", "2", "3", "3", "3"]
    (rule,) = control("GET", "")["answers"]
    assert (rule["prompt"], rule["given"]) == ("x", 5)
    control("PUT", "/answers", json={"prompt": "x", "answers": ["again"]})
    assert text(ask(client, project, "x")) == "again"


def test_which_answer_comes_first(
    client: TestClient, project: dict[str, str], other: dict[str, str], control: Callable[..., Any]
) -> None:
    control("PUT", "/answers", json={"prompt": "a dog", "answers": ["whole"]})
    control("PUT", "/answers", json={"pattern": "dog", "answers": ["earlier"]})
    control("PUT", "/answers", json={"pattern": "DOG", "flags": "i", "answers": ["later"]})
    control("PUT", "/answers", json={"prompt": "a cat", "answers": ["everywhere"]})
    control("PUT", "/answers", json={"prompt": "a cat", "answers": ["here"], **project})
    assert text(ask(client, project, "a dog")) == "whole"
    assert text(ask(client, project, "a dog!")) == "later"
    assert text(ask(client, project, "a cat")) == "here"
    assert text(ask(client, other, "a cat")) == "everywhere"
    control("PUT", "/answers", json={"pattern": "dog", "answers": ["renewed"]})
    assert text(ask(client, project, "a dog!")) == "renewed"


def test_a_pattern_that_never_ends_is_told(
    client: TestClient, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control("PUT", "/answers", json={"pattern": r"(x+x+)+(?<!x)y", "answers": ["never"]})
    answer = ask(client, project, "x" * 5000)
    assert answer.status_code == 400
    assert "was not done with this prompt" in answer.json()["errors"][0]["message"]
    assert text(ask(client, project, "z")) == "z"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"answers": ["x"]}, "either a prompt"),
        ({"prompt": "x", "pattern": "x", "answers": []}, "either a prompt"),
        ({"pattern": "(", "answers": ["x"]}, "no regular expression"),
        ({"pattern": "x", "flags": "q", "answers": ["x"]}, "flags are"),
        ({"prompt": "x", "flags": "i", "answers": ["x"]}, "flags are"),
        ({"prompt": "x"}, "answers must be a list"),
        ({"prompt": "x", "answers": "x"}, "answers must be a list"),
        ({"prompt": "x", "answers": [5]}, r"answers\[0\].text must be a string"),
        ({"prompt": "x", "answers": ["1", {}]}, r"answers\[1\].text is missing"),
        ({"prompt": "x", "answers": [{"text": "x", "stop_reason": "tired"}]}, "stop_reason must be one of"),
        ({"prompt": "x", "answers": ["x"], "project_id": "nowhere"}, "is not there"),
        ({"prompt": "x", "answers": ["x"], "model": "x"}, "There is no field"),
    ],
)
def test_answers_that_cannot_be_used(client: TestClient, runtime: Runtime, body: dict[str, Any], said: str) -> None:
    answer = client.put("/test-controls/answers", headers=own(runtime), json=body)
    assert answer.status_code in (400, 404)
    assert re.search(said, answer.json()["errors"][0]["message"])
    assert client.get("/test-controls", headers=own(runtime)).json()["answers"] == []


PATTERNS = st.text(max_size=30) | st.from_regex(r"[a-z()\[\]{}0-9,?*+|^$\\.<>=!:-]{0,30}", fullmatch=True)


@EXAMPLES
@given(pattern=PATTERNS, flags=st.sets(st.sampled_from(sorted(FLAGS))), prompt=st.text(max_size=30))
def test_any_pattern_is_used_or_refused(pattern: str, flags: set[str], prompt: str) -> None:
    """What Python's own module takes means the same here; nothing else happens than a match, none, or a clear no."""
    answers, key = Answers(), Key(None, pattern=pattern, flags="".join(sorted(flags)))
    found, refusal = None, None
    try:
        answers.put(key, [Answer("yes")])
        found = answers.find(prompt, "project")
    except ApiError as error:
        refusal = error
    assert found in (None, Answer("yes"))
    assert refusal is None or (refusal.status == 400 and refusal.message.startswith("The pattern "))


@EXAMPLES
@given(
    literal=st.text(min_size=1, max_size=10),
    before=st.text(max_size=10),
    after=st.text(max_size=10),
    anchored=st.booleans(),
)
def test_patterns_are_searched_as_python_does(literal: str, before: str, after: str, anchored: bool) -> None:
    pattern, prompt = ("^" if anchored else "") + re.escape(literal) + "[ab]?", before + literal + after
    answers = Answers()
    answers.put(Key(None, pattern=pattern), [Answer("yes")])
    for asked in (prompt, before, after):
        assert (answers.find(asked, None) is not None) == (re.search(pattern, asked) is not None)


@SAME_RUNTIME
@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"])), answer=st.text(st.characters(exclude_categories=["Cs"]))
)
def test_any_prompt_and_any_answer(client: TestClient, runtime: Runtime, prompt: str, answer: str) -> None:
    project = {"project_id": runtime.secrets.project_id}
    rule = {"prompt": prompt, "answers": [answer]}
    assert client.put("/test-controls/answers", headers=own(runtime), json=rule).status_code == 204
    assert text(ask(client, project, prompt)) == answer
    streamed = events(ask(client, project, prompt, f"{GENERATE}_stream").text)
    assert "".join(event["results"][0]["generated_text"] for event in streamed) == answer


@EXAMPLES
@given(st.text())
def test_the_parts_of_an_answer_are_all_of_it(said: str) -> None:
    parts: list[Generation] = []
    request = GenerationRequest(BASE, "a prompt", GenerationParameters())
    whole = give(Answer(said), request, lambda _, words: len(words), parts.append).result()
    assert whole.text == said == "".join(part.text for part in parts)
    counts = [part.generated_token_count for part in parts]
    assert counts == sorted(counts)
    assert max(counts, default=0) <= whole.generated_token_count


# Faults


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


# The record


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


# The clock, tokens, and the end


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


# Odd requests


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
