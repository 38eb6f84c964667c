"""The command line of ``local-watsonx``, in the test's own process or in another."""

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from prompt_tuning_helpers.runtime.cli import app
from tests.support.environment import REPOSITORY


def invoke(state: Path, *words: str) -> Result:
    """Run a command on a state folder; its output has what it printed as an error, too."""
    return CliRunner().invoke(app, [*words, "--state", str(state)])


def run(state: Path, *words: str, change: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command on a state folder in a process of its own, after a script that changes the circumstances."""
    program = f"import runpy; exec({change!r}); runpy.run_module('prompt_tuning_helpers.runtime', run_name='__main__')"
    command = [sys.executable, "-c", program, *words, "--state", str(state)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)


def assert_one_line(answer: subprocess.CompletedProcess[str], *said: str) -> None:
    """A command that failed has said why in one line, with these words in it."""
    assert answer.returncode == 1, answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    for part in said:
        assert part in answer.stderr
