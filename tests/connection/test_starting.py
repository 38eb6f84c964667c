"""A local runtime that is not up is started, and waited for."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from prompt_tuning_helpers import connect as make_connection
from prompt_tuning_helpers._launcher import wait_for
from prompt_tuning_helpers.connection import ConnectionSetupError
from tests.support.places import running


def test_without_the_extra_packages_the_message_says_what_to_install(
    client: mock.Mock, without: Callable[..., Any]
) -> None:
    for name in ("torch", "psutil"):
        with without(name), running(None), pytest.raises(ConnectionSetupError, match=r"\[local\]") as caught:
            make_connection()
        assert name in str(caught.value)


def test_the_runtime_is_started_in_the_background(
    client: mock.Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime: SimpleNamespace
) -> None:
    monkeypatch.setenv("LOCAL_WATSONX_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LOCAL_WATSONX_MODEL", "tiny")
    answers = [None, None, runtime]
    process = mock.Mock(**{"poll.return_value": None})
    with (
        mock.patch("prompt_tuning_helpers.runtime.endpoint.running_endpoint", side_effect=answers),
        mock.patch("prompt_tuning_helpers._launcher.fetch") as fetch,
        mock.patch("subprocess.Popen", return_value=process) as popen,
        mock.patch("atexit.register") as register,
    ):
        connection = make_connection()
    fetch.assert_called_once_with("tiny")
    command = popen.call_args.args[0]
    assert command[:4] == [sys.executable, "-m", "prompt_tuning_helpers.runtime", "serve"]
    assert command[command.index("--state") + 1] == str(tmp_path / "state")
    assert command[command.index("--model") + 1] == "tiny"
    assert "--while-used" in command
    assert connection.url == runtime.url
    stop = register.call_args.args[0]
    stop()
    process.terminate.assert_called_once()


def test_a_runtime_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(40)))
    ended = mock.Mock(**{"poll.return_value": 1})
    with running(None), pytest.raises(ConnectionSetupError, match="line 39") as caught:
        wait_for(ended, tmp_path, log)
    assert "line 3\n" not in str(caught.value)


def test_a_runtime_that_never_answers_is_stopped(tmp_path: Path) -> None:
    hanging = mock.Mock(**{"poll.return_value": None})
    with running(None), pytest.raises(ConnectionSetupError, match="did not start"):
        wait_for(hanging, tmp_path, tmp_path / "no-log", seconds=-1)
    hanging.terminate.assert_called_once()


def test_another_process_may_have_been_quicker(tmp_path: Path, runtime: SimpleNamespace) -> None:
    ended = mock.Mock(**{"poll.return_value": 1})
    with running(runtime):
        assert wait_for(ended, tmp_path, tmp_path / "log").url == runtime.url
