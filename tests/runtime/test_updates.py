"""JSON Patch on deployments and models."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

Deploy = Callable[..., str]


def change(path: str, value: object, name: str = "replace") -> list[dict[str, Any]]:
    return [{"op": name, "path": path, "value": value}]


def test_what_is_not_changed_stays(client: TestClient, project: dict[str, str], deploy: Deploy) -> None:
    path = f"/ml/v4/deployments/{deploy('serving')}"
    before = client.get(path, params=project).json()
    changed = client.patch(path, params=project, json=change("/description", "new", "add")).json()
    assert changed == client.get(path, params=project).json()
    assert changed["metadata"] == {**before["metadata"], "description": "new"}
    assert changed["entity"] == before["entity"]
    assert client.patch(path, params=project, json=[]).json() == changed


def test_serving_names_stay_unique(client: TestClient, project: dict[str, str], deploy: Deploy) -> None:
    path, _ = f"/ml/v4/deployments/{deploy('one')}", deploy("two")
    taken = client.patch(path, params=project, json=change("/online/parameters", {"serving_name": "two"}))
    assert taken.status_code == 409
    for name in ("one", "three"):
        assert client.patch(path, params=project, json=change("/online/parameters", {"serving_name": name})).is_success
    assert client.post("/ml/v1/deployments/three/text/generation", json={"input": "x"}).is_success
    assert client.post("/ml/v1/deployments/one/text/generation", json={"input": "x"}).status_code == 404


def test_what_is_removed_is_empty(client: TestClient, project: dict[str, str], deploy: Deploy) -> None:
    path = f"/ml/v4/deployments/{deploy('serving')}"
    for place, value in (("/custom", {"team": "a", "deep": [1]}), ("/tags", ["one"]), ("/description", "text")):
        client.patch(path, params=project, json=change(place, value))
    changed = client.get(path, params=project).json()
    assert changed["entity"]["custom"] == {"team": "a", "deep": [1]}
    assert (changed["metadata"]["tags"], changed["metadata"]["description"]) == (["one"], "text")
    removals = [{"op": "remove", "path": p} for p in ("/custom", "/tags", "/description", "/online/parameters")]
    changed = client.patch(path, params=project, json=removals).json()
    assert changed == client.get(path, params=project).json()
    assert changed["entity"]["custom"] == {}
    assert (changed["metadata"]["tags"], changed["metadata"]["description"]) == ([], "")
    assert client.post("/ml/v1/deployments/serving/text/generation", json={"input": "x"}).status_code == 404


def test_model_is_renamed(client: TestClient, project: dict[str, str], model: str) -> None:
    path = f"/ml/v4/models/{model}"
    changed = client.patch(path, params=project, json=change("/name", "new")).json()
    assert changed["metadata"]["name"] == "new"
    assert changed == client.get(path, params=project).json()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "new"}, "must be a JSON Patch"),
        (["x"], "must be a JSON Patch"),
        ([{"path": "/name", "value": "new"}], "op is missing"),
        (change("/name", "new", "move"), "op must be one of add, replace, remove"),
        (change("/name", None, "remove"), "name is missing"),
        (change("/description", "old", "remove"), "value is not for the op remove"),
        ([{"op": "replace", "path": "/description"}], "value is missing"),
        (change("/created_at", "now"), "path must be one of /name"),
        (change("/name", ""), "name is missing"),
        (change("/name", 5), "name must be a string"),
    ],
)
def test_wrong_changes(
    client: TestClient, project: dict[str, str], deploy: Deploy, model: str, body: object, message: str
) -> None:
    for path in (f"/ml/v4/deployments/{deploy()}", f"/ml/v4/models/{model}"):
        answer = client.patch(path, params=project, json=body)
        assert answer.status_code == 400
        assert message in answer.text


@pytest.mark.parametrize(
    ("path", "value", "status"),
    [
        ("/online/parameters", {"serving_name": "Not Allowed"}, 400),
        ("/tags", "one", 400),
        ("/asset", None, 400),
        ("/asset", {"id": "unknown"}, 404),
    ],
)
def test_wrong_changes_of_a_deployment(
    client: TestClient, project: dict[str, str], deploy: Deploy, path: str, value: object, status: int
) -> None:
    answer = client.patch(f"/ml/v4/deployments/{deploy()}", params=project, json=change(path, value))
    assert answer.status_code == status
