"""Getting a base model ready in a process of its own: unpacking one takes PyTorch, which a notebook does not need."""

import subprocess
import sys
from collections.abc import Sequence

from ._sdk import ConnectionSetupError, ProgressLine


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
        if source in sources.KNOWN_IDS and not sources.cached_folder(source).is_dir():
            run_with_progress([sys.executable, "-m", "prompt_tuning_helpers.engine", "fetch", source])
        else:
            sources.fetch(source)  # no more than a look at the disk
    except (EngineError, OSError) as problem:
        raise ConnectionSetupError(f"The base model {source!r} is unavailable: {problem}") from problem


def run_with_progress(command: Sequence[str]) -> None:
    """Run a program and show the last line of its standard error while it runs.

    Args:
        command: the program and its arguments.

    Raises:
        ChildProcessError: if the program fails; its last line of standard error is the message.
    """
    line, last = ProgressLine(), ""
    try:
        # As text, a carriage return ends a line, too: each state of a progress bar is one.
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stderr is not None
            for text in map(str.strip, process.stderr):
                if text:
                    last = text
                    line.show(text)
    finally:
        line.clear()
    if process.returncode < 0:
        raise ChildProcessError(f"the process that prepares it was killed (signal {-process.returncode}).")
    if process.returncode:
        raise ChildProcessError(last or f"the process that prepares it ended with status {process.returncode}.")
