"""The life of a runtime's processes: how it is known again, whom it waits for, and what ends it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from prompt_tuning_helpers.runtime.endpoint import read_record, recorded_endpoint, running_endpoint, stop_recorded
from prompt_tuning_helpers.runtime.process.processes import KnownProcess
from tests.support.calls import ROWS, training_body, upload, wait_for_training
from tests.support.environment import REPOSITORY
from tests.support.servers import (
    changed_command,
    connect,
    fake_command,
    run_cli,
    serve_command,
    start_runtime,
    wait_until,
)

pytestmark = pytest.mark.slow

SET_CLOCK = "import psutil._pslinux as linux; at = linux.boot_time; linux.boot_time = lambda: at() - 3600"
NEVER_READY = (
    "from prompt_tuning_helpers.runtime import server; import time; server.open_runtime = lambda *_: time.sleep(600)"
)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- a state folder that is taken away


@pytest.fixture
def other_state(tmp_path: Path) -> Path:
    """The state folder of another runtime, which was killed."""
    other = tmp_path / "other"
    process, endpoint = start_runtime(other, fake_command(other))
    with connect(endpoint) as client:
        upload(client, {"project_id": endpoint.project_id}, b"[]")
    process.kill()
    process.wait(10)
    assert (other / "runtime.db-wal").stat().st_size
    return other


def delete(state: Path, other: Path) -> None:
    shutil.rmtree(state)


def move(state: Path, other: Path) -> None:
    state.rename(state.with_name("moved"))


def replace(state: Path, other: Path) -> None:
    move(state, other)
    other.rename(state)


@pytest.mark.parametrize("take_away", [delete, move, replace])
def test_a_runtime_ends_without_its_folder(
    state: Path, other_state: Path, take_away: Callable[[Path, Path], None]
) -> None:
    there = files_in(other_state)
    process, endpoint = start_runtime(state, serve_command(state, "--model", "tiny"))
    project = {"project_id": endpoint.project_id}
    with connect(endpoint) as client:
        asset = upload(client, project, json.dumps(ROWS).encode())
        body = {"metadata": {"name": "more", "asset_type": "data_asset"}}
        take_away(state, other_state)
        for answer in (
            client.post("/v2/assets", params=project, json=body),
            client.get(f"/v2/assets/{asset}", params=project),
        ):
            assert answer.status_code == 507
            assert answer.json()["errors"][0]["code"] == "storage_lost"
    assert process.wait(10) == 1
    assert "was deleted, moved or replaced" in (state.parent / "state.out").read_text()
    if take_away is replace:
        assert files_in(state) == there
    else:
        assert not state.exists()


def test_an_answer_on_its_way_is_no_success_either(state: Path, other_state: Path) -> None:
    """The folder goes while the request is being met."""
    take_away = (
        "import os; from prompt_tuning_helpers.runtime.store import assets; create = assets.Assets.create\n"
        f"def lose(*a, **k): os.rename({str(state)!r}, {str(state) + '-moved'!r}); return create(*a, **k)\n"
        "assets.Assets.create = lose"
    )
    process, endpoint = start_runtime(state, changed_command(state, f"exec({take_away!r})"))
    with connect(endpoint) as client:
        body = {"metadata": {"name": "more", "asset_type": "data_asset"}}
        answer = client.post("/v2/assets", params={"project_id": endpoint.project_id}, json=body)
    assert answer.status_code == 507
    assert process.wait(10) != 0


def test_a_training_goes_on_where_its_folder_was_moved(state: Path) -> None:
    process, endpoint = start_runtime(state, fake_command(state))
    project, moved = {"project_id": endpoint.project_id}, state.with_name("moved")
    with connect(endpoint) as client:
        asset = upload(client, project, json.dumps(ROWS).encode())
        body = training_body(project, asset, init_method="text", init_text="slow", num_epochs=5)
        training = client.post("/ml/v4/trainings", json=body).json()["metadata"]["id"]
        wait_for_training(client, project, training, "running")
        wait_until(lambda: (state / "jobs" / training / "metrics.jsonl").exists(), 20)
    state.rename(moved)
    assert process.wait(30) != 0
    process, endpoint = start_runtime(moved, fake_command(moved))
    with connect(endpoint) as client:
        wait_for_training(client, project, training, "completed")
    stop_recorded(moved, 10)
    assert process.wait(10) == 0


# --- a clock that is set


def test_a_process_is_known_again_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    process = KnownProcess.from_record(json.loads(json.dumps(KnownProcess.find(os.getpid()).to_record())))
    at = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: at + 3600)
    assert process.is_alive()
    assert not KnownProcess(os.getpid(), "another start").is_alive()


def test_a_process_that_an_earlier_version_recorded() -> None:
    started = psutil.Process().create_time()
    assert KnownProcess.from_record({"pid": os.getpid(), "started": started}).is_alive()
    assert not KnownProcess.from_record({"pid": os.getpid(), "started": started - 3600}).is_alive()


def test_a_runtime_can_be_used_and_ended_after_the_clock_was_set(state: Path) -> None:
    process, endpoint = start_runtime(state, changed_command(state, SET_CLOCK))
    assert running_endpoint(state) == endpoint
    assert run_cli(state, "status").returncode == 0
    assert f"process {process.pid}, {endpoint.url}" in run_cli(state, "serve", "--model", "tiny").stderr
    assert run_cli(state, "stop").returncode == 0
    assert process.wait(5) == 0


def test_a_runtime_of_an_earlier_version_is_named_at_once(state: Path) -> None:
    process, endpoint = start_runtime(state, fake_command(state))
    record = json.loads((state / "endpoint.json").read_text())
    del record["phase"]
    for since, advice in ((0, f"with `local-watsonx stop --state {state}`"), (3600, "by ending that process")):
        started = psutil.Process(process.pid).create_time() - since
        (state / "endpoint.json").write_text(json.dumps({**record, "started": started}))
        began = time.monotonic()
        second = run_cli(state, "serve", "--model", "tiny")
        assert time.monotonic() - began < 30
        assert second.returncode == 1
        assert f"process {process.pid}, {endpoint.url}" in second.stderr
        assert advice in second.stderr
    process.terminate()
    assert process.wait(10) == 0


# --- who comes while another one starts


def test_a_runtime_that_is_still_starting(state: Path) -> None:
    process = subprocess.Popen(changed_command(state, NEVER_READY), cwd=REPOSITORY)
    wait_until(lambda: read_record(state) is not None, 30)
    status = run_cli(state, "status")
    assert status.returncode == 3
    assert f"A runtime is starting on {state} (process {process.pid})" in status.stderr
    began = time.monotonic()
    second = run_cli(state, "serve", "--model", "tiny")
    assert time.monotonic() - began < 30
    assert second.returncode == 1
    assert f"A runtime is starting on {state} (process {process.pid})" in second.stderr
    assert run_cli(state, "stop").stdout == f"Ended the runtime on {state}.\n"
    assert process.wait(5) == -signal.SIGTERM
    assert "No runtime runs" in run_cli(state, "status").stderr


def test_a_runtime_waits_for_one_that_is_ending(state: Path) -> None:
    slow_end = (
        "import time; from prompt_tuning_helpers.runtime.context import Runtime; close = Runtime.close\n"
        "def close_slowly(self): time.sleep(3); close(self)\n"
        "Runtime.close = close_slowly"
    )
    first, endpoint = start_runtime(state, changed_command(state, f"exec({slow_end!r})"))
    first.terminate()
    wait_until(lambda: recorded_endpoint(state) is None, 10)
    assert "A runtime is ending" in run_cli(state, "status").stderr
    second, again = start_runtime(state, fake_command(state))
    assert first.wait(1) == 0
    assert again.project_id == endpoint.project_id
    second.terminate()
    assert second.wait(10) == 0


# --- until the exit of another process


@pytest.mark.parametrize("pid", ["-1", "0"])
def test_a_number_that_no_process_has_is_refused(state: Path, pid: str) -> None:
    answer = run_cli(state, "serve", "--model", "tiny", "--until-exit-of", pid)
    assert answer.returncode == 2
    assert "--until-exit-of" in answer.stderr
    assert not state.exists()


def test_a_process_that_is_not_there_is_refused(state: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    processes.append(subprocess.Popen(["true"]))  # not waited for, so it stays in the list of processes
    pid = processes[0].pid
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 10)
    answer = run_cli(state, "serve", "--model", "tiny", "--until-exit-of", str(pid))
    assert answer.returncode == 1
    assert f"process {pid}, which is not there" in answer.stderr
    assert not state.exists()


def test_a_killed_process_that_nobody_waits_for_is_gone(state: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    processes.append(subprocess.Popen(["sleep", "600"]))
    server, _ = start_runtime(state, serve_command(state, "--model", "tiny", "--until-exit-of", str(processes[0].pid)))
    processes[0].kill()
    assert server.wait(10) == 0
