"""Getting a base model ready: in a process of its own, with its progress and its errors in view."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from prompt_tuning_helpers._fetch import expectation, fetch, run_with_progress
from prompt_tuning_helpers._sdk import ConnectionSetupError, ProgressLine
from prompt_tuning_helpers.engine import sources
from tests.support.environment import offline_environment


@pytest.fixture
def shown() -> Iterator[list[str]]:
    """What the line of progress shows, in order."""
    texts: list[str] = []
    with mock.patch.object(ProgressLine, "show", lambda line, text: texts.append(text)):
        yield texts


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMPT_TUNING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_connecting_leaves_pytorch_out_of_the_calling_process(tmp_path: Path) -> None:
    """Also the first time, when the base model is yet to be unpacked."""
    code = (
        "import sys; from prompt_tuning_helpers import connect; print(connect(model='tiny'));"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    environment = offline_environment(tmp_path / "attempts") | {
        "PROMPT_TUNING_CACHE": str(tmp_path / "cache"),
        "LOCAL_WATSONX_STATE": str(tmp_path / "state"),
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "Running on this computer: the local watsonx.ai runtime, base model local/tiny-random-llama.",
        "[]",
    ], done.stderr
    assert done.stderr == ""


def test_a_model_that_is_there_takes_no_process(no_cache: Path) -> None:
    sources.cached_folder("tiny").mkdir(parents=True)
    (no_cache / "config.json").write_text("{}")
    with mock.patch("subprocess.Popen") as process:
        fetch("tiny")
        fetch(str(no_cache))
    process.assert_not_called()


def test_a_model_of_others_says_first_what_it_takes(tmp_path: Path) -> None:
    folder = shutil.copytree(sources.fetch("tiny"), tmp_path / "mine")
    said = expectation(str(folder))
    assert said is not None
    assert re.match(r"local/mine has 0\.00\d+ million weights\. Tuning and answering take about 1\.\d GB", said)
    assert expectation("smollm2") is None


def test_each_state_of_a_progress_bar_is_shown_and_nothing_stays(shown: list[str]) -> None:
    bar = "import sys; sys.stderr.write('\\rFetching: 10%\\rFetching: 100%\\r             \\r')"
    run_with_progress([sys.executable, "-c", bar])
    assert shown == ["Fetching: 10%", "Fetching: 100%", ""]


def test_the_engines_error_comes_through_as_it_is(no_cache: Path) -> None:
    no_cache.write_text("not a folder")
    with pytest.raises(ConnectionSetupError) as caught:
        fetch("tiny")
    start, end = str(caught.value).split(": ", 1)
    assert start == "The base model 'tiny' is unavailable"
    assert end.startswith(f"The base model cannot be kept in {no_cache / 'models'}: ")
    assert end.endswith("name another folder in PROMPT_TUNING_CACHE.")


def test_a_model_that_there_is_not_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConnectionSetupError, match=r"'gpt 9' is unavailable: There is no model 'gpt 9'\. Use"):
        fetch("gpt 9")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.stderr.write('\\r 5%'); sys.exit('No room.')", "No room."),
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os, sys; sys.stderr.write('\\r 5%'); sys.stderr.flush(); os.kill(os.getpid(), 9)", r"\(signal 9\)"),
    ],
)
def test_a_program_that_fails_says_why(shown: list[str], code: str, said: str) -> None:
    with pytest.raises(ChildProcessError, match=said):
        run_with_progress([sys.executable, "-c", code])
    assert shown[-1] == ""
