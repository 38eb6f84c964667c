"""What the commands share: the state folder that they are about, the runtime on it, and how they end with an error."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from filelock import FileLock, Timeout

from ..._files import PRIVATE_FILE
from ..endpoint import Endpoint, command_line, default_state, live_record, running_endpoint
from ..store.database import VERSION, Database, version_of
from ..store.state import State, StateError
from ..store.state_marker import check_claimed

NOT_RUNNING = 3  # what status commands of services answer

StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar="LOCAL_WATSONX_STATE", help="The state folder; by default one of the user's own."),
]


def fail(message: str) -> NoReturn:
    """End the program with a message for a person."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


def open_state(folder: Path | None) -> State:
    """Give the state folder that a command is about; it ends the program if that cannot be read."""
    state = State((folder or default_state()).absolute())
    try:
        next(state.root.iterdir(), None)
    except FileNotFoundError:
        pass  # one that is to be made, or on which nothing runs
    except OSError as error:
        fail(f"Cannot use the state folder {state.root}: {error.strerror}. Name another one with --state.")
    return state


def find_running(state: State) -> Endpoint | None:
    """Give the runtime on a state folder, if it runs and answers."""
    try:
        return running_endpoint(state.root)
    except PermissionError as error:
        fail(str(error))


def require_running(state: State) -> Endpoint:
    """Give the runtime on a state folder; it ends the program if none answers."""
    endpoint = find_running(state)
    if endpoint is None:
        typer.echo(_describe_none(state), err=True)
        raise typer.Exit(NOT_RUNNING)
    return endpoint


def how_to_start(state: State) -> str:
    """Say how a runtime is started on a folder, or why none can be."""
    try:
        check_claimed(state)
    except FileNotFoundError:
        pass  # it is made at the start
    except StateError as error:
        return str(error)
    return f"Start one with: {command_line('serve', state.root)}"


def _describe_none(state: State) -> str:
    """Say why no runtime can be used, and what to do."""
    record = live_record(state.root)
    if record is None:
        return f"No runtime runs on {state.root}. {how_to_start(state)}"
    if record.endpoint is not None:
        return (
            f"The runtime on {state.root} (process {record.process.pid}) does not answer. Its log may say why: "
            f"{command_line('logs', state.root)}"
        )
    return f"A runtime is {record.phase} on {state.root} (process {record.process.pid}). Try again in a moment."


def _require_used(state: State) -> None:
    """End the program unless a runtime has kept something in a folder; nothing is made there."""
    try:
        if not state.database.is_file():
            fail(f"No runtime has run on {state.root} yet. {how_to_start(state)}")
        check_claimed(state)
    except StateError as error:
        fail(str(error))


@contextmanager
def open_database(state: State) -> Iterator[Database]:
    """Open the records of a runtime that may be running meanwhile; it ends the program where that cannot be done."""
    _require_used(state)
    try:
        if version_of(state.database) < VERSION:
            fail(
                f"What is kept in {state.root} is of an older version. The next start brings it up to date: "
                f"{command_line('stop', state.root)} if a runtime is up, then {command_line('serve', state.root)}"
            )
        database = Database(state)
    except StateError as error:
        fail(str(error))
    except (OSError, sqlite3.Error) as error:
        fail(f"Cannot read {state.database}: {error}")
    try:
        yield database
    finally:
        database.close()


@contextmanager
def no_start(state: State) -> Iterator[None]:
    """Keep a runtime from starting meanwhile: at a start, files that no record names are cleared away."""
    _require_used(state)
    lock = FileLock(state.lock, mode=PRIVATE_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        require_running(state)
        yield
        return
    try:
        yield
    finally:
        lock.release()
