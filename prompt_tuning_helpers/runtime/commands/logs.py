"""``logs``: what a runtime, or one of its trainings, has logged, and what it goes on to log."""

import os
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ...engine.job_folder import LOG
from ..endpoint import command_line
from ..store.state import State
from .kept import complete_training
from .state_folder import StateOption, fail, how_to_start, open_state

LOOK_SECONDS = 0.3


def logs(
    training: Annotated[
        str | None,
        typer.Argument(help="The id of a training, for its own log.", autocompletion=complete_training),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print what comes, too, until Ctrl-C.")] = False,
    state: StateOption = None,
) -> None:
    """Print the end of the runtime's log, or of a training's."""
    log = _find_log(open_state(state), training)
    try:
        content = log.read_bytes()
        for line in content.splitlines(keepends=True)[-lines or len(content) :]:
            typer.echo(line.decode(errors="replace"), nl=False)
        if follow:
            with suppress(KeyboardInterrupt):
                for new in new_lines(log, len(content)):
                    typer.echo(new, nl=False)
    except OSError as error:
        fail(f"Cannot read {log}: {error.strerror}")


def _find_log(state: State, training: str | None) -> Path:
    if training is None:
        if not state.log.is_file():
            fail(f"No runtime has run on {state.root} yet. {how_to_start(state)}")
        return state.log
    # Looked for among the names that are there, so that what was typed never becomes a path.
    found = [folder for folder in (state.jobs.iterdir() if state.jobs.is_dir() else ()) if folder.name == training]
    if not found or not (found[0] / LOG).is_file():
        fail(
            f"No training {training!r} has a log in {state.root}; one that was imported has none. See: "
            f"{command_line('models', state.root)}"
        )
    return found[0] / LOG


def new_lines(log: Path, position: int) -> Generator[str, None, None]:
    """Give what is appended to a log, line by line, for ever; a file that takes its place is read from its beginning.

    Args:
        log: the file.
        position: in bytes, where to begin.
    """
    rest = b""
    file = log.open("rb")
    try:
        file.seek(position)
        while True:
            while chunk := file.readline():
                rest += chunk
                if rest.endswith(b"\n"):
                    yield rest.decode(errors="replace")
                    rest = b""
            if _was_replaced(log, file.fileno()):
                file.close()
                file = log.open("rb")
            else:
                time.sleep(LOOK_SECONDS)
    finally:
        file.close()


def _was_replaced(log: Path, descriptor: int) -> bool:
    try:
        return not os.path.samestat(log.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False  # between two files
