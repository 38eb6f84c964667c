"""Getting a base model ready in a process of its own: unpacking one takes PyTorch, which a notebook does not need."""

import subprocess
import sys
from collections.abc import Sequence

from ._sdk import ConnectionSetupError, ProgressLine
from .i18n import paragraph, say


def id_of(source: str) -> str:
    """Give the id under which the local runtime serves a base model.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.
    """
    from .engine.sources import default_model_id

    return default_model_id(source)


def expectation(source: str) -> str | None:
    """Say what a base model will take in memory and time, before its weights are downloaded.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Returns:
        A few sentences; ``None`` for our own models, which run anywhere.

    Raises:
        ConnectionSetupError: if the model is unavailable, or of a kind that cannot be tuned.
    """
    from .engine import sources
    from .engine.estimate import EXPECTED, TOO_LARGE, Estimate

    if source in sources.KNOWN_IDS:
        return None
    try:
        told = run_with_progress([sys.executable, "-m", "prompt_tuning_helpers.engine", "estimate", source, "--json"])
    except OSError as problem:
        raise _unavailable(source, problem) from problem
    expected = Estimate.from_json(told)
    sentences = [say(EXPECTED, **expected.values())]
    return paragraph(*sentences, *([say(TOO_LARGE)] if expected.is_too_large else []))


def fetch(source: str) -> None:
    """Make sure that a base model is on this computer, with its progress in view where that takes time.

    Args:
        source: ``"smollm2"``, ``"tiny"``, a hub id or a folder.

    Raises:
        ConnectionSetupError: if it is unavailable, with the engine's reason and remedy.
    """
    from .engine import sources
    from .engine.errors import EngineError

    try:
        if sources.find(source) is None:
            run_with_progress([sys.executable, "-m", "prompt_tuning_helpers.engine", "fetch", source])
    except (EngineError, OSError) as problem:
        raise _unavailable(source, problem) from problem


def _unavailable(source: str, problem: Exception) -> ConnectionSetupError:
    return ConnectionSetupError(f"The base model {source!r} is unavailable: {problem}")


def run_with_progress(command: Sequence[str]) -> str:
    """Run a program and show the last line of its standard error while it runs.

    Args:
        command: the program and its arguments. It must write little to its standard output.

    Returns:
        What it wrote to its standard output.

    Raises:
        ChildProcessError: if the program fails; its last line of standard error is the message.
    """
    line, last = ProgressLine(), ""
    try:
        # As text, a carriage return ends a line, too: each state of a progress bar is one.
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stderr is not None
            for text in map(str.strip, process.stderr):
                if text:
                    last = text
                    line.show(text)
            assert process.stdout is not None
            output = process.stdout.read()
    finally:
        line.clear()
    if process.returncode < 0:
        raise ChildProcessError(f"the process that prepares it was killed (signal {-process.returncode}).")
    if process.returncode:
        raise ChildProcessError(last or f"the process that prepares it ended with status {process.returncode}.")
    return output
