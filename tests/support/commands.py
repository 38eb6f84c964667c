"""The command line of ``local-watsonx`` in the test's own process."""

from pathlib import Path

from typer.testing import CliRunner, Result

from prompt_tuning_helpers.runtime.cli import app


def invoke(state: Path, *words: str) -> Result:
    """Run a command on a state folder; its output has what it printed as an error, too."""
    return CliRunner().invoke(app, [*words, "--state", str(state)])
