"""The file that says where a runtime is: who can have written it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from prompt_tuning_helpers.runtime.endpoint import Endpoint, recorded_endpoint, running_endpoint, stop_recorded
from prompt_tuning_helpers.runtime.process.processes import KnownProcess
from prompt_tuning_helpers.runtime.store.state import State
from prompt_tuning_helpers.runtime.store.state_marker import claim
from tests.support.servers import run_cli

KEY = "the-key-in-the-file"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def state(tmp_path: Path, process: subprocess.Popen[bytes]) -> Path:
    """A folder whose file names a process as its runtime."""
    folder = tmp_path / "state"
    claim(State(folder))
    endpoint = Endpoint("https://127.0.0.1:1", KEY, "p", "no-bundle", process.pid, ("tiny",))
    record = {**asdict(endpoint), **KnownProcess.find(process.pid).to_record()}
    (folder / "endpoint.json").write_text(json.dumps(record))
    (folder / "endpoint.json").chmod(0o600)
    return folder


READERS: list[Callable[[Path], Any]] = [recorded_endpoint, running_endpoint, lambda state: stop_recorded(state, 0)]


@pytest.mark.parametrize(("of_folder", "of_file"), [(0o700, 0o600), (0o755, 0o644)])
def test_the_users_own_is_read(state: Path, process: subprocess.Popen[bytes], of_folder: int, of_file: int) -> None:
    state.chmod(of_folder)
    (state / "endpoint.json").chmod(of_file)
    endpoint = recorded_endpoint(state)
    assert endpoint is not None
    assert endpoint.pid == process.pid


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("name", [".", "endpoint.json"])
def test_what_others_may_change_is_not_read(
    state: Path, process: subprocess.Popen[bytes], name: str, mode: int, read: Callable[[Path], Any]
) -> None:
    """The process that it names is not ended either."""
    shared = state / name
    shared.chmod(shared.stat().st_mode | mode)
    with pytest.raises(PermissionError, match=f"Other users may change {shared}"):
        read(state)
    assert process.poll() is None


@pytest.mark.parametrize("read", READERS)
def test_what_belongs_to_somebody_else_is_not_read(state: Path, read: Callable[[Path], Any]) -> None:
    with (
        mock.patch("os.geteuid", return_value=os.geteuid() + 1),
        pytest.raises(PermissionError, match="belongs to another user"),
    ):
        read(state)


@pytest.mark.parametrize("command", ["env", "status", "stop", "reset"])
def test_the_command_line_says_so(state: Path, command: str) -> None:
    (state / "endpoint.json").chmod(0o666)
    answer = run_cli(state, command)
    assert answer.returncode == 1
    assert "Other users may change" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert KEY not in answer.stdout + answer.stderr
