"""Uploads beside whatever else happens to their asset: what is answered is what is kept."""

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.store import assets as assets_module
from tests.support.asgi import Reply, announce, exchange, meanwhile, of
from tests.support.calls import upload


def files_in(runtime: Runtime) -> list[str]:
    return sorted(path.name for path in runtime.state.blobs.iterdir())


def content_of(client: TestClient, project: dict[str, str], path: str) -> tuple[int, bytes]:
    """What a complete attachment says of its size, and what is downloaded."""
    document = client.get(path, params=project).json()
    return document["size"], client.get(document["url"]).content


def put(runtime: Runtime, link: str, *pieces: Any) -> Reply:
    return asyncio.run(exchange(runtime, "PUT", link, of(*pieces)))


def test_an_upload_under_way_does_not_replace_a_file_that_is_completed(
    client: TestClient, runtime: Runtime, project: dict[str, str]
) -> None:
    _, path, link = announce(client, project)
    assert client.put(link, content=b"first").status_code == 201
    done: list[Any] = []
    late = put(runtime, link, b"sec", meanwhile(lambda: done.append(client.post(f"{path}/complete", params=project))))
    assert (late.status, late.error["code"]) == (409, "attachment_complete")
    assert done[0].status_code == 200
    assert content_of(client, project, path) == (5, b"first")
    assert len(files_in(runtime)) == 1


def test_an_upload_to_an_asset_that_is_deleted_meanwhile(
    client: TestClient, runtime: Runtime, project: dict[str, str]
) -> None:
    asset, _, link = announce(client, project)
    late = put(runtime, link, b"a", meanwhile(lambda: client.delete(f"/v2/assets/{asset}", params=project)), b"b")
    assert late.status == 404
    assert "was deleted" in late.error["message"]
    assert files_in(runtime) == []


@pytest.mark.parametrize("first_ends_last", [True, False])
def test_of_two_uploads_at_once_the_one_that_ends_last_counts(
    client: TestClient, runtime: Runtime, project: dict[str, str], first_ends_last: bool
) -> None:
    _, path, link = announce(client, project)
    one, other = b"one", b"the other"
    outer, inner = (one, other) if first_ends_last else (other, one)
    replies: list[Any] = []
    pieces = (outer[:2], meanwhile(lambda: replies.append(client.put(link, content=inner))), outer[2:])
    assert put(runtime, link, *pieces).status == 201
    assert replies[0].json() == {"size": len(inner)}
    assert client.post(f"{path}/complete", params=project).json()["size"] == len(outer)
    assert content_of(client, project, path) == (len(outer), outer)
    assert len(files_in(runtime)) == 1


def test_a_file_is_seen_once_it_is_complete(client: TestClient, project: dict[str, str]) -> None:
    _, path, link = announce(client, project)
    client.put(link, content=b"x")
    assert "url" not in client.get(path, params=project).json()
    client.post(f"{path}/complete", params=project)
    assert content_of(client, project, path) == (1, b"x")


def stop_before_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail between the move of an uploaded file and its record, as a crash or a full disk does."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(assets_module, "sync_folder", fail)


def test_a_file_that_was_moved_and_not_recorded_is_not_there(
    client: TestClient, runtime: Runtime, project: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path, link = announce(client, project)
    with monkeypatch.context() as patched:
        stop_before_commit(patched)
        assert client.put(link, content=b"lost").status_code == 507
    assert len(files_in(runtime)) == 1
    assert client.post(f"{path}/complete", params=project).status_code == 400
    assert client.put(link, content=b"again").status_code == 201
    assert client.post(f"{path}/complete", params=project).status_code == 200
    assert content_of(client, project, path) == (5, b"again")


def test_size_and_content_belong_together_even_so(
    client: TestClient, project: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path, link = announce(client, project)
    assert client.put(link, content=b"first").status_code == 201
    with monkeypatch.context() as patched:
        stop_before_commit(patched)
        assert client.put(link, content=b"second one").status_code == 507
    assert client.post(f"{path}/complete", params=project).json()["size"] in (5, 10)
    size, content = content_of(client, project, path)
    assert (size, content) in ((5, b"first"), (10, b"second one"))


def test_a_file_that_is_missing_is_not_completed(client: TestClient, runtime: Runtime, project: dict[str, str]) -> None:
    _, path, link = announce(client, project)
    client.put(link, content=b"x")
    for blob in runtime.state.blobs.iterdir():
        blob.unlink()
    refused = client.post(f"{path}/complete", params=project)
    assert refused.status_code == 400
    assert "upload it again" in refused.json()["errors"][0]["message"]


@contextmanager
def before_next_transaction(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]
) -> Iterator[None]:
    """Let something happen right before the next transaction begins."""
    transaction = runtime.database.transaction

    def late() -> AbstractContextManager[Any]:
        monkeypatch.undo()
        do()
        return transaction()

    monkeypatch.setattr(runtime.database, "transaction", late)
    yield


def test_a_file_that_joins_an_asset_while_it_is_deleted(
    client: TestClient, runtime: Runtime, project: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = upload(client, project, b"x")

    def add() -> None:
        made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "more"}).json()
        assert client.put(made["url1"], content=b"y").status_code == 201

    with before_next_transaction(runtime, monkeypatch, add):
        assert client.delete(f"/v2/assets/{asset}", params=project).status_code == 204
    assert files_in(runtime) == []


def test_a_file_that_joins_a_project_while_it_is_emptied(
    client: TestClient, runtime: Runtime, project: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_next_transaction(runtime, monkeypatch, lambda: upload(client, project, b"x")):
        assert client.post(f"/v2/projects/{project['project_id']}/reset").status_code == 204
    assert files_in(runtime) == []


def test_emptying_a_project_takes_no_file_that_another_is_about_to_record(
    client: TestClient, runtime: Runtime, project: dict[str, str]
) -> None:
    upload(client, project, b"mine")
    arriving = [runtime.state.blobs / "another", runtime.state.models / "another", runtime.state.jobs / "another"]
    for path in arriving:
        path.write_bytes(b"x") if path.parent == runtime.state.blobs else path.mkdir()
    assert client.post(f"/v2/projects/{project['project_id']}/reset").status_code == 204
    assert all(path.exists() for path in arriving)
    assert files_in(runtime) == ["another"]
