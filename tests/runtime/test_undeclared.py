"""What an operation does not declare to read: the client is told of it, whichever operation it is."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.datastructures import QueryParams
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.controls import Controls
from prompt_tuning_helpers.runtime.http.errors import ApiError
from prompt_tuning_helpers.runtime.http.undeclared import check_query, unread
from prompt_tuning_helpers.runtime.routes import OPERATIONS
from prompt_tuning_helpers.runtime.routes.operations import Operation
from tests.support.calls import open_client, open_fake, training_body

UNDECLARED = "undeclared"
READING = [operation for operation in OPERATIONS if operation.query is not None]
VERSIONED = [operation for operation in READING if operation.path.startswith(("/ml/v1", "/ml/v4"))]
CHANGES: dict[str, Any] = {"op": "replace", "path": "/description", "value": "x"}


def name(operation: Operation) -> str:
    return str(operation)


def send(client: TestClient, operation: Operation, query: Any, **content: Any) -> Any:
    return client.request(operation.method, operation.path, params=query, **content)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """One runtime for all, since nearly all is refused."""
    opened = open_fake(tmp_path_factory.mktemp("declared") / "state", controls=Controls())
    yield opened
    opened.close()


@pytest.fixture
def client(runtime: Runtime) -> TestClient:
    """A client that may use every operation, the controls of tests, too."""
    made = open_client(runtime)
    made.headers["Authorization"] = f"Test-Controls {runtime.secrets.api_key}"
    return made


@pytest.fixture
def bodies(
    project: dict[str, str], runtime: Runtime, asset: str, request: pytest.FixtureRequest
) -> Callable[[Operation], tuple[str, Any]]:
    """Gives a path and a body that are right for an operation with a body."""
    key = runtime.secrets.api_key

    def right(operation: Operation) -> tuple[str, Any]:
        path, kind = operation.path, operation.path.split("/")[3] if operation.path.count("/") > 2 else ""
        if path in ("/", "/identity/token"):
            return path, {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key}
        if operation.method == "PATCH":
            thing = request.getfixturevalue("deploy")() if kind == "deployments" else request.getfixturevalue("model")
            return path[: path.index("{")] + thing, [CHANGES]
        if path == "/ml/v4/trainings":
            return path, training_body(project, asset)
        if path == "/ml/v4/deployments":
            model = request.getfixturevalue("model")
            return path, {"name": "D", "online": {}, "asset": {"id": model}, **project}
        others: dict[str, Any] = {
            "/icp4d-api/v1/authorize": {"username": "admin", "api_key": key},
            "/transactional/v2/projects": {"name": "another"},
            "/v2/assets": {"metadata": {"name": "n", "asset_type": "data_asset"}},
            "/v2/assets/{asset_id}/attachments": {"name": "n"},
            "/v2/asset_types/{asset_type}/search": {"query": "*:*"},
            "/test-controls/answers": {"prompt": "x", "answers": ["y"]},
            "/test-controls/faults": {"operation": "GET /health", "delay": 1},
            "/test-controls/clock": {},
            "/test-controls/tokens": {},
        }
        return path.format_map({"asset_id": asset, "asset_type": "data_asset"}), others[path]

    return right


@pytest.mark.parametrize("operation", READING, ids=name)
def test_an_undeclared_query_parameter_is_refused(client: TestClient, operation: Operation) -> None:
    for value in ("1", ""):
        answer = send(client, operation, {UNDECLARED: value})
        assert answer.status_code == 400
        message = answer.json()["errors"][0]["message"]
        assert f'no query parameter "{UNDECLARED}"' in message
        assert all(known in message for known in operation.query or ())


@pytest.mark.parametrize("operation", READING, ids=name)
def test_a_declared_query_parameter_is_given_once_and_not_empty(client: TestClient, operation: Operation) -> None:
    for known in operation.query or ():
        if known not in ("limit", "start"):
            assert f"{known} is empty" in send(client, operation, {known: ""}).text
        if known != "tag.value":
            assert f"{known} 2 times" in send(client, operation, [(known, "1"), (known, "2")]).text


@pytest.mark.parametrize("operation", READING, ids=name)
def test_spaces_are_refused(client: TestClient, project: dict[str, str], operation: Operation) -> None:
    for query in ({"space_id": "s"}, {"space_id": "s", **project}):
        answer = send(client, operation, query)
        assert answer.status_code == 400
        assert "name a project" in answer.text


@pytest.mark.parametrize("operation", VERSIONED, ids=name)
def test_a_version_is_a_date(client: TestClient, operation: Operation) -> None:
    client.event_hooks = {}
    assert "version is missing" in send(client, operation, {}).text
    for version in ("", "1", "2026", "2026-13-01", "2026-1-1", "today", "20260101"):
        answer = send(client, operation, {"version": version})
        assert answer.status_code == 400
        assert "version" in answer.text


@pytest.mark.parametrize("operation", [item for item in OPERATIONS if item.fields], ids=name)
def test_an_undeclared_field_is_told_of(
    client: TestClient, project: dict[str, str], operation: Operation, bodies: Callable[..., tuple[str, Any]]
) -> None:
    path, body = bodies(operation)
    query = project if "project_id" in (operation.query or ()) else {}

    def ask(document: Any) -> Any:
        if operation.path in ("/", "/identity/token"):
            return client.post(path, data=document)
        return client.request(operation.method, path, params=query, content=json.dumps(document).encode())

    plain = ask(body)
    assert plain.is_success, plain.text
    assert "unsupported_input" not in plain.text
    more = {UNDECLARED: 1}
    answer = ask([{**body[0], **more}] if isinstance(body, list) else {**body, **more})
    if operation.strict:
        assert answer.status_code == 400
        told = answer.json()["errors"][0]["message"]
    else:
        assert answer.status_code == plain.status_code
        (warning,) = answer.json()["system"]["warnings"]
        told = warning["message"]
    assert UNDECLARED in told
    assert str(operation) in told
    for field in operation.ignored:
        if "." not in field and "[" not in field:
            (warning,) = ask({**body, field: {"some": "thing"}}).json()["system"]["warnings"]
            assert warning["message"] == f"{field} is not offered by the local runtime and was ignored."


@pytest.mark.parametrize("operation", [operation for operation in READING if not operation.has_body], ids=name)
def test_a_body_is_refused_where_none_is_read(client: TestClient, operation: Operation) -> None:
    answer = send(client, operation, {}, content=b'{"undeclared": 1}')
    assert answer.status_code == 400
    assert "takes no body" in answer.text
    assert "takes no body" not in send(client, operation, {}, content=b" {} ").text


@pytest.mark.parametrize(
    ("document", "known", "found"),
    [
        ({"a": 1, "b": 2}, ["a"], ["b"]),
        ({"a": {"b": 1, "c": 2}, "d": {"e": 1}}, ["a.b"], ["a.c", "d"]),
        ({"a": {"b": {"c": 1}}}, ["a"], []),
        ({"a": [{"b": 1, "c": 2}, {"c": 3, "d": 4}, 5]}, ["a[].b"], ["a[].c", "a[].d"]),
        ([{"a": 1, "b": 2}], ["[].a"], ["[].b"]),
        ({"a": None, "b": {}, "c": [], "d": 0, "e": False, "f": ""}, ["x"], ["d", "e", "f"]),
        ({"a.b": 1, "a": {"b": 1}}, ["a.b"], ["a?b"]),
        ({"a": 1}, ["a.b"], []),
        ("text", ["a"], []),
    ],
)
def test_what_is_not_read_of_a_document(document: Any, known: list[str], found: list[str]) -> None:
    assert unread(document, known) == found


def test_a_query_names_what_there_is() -> None:
    check_query(QueryParams("a=1&tag.value=x&tag.value=y&limit="), ("a", "tag.value", "limit"), "GET /x")
    with pytest.raises(ApiError) as refused:
        check_query(QueryParams("b=1"), ("version", "a"), "GET /x")
    assert refused.value.message == 'There is no query parameter "b" here: GET /x takes version, a.'
    with pytest.raises(ApiError, match=r"tag\.value is empty"):
        check_query(QueryParams("tag.value=x&tag.value="), ("tag.value",), "GET /x")


def test_every_body_is_checked_but_those_of_generation() -> None:
    unchecked = [item.path for item in READING if item.fields is None and item.has_body and not item.streams_body]
    assert [path for path in unchecked if "/text/" not in path] == []
