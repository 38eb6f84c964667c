"""Assets: upload, find, download, delete."""

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.routes import attachments
from tests.support.calls import upload


def test_asset_goes_round(client: TestClient, project: dict[str, str], runtime: Runtime) -> None:
    asset = upload(client, project, b"[1, 2]", "file.json")
    document = client.get(f"/v2/assets/{asset}", params=project).json()
    assert document["metadata"]["size"] == 6
    attachment = document["attachments"][0]["id"]
    link = client.get(f"/v2/assets/{asset}/attachments/{attachment}", params=project).json()["url"]
    assert client.get(link, headers={"Authorization": ""}).content == b"[1, 2]"
    assert client.delete(f"/v2/assets/{asset}", params=project).status_code == 204
    assert client.get(f"/v2/assets/{asset}", params=project).status_code == 404
    assert client.get(link).status_code == 404
    assert list(runtime.state.blobs.iterdir()) == []


def test_search_pages(client: TestClient, project: dict[str, str]) -> None:
    made = {upload(client, project, b"x", f"file {number}") for number in range(5)}
    body = {"query": "*:*", "limit": 2}
    seen: list[str] = []
    while body:
        answer = client.post("/v2/asset_types/data_asset/search", params=project, json=body).json()
        assert answer["total_rows"] == 5
        seen += [result["metadata"]["asset_id"] for result in answer["results"]]
        body = answer.get("next")
    assert len(seen) == 5
    assert set(seen) == made


def test_search_by_name(client: TestClient, project: dict[str, str]) -> None:
    upload(client, project, b"x", "one")
    upload(client, project, b"x", "two")
    answer = client.post("/v2/asset_types/data_asset/search", params=project, json={"query": "asset.name:two"}).json()
    assert [result["metadata"]["name"] for result in answer["results"]] == ["two"]
    answer = client.post("/v2/asset_types/data_asset/search", params=project, json={"query": "color:red"})
    assert answer.status_code == 400


def test_duplicates_are_refused_when_asked(client: TestClient, project: dict[str, str]) -> None:
    upload(client, project, b"x", "one")
    body = {"metadata": {"name": "one", "asset_type": "data_asset"}}
    answer = client.post("/v2/assets", params={**project, "duplicate_action": "REJECT"}, json=body)
    assert answer.status_code == 409
    assert client.post("/v2/assets", params=project, json=body).status_code == 201


def test_upload_has_a_limit(client: TestClient, project: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "LARGEST_UPLOAD", 10)
    asset = upload(client, project, b"x" * 10)
    answer = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "n"})
    refused = client.put(answer.json()["url1"], content=b"x" * 11)
    assert refused.status_code == 413
    chunks = client.put(answer.json()["url1"], content=iter([b"x" * 6, b"x" * 6]))
    assert chunks.status_code == 413


def test_upload_needs_its_link(client: TestClient) -> None:
    assert client.put("/upload/nonsense", content=b"x").status_code == 403


def test_nothing_to_complete(client: TestClient, project: dict[str, str]) -> None:
    asset = upload(client, project, b"x")
    made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "n"}).json()
    path = f"/v2/assets/{asset}/attachments/{made['attachment_id']}/complete"
    assert client.post(path, params=project).status_code == 400
    client.put(made["url1"], content=b"")
    assert client.post(path, params=project).status_code == 400


def test_a_complete_file_stays_as_it_is(client: TestClient, project: dict[str, str]) -> None:
    asset = upload(client, project, b"x")
    made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "n"}).json()
    client.put(made["url1"], content=b"y")
    assert client.post(f"/v2/assets/{asset}/attachments/{made['attachment_id']}/complete", params=project).is_success
    assert client.put(made["url1"], content=b"z").status_code == 409


def test_projects_see_only_their_own(client: TestClient, project: dict[str, str], asset: str) -> None:
    location = client.post("/transactional/v2/projects", json={"name": "another"}).json()["location"]
    other = {"project_id": location.rsplit("/", 1)[-1]}
    assert client.get(f"/v2/assets/{asset}", params=other).status_code == 404
    assert client.delete(f"/v2/assets/{asset}", params=other).status_code == 404
    assert client.post("/v2/asset_types/data_asset/search", params=other, json={}).json()["results"] == []
    assert client.get(f"/v2/assets/{asset}", params=project).status_code == 200


def test_a_project_goes_with_all_it_holds(client: TestClient, runtime: Runtime) -> None:
    location = client.post("/transactional/v2/projects", json={"name": "another"}).json()["location"]
    other = {"project_id": location.rsplit("/", 1)[-1]}
    upload(client, other, b"x")
    assert client.delete(f"/transactional{location}").status_code == 204
    assert client.get(location).status_code == 404
    assert list(runtime.state.blobs.iterdir()) == []
    assert client.delete(f"/transactional/v2/projects/{runtime.secrets.project_id}").status_code == 400


@pytest.mark.parametrize("query", [{}, {"space_id": "x"}, {"project_id": "x"}])
def test_a_project_is_needed(client: TestClient, query: dict[str, str]) -> None:
    answer = client.get("/v2/assets/x", params=query)
    assert answer.status_code in (400, 404)
    assert "project" in answer.json()["errors"][0]["message"].lower()
