"""A state folder that is full, read-only or broken: one clear message, and nothing is lost or half there."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers.connection import ConnectionSetupError
from prompt_tuning_helpers.engine.job_folder import Job
from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.endpoint import stop_recorded
from prompt_tuning_helpers.runtime.jobs.folder import make_job_folder
from tests.support.calls import ROWS, training_body, upload, wait_for_training
from tests.support.environment import REPOSITORY
from tests.support.fake_engine import DEFAULTS
from tests.support.servers import changed_command, connect, fake_command, start_runtime, wait_until
from tests.support.trouble import Kind
from tests.support.world import World

LARGEST_FILE = 2**20
FULL = ("storage_full", "make room")
READ_ONLY = ("storage_not_writable", "check its permissions")


def limit_files(size: int) -> str:
    """The Python that keeps a process from writing files of more bytes: its disk is as good as full."""
    return f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, -1))"


@contextmanager
def full_database(runtime: Runtime) -> Iterator[None]:
    """Let the database grow no more; what fits into its last pages still does."""
    most = runtime.database.rows("PRAGMA max_page_count")[0][0]
    runtime.database.rows("PRAGMA max_page_count = 1")  # SQLite takes it for as many as there are
    yield
    runtime.database.rows(f"PRAGMA max_page_count = {most}")


@contextmanager
def read_only_database(runtime: Runtime) -> Iterator[None]:
    runtime.database.rows("PRAGMA query_only = ON")
    yield
    runtime.database.rows("PRAGMA query_only = OFF")


def refuse(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def assert_refused(answer: Any, expected: tuple[str, str]) -> None:
    # The SDK does not repeat a 507.
    assert answer.status_code == 507
    error = answer.json()["errors"][0]
    assert error["code"] == expected[0]
    assert expected[1] in error["message"]


def put(client: TestClient | httpx.Client, project: dict[str, str], content: bytes) -> Any:
    """Upload a file but for the last step."""
    body = {"metadata": {"name": "large", "asset_type": "data_asset"}}
    asset = client.post("/v2/assets", params=project, json=body).json()["metadata"]["asset_id"]
    made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "large"}).json()
    return client.put(made["url1"], content=content)


def test_an_upload_that_does_not_fit(tmp_path: Path) -> None:
    state, rows = tmp_path / "state", json.dumps(ROWS).encode()
    process, endpoint = start_runtime(state, changed_command(state, limit_files(LARGEST_FILE)))
    project = {"project_id": endpoint.project_id}
    try:
        with connect(endpoint) as client:
            asset = upload(client, project, rows)
            before = sorted((state / "blobs").iterdir())
            # Much of it is still to be sent when it is refused.
            assert_refused(put(client, project, bytes(20 * 2**20)), FULL)
            assert sorted((state / "blobs").iterdir()) == before
        stop_recorded(state, 10)
        process, endpoint = start_runtime(state, fake_command(state))
        with connect(endpoint) as client:
            assert put(client, project, bytes(20 * 2**20)).status_code == 201
            started = client.post("/ml/v4/trainings", json=training_body(project, asset))
            assert started.status_code == 201
            wait_for_training(client, project, started.json()["metadata"]["id"], "completed")
    finally:
        stop_recorded(state, 10)
    assert process.wait(10) == 0
    assert "Traceback" not in (tmp_path / "state.out").read_text()


@pytest.mark.parametrize(("trouble", "expected"), [(full_database, FULL), (read_only_database, READ_ONLY)])
def test_records_that_cannot_be_written(
    client: TestClient,
    runtime: Runtime,
    project: dict[str, str],
    asset: str,
    trouble: Callable[[Runtime], AbstractContextManager[None]],
    expected: tuple[str, str],
) -> None:
    # Longer than what is left of a page.
    body = {"metadata": {"name": "more", "asset_type": "data_asset", "description": "x" * 10_000}}
    training = {**training_body(project, asset), "description": "x" * 10_000}
    with trouble(runtime):
        assert_refused(client.post("/v2/assets", params=project, json=body), expected)
        assert_refused(client.post("/ml/v4/trainings", json=training), expected)
        assert list(runtime.state.jobs.iterdir()) == []
        assert client.get(f"/v2/assets/{asset}", params=project).status_code == 200
    assert client.get("/ml/v4/trainings", params=project).json()["total_count"] == 0
    assert client.post("/v2/assets", params=project, json=body).status_code == 201
    started = client.post("/ml/v4/trainings", json=training)
    assert started.status_code == 201
    wait_for_training(client, project, started.json()["metadata"]["id"], "completed")


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, FULL), (errno.EDQUOT, FULL), (errno.EROFS, READ_ONLY)])
def test_files_that_cannot_be_written(
    client: TestClient,
    runtime: Runtime,
    project: dict[str, str],
    asset: str,
    number: int,
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("prompt_tuning_helpers._files.os.fsync", refuse(number))
        assert_refused(put(client, project, b"content"), expected)
        assert_refused(client.post("/ml/v4/trainings", json=training_body(project, asset)), expected)
    assert len(list(runtime.state.blobs.iterdir())) == 1
    assert list(runtime.state.jobs.iterdir()) == []
    assert put(client, project, b"content").status_code == 201
    assert client.post("/ml/v4/trainings", json=training_body(project, asset)).status_code == 201


def test_a_job_that_cannot_write(client: TestClient, project: dict[str, str], train: Callable[..., str]) -> None:
    status = wait_for_training(client, project, train(init_text="full"), "failed")["entity"]["status"]
    error = status["failure"]["errors"][0]
    assert error["code"] == "storage_full"
    assert "Make room, then start the training again" in error["message"]


def test_a_training_whose_end_cannot_be_recorded_is_not_lost(
    client: TestClient, runtime: Runtime, project: dict[str, str], train: Callable[..., str]
) -> None:
    training = train(init_text="slow")
    wait_for_training(client, project, training, "running")
    with read_only_database(runtime):
        # The model is moved to its place before it is recorded.
        wait_until(lambda: any(runtime.state.models.iterdir()), 20)
        wait_for_training(client, project, training, "running")
    runtime.jobs.wake()
    wait_for_training(client, project, training, "completed")


def test_data_is_copied_where_it_cannot_be_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.link", refuse(errno.EPERM))
    (tmp_path / "data").write_text("rows")
    make_job_folder(tmp_path / "job", Job("tiny", "tiny", tmp_path / "data", DEFAULTS))
    data = Job.read(tmp_path / "job").data
    assert data.parent == tmp_path / "job"
    assert data.read_text() == "rows"


def serve(state: Path, change: str = "") -> subprocess.CompletedProcess[str]:
    """Serve with a folder that does not allow it."""
    program = f"import runpy; {change}; runpy.run_module('prompt_tuning_helpers.runtime', run_name='__main__')"
    command = [sys.executable, "-c", program, "serve", "--model", "tiny", "--state", str(state)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.READ_ONLY])
def test_a_server_ends_as_usual_while_nothing_can_be_written(tmp_path: Path, kind: Kind) -> None:
    world = World(tmp_path)
    try:
        world.order(kind)
        world.terminate()  # with exit status 0
        world.start()
    finally:
        world.end()
    assert "Traceback" not in (tmp_path / "state.out").read_text()


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "state"


def used(folder: Path) -> Path:
    """A state folder that has been in use; its database is there."""
    state = folder / "state"
    process, _ = start_runtime(state, fake_command(state))
    process.terminate()
    process.wait(10)
    return state


@pytest.mark.parametrize(
    ("make_state", "change", "message"),
    [
        (below_a_file, "pass", "Not a directory"),
        (lambda folder: folder / "new", limit_files(0), "File too large"),
        (used, limit_files(0), "runtime.db: disk I/O error"),
    ],
    ids=["below_a_file", "full_when_new", "full_when_used"],
)
def test_serve_says_in_one_line_what_is_wrong(
    tmp_path: Path, make_state: Callable[[Path], Path], change: str, message: str
) -> None:
    state = make_state(tmp_path)
    answer = serve(state, change)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "Cannot " in answer.stderr
    assert message in answer.stderr
    assert str(state) in answer.stderr


def test_connect_says_in_one_line_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WATSONX_APIKEY", raising=False)
    state = below_a_file(tmp_path)
    with pytest.raises(ConnectionSetupError, match="name another folder in LOCAL_WATSONX_STATE") as caught:
        make_connection(model="tiny", state=state)
    assert f"cannot keep its state in {state}: [Errno" in str(caught.value)
