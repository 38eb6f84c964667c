"""Filters of lists: each gives what it asks for and no more, so that a tear-down deletes nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.http.errors import ApiError
from prompt_tuning_helpers.runtime.routes.asset_queries import fits_tags, has_tags, read_search
from tests.support.calls import BASE, training_body, upload, wait_for_training

TAGS = st.sampled_from(["a", "b", "two words", "rock and roll", "this or that"])


def deployment(project: dict[str, str], model: str, **more: Any) -> dict[str, Any]:
    return {"name": "D", "online": {}, "asset": {"id": model}, **project, **more}


def names(client: TestClient, path: str, query: Any) -> set[str]:
    """The names of a list, whose count must be right."""
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found = [item["metadata"]["name"] for item in answer.json()["resources"]]
    assert answer.json()["total_count"] == len(found)
    return set(found)


def test_deployments(client: TestClient, project: dict[str, str], model: str) -> None:
    for name, tags in (("one", ["test", "a"]), ("two", ["test", "b"]), ("three", [])):
        body = deployment(project, model, name=name, tags=tags, online={"parameters": {"serving_name": f"s_{name}"}})
        assert client.post("/ml/v4/deployments", json=body).status_code == 202

    def found(*query: tuple[str, str]) -> set[str]:
        return names(client, "/ml/v4/deployments", [*project.items(), *query])

    everything = {"one", "two", "three"}
    assert found() == everything
    assert found(("tag.value", "test")) == {"one", "two"}
    assert found(("tag.value", "test and a")) == found(("tag.value", "a or b")) == set()
    assert found(("tag.value", "test"), ("tag.value", "b")) == {"two"}
    assert found(("tag.value", "nobody's")) == set()
    assert found(("name", "two")) == {"two"}
    assert found(("name", "two"), ("tag.value", "a")) == set()
    assert found(("serving_name", "s_three")) == {"three"}
    assert found(("asset_id", model)) == everything
    assert found(("asset_id", "another")) == set()
    assert found(("prompt_template_id", "p")) == set()
    assert found(("state", "ready")) == everything
    assert found(("state", "failed")) == set()
    assert found(("type", "prompt_tune")) == everything
    assert found(("type", "prompt_template")) == set()
    assert found(("type", "prompt_tune and prompt_template")) == set()
    for query in ({"state": "odd"}, {"type": "odd"}, {"conflict": "perhaps"}, {"conflict": "true", "name": "one"}):
        assert client.get("/ml/v4/deployments", params={**project, **query}).status_code == 400


def test_pages_of_a_filtered_list(client: TestClient, project: dict[str, str], model: str) -> None:
    for number in range(4):
        tags = ["test"] if number % 2 else []
        client.post("/ml/v4/deployments", json=deployment(project, model, name=str(number), tags=tags))
    first = client.get("/ml/v4/deployments", params={**project, "tag.value": "test", "limit": "1"}).json()
    assert first["next"]["href"].startswith("https://127.0.0.1/ml/v4/deployments?")
    assert first["first"]["href"].startswith("https://127.0.0.1/ml/v4/deployments?")
    second = client.get(first["next"]["href"]).json()
    assert [page["resources"][0]["metadata"]["name"] for page in (first, second)] == ["3", "1"]
    assert first["total_count"] == second["total_count"] == 2
    assert "next" not in second


def test_trainings(client: TestClient, project: dict[str, str], asset: str) -> None:
    def start(name: str, tags: list[str], **tuning: Any) -> str:
        body = {**training_body(project, asset, **tuning), "name": name, "tags": tags}
        return str(client.post("/ml/v4/trainings", json=body).json()["metadata"]["id"])

    def found(**query: str) -> set[str]:
        return names(client, "/ml/v4/trainings", {**project, **{key.replace("_", "."): query[key] for key in query}})

    running = start("running", ["test", "a"], init_text="slow", num_epochs=10_000)
    waiting = start("waiting", ["test", "b"])
    wait_for_training(client, project, running, "running")
    assert found() == found(tag_value="test") == {"running", "waiting"}
    assert found(tag_value="a") == {"running"}
    assert found(tag_value="a or b") == set()
    assert found(tag_value="b") == {"waiting"}
    assert found(tag_value="c") == set()
    assert found(state="queued") == {"waiting"}
    assert found(state="pending") == found(state="storing") == found(state="completed") == set()
    assert found(state="running", tag_value="b") == set()
    assert found(type="experiment") == set()
    assert names(client, "/ml/v4/trainings", {**project, "training_definition_id": "x"}) == set()
    for training in (waiting, running):
        assert client.delete(f"/ml/v4/trainings/{training}", params=project).status_code == 204
    assert found(state="canceled") == {"running", "waiting"}
    kept = client.delete(f"/ml/v4/trainings/{running}", params={**project, "hard_delete": "perhaps"})
    assert kept.status_code == 400


def test_models(client: TestClient, project: dict[str, str], train: Callable[..., str]) -> None:
    for name in ("one", "two"):
        model = wait_for_training(client, project, train(), "completed")["entity"]["model_id"]
        changes = [{"op": "replace", "path": "/name", "value": name}, {"op": "add", "path": "/tags", "value": [name]}]
        changed = client.patch(f"/ml/v4/models/{model}", params=project, json=changes).json()
        assert changed["metadata"]["tags"] == [name]

    def found(**query: str) -> set[str]:
        return names(client, "/ml/v4/models", {**project, **{key.replace("_", "."): query[key] for key in query}})

    assert found() == found(search="*:*") == {"one", "two"}
    assert found(tag_value="one") == found(name="one") == found(search="asset.name:one") == {"one"}
    assert found(search="asset.name:t* AND asset.tags:two") == {"two"}
    assert found(tag_value="one or two") == {"one", "two"}
    assert (
        found(tag_value="three")
        == found(tag_value="one and two")
        == found(name="on")
        == found(search='asset.name:"t*"')
        == set()
    )
    assert client.get("/ml/v4/models", params={**project, "search": "one"}).status_code == 400


def test_projects(client: TestClient, runtime: Runtime) -> None:
    for name in ("one", "two"):
        client.post("/transactional/v2/projects", json={"name": name})
    own = runtime.projects.all()[0].name

    def found(**query: str) -> list[str]:
        return [item["entity"]["name"] for item in client.get("/v2/projects", params=query).json()["resources"]]

    assert found() == found(type="wx") == [own, "one", "two"]
    assert found(name="two") == ["two"]
    assert found(type="cpd") == found(name="two", type="cpd") == []
    first = client.get("/v2/projects", params={"limit": "2"}).json()
    assert first["total_results"] == 3
    assert [item["entity"]["name"] for item in client.get(first["next"]["href"]).json()["resources"]] == ["two"]


def test_searches_of_assets(client: TestClient, project: dict[str, str]) -> None:
    ids = {name: upload(client, project, b"x", name) for name in ("one.json", "two.json", "x AND [y]")}

    def found(query: str, kind: str = "data_asset") -> set[str]:
        answer = client.post(f"/v2/asset_types/{kind}/search", params=project, json={"query": query})
        assert answer.status_code == 200, answer.text
        return {item["metadata"]["name"] for item in answer.json()["results"]}

    assert found("*:*") == found("asset.asset_type:data_asset") == set(ids)
    assert found("asset.asset_type:wx_prompt") == found("asset.asset_type:wx_prompt", "wx_prompt") == set()
    assert found("asset.name:*.json AND asset.asset_type:data_asset") == {"one.json", "two.json"}
    assert found('asset.name:"one.json"') == found(f"asset.asset_id:{ids['one.json']}") == {"one.json"}
    assert found("asset.name:*[y]") == {"x AND [y]"}
    for query in (
        "one",
        "asset.name:",
        "color:red",
        "asset.name:a OR asset.name:b",
        "NOT asset.name:a",
        "asset.name:(a)",
    ):
        refused = client.post("/v2/asset_types/data_asset/search", params=project, json={"query": query})
        assert refused.status_code == 400
        assert "query must be *:* or" in refused.text
    sort = {"query": "*:*", "sort": "asset.name"}
    assert client.post("/v2/asset_types/data_asset/search", params=project, json=sort).status_code == 400


def test_tasks_and_specs_have_pages_and_need_no_token(client: TestClient) -> None:
    client.headers.pop("Authorization")
    for path, key in (("/ml/v1/foundation_model_tasks", "task_id"), ("/ml/v1/foundation_model_specs", "model_id")):
        whole = [item[key] for item in client.get(path).json()["resources"]]
        page = client.get(path, params={"limit": "1"}).json()
        assert [item[key] for item in page["resources"]] == whole[:1]
        rest = client.get(page["next"]["href"]).json()
        assert [item[key] for item in rest["resources"]] == whole[1:2]
    assert client.get("/ml/v4/models", params={"project_id": "p"}).status_code == 401


def test_other_lists_are_empty(client: TestClient, project: dict[str, str]) -> None:
    for kind in ("experiments", "pipelines", "ai_services", "functions"):
        assert client.get(f"/ml/v4/{kind}", params=project).json()["resources"] == []
        assert client.get(f"/ml/v4/{kind}/x", params=project).status_code == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_model_id": "another"}, f'base_model_id is \\"another\\", but this model was tuned on \\"{BASE}\\"'),
        ({"asset": None, "base_model_id": BASE}, "deploy a tuned model, by asset.id"),
        ({"asset": None, "prompt_template": {"id": "p"}}, "prompt_template is not offered here"),
        ({"prompt_template": {"id": "p"}}, "prompt_template is not offered here"),
        ({"project_id": None}, "project_id is missing: add it to the body"),
        ({"space_id": "s"}, "name a project, by project_id, and leave space_id out"),
        ({"project_id": None, "space_id": "s"}, "name a project, by project_id, and leave space_id out"),
        ({"custom": "x"}, "custom must be an object"),
        ({"hardware_spec": {"id": "h"}}, 'no field \\"hardware_spec\\" here'),
        ({"asset": {"id": "m", "rev": "2"}}, 'no field \\"asset.rev\\" here'),
    ],
)
def test_what_cannot_be_deployed(
    client: TestClient, project: dict[str, str], model: str, change: dict[str, Any], message: str
) -> None:
    answer = client.post("/ml/v4/deployments", json={**deployment(project, model), **change})
    assert answer.status_code == 400
    assert message in answer.text


def test_what_a_deployment_is_made_with(client: TestClient, project: dict[str, str], model: str) -> None:
    body = deployment(project, model, base_model_id=BASE, custom={"team": {"size": 2}})
    made = client.post("/ml/v4/deployments", params=project, json=body).json()
    assert made["entity"]["custom"] == {"team": {"size": 2}}
    assert made == client.get(f"/ml/v4/deployments/{made['metadata']['id']}", params=project).json()


def test_two_projects_are_not_one(client: TestClient, project: dict[str, str], asset: str) -> None:
    location = client.post("/transactional/v2/projects", json={"name": "another"}).json()["location"]
    other = {"project_id": location.rsplit("/", 1)[-1]}
    answer = client.post("/ml/v4/trainings", params=other, json=training_body(project, asset))
    assert answer.status_code == 400
    assert "are two projects" in answer.text


@given(tags=st.sets(TAGS), groups=st.lists(st.lists(TAGS, min_size=1, max_size=3), min_size=1, max_size=3))
def test_expressions_of_tags(tags: set[str], groups: list[list[str]]) -> None:
    """Tags that have none of the joining words in them are joined by them."""
    plain = [[tag for tag in group if " and " not in tag and " or " not in tag] for group in groups]
    plain = [group for group in plain if group]
    if plain:
        expression = " or ".join(" and ".join(group) for group in plain)
        assert fits_tags(tags, [expression]) == any(set(group) <= tags for group in plain)
    for tag in tags:
        assert fits_tags(tags, [tag])
        assert has_tags(tags, [tag])
    firsts = [group[0] for group in plain]
    assert has_tags(tags, firsts) == fits_tags(tags, firsts) == (set(firsts) <= tags)


@given(text=st.text(max_size=30) | st.from_regex(r"(a|b|c):.{0,9}( AND (a|b):.{0,9})?", fullmatch=True))
def test_a_search_is_understood_or_refused(text: str) -> None:
    try:
        is_found = read_search(text, ("a", "b"), "query")
    except ApiError:
        return
    assert not is_found({"a": [], "b": []}) or text.strip() == "*:*"
