"""The command line: serve, env, status, stop, reset."""

import os
import shlex
from pathlib import Path
from typing import Annotated, NoReturn

import psutil
import typer
from filelock import FileLock, Timeout

from .._files import PRIVATE_FILE
from ..engine.sources import DEFAULT_SOURCE
from .client_variables import LINES_OF_CLIENTS, variables_of_clients
from .endpoint import Endpoint, command_line, default_state, live_record, running_endpoint, stop_recorded
from .jobs.folder import end_recorded_processes
from .model_selection import select_models
from .process.processes import KnownProcess, end_when
from .store.state import State, StateError
from .store.state_marker import check_claimed

NOT_RUNNING = 3  # what status commands of services answer
STOP_SECONDS = 60.0

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A local watsonx.ai runtime: prompt tuning through the official SDK, on this machine.",
)
StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar="LOCAL_WATSONX_STATE", help="The state folder; by default one of the user's own."),
]


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen on 127.0.0.1; 0 for a free port.")] = 0,
    state: StateOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help=f"A base model: {DEFAULT_SOURCE}, tiny, a hub id or a folder. May be repeated."),
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="NAME=MODEL serves MODEL under NAME, too. May be repeated.")
    ] = None,
    keep_settings: Annotated[
        bool,
        typer.Option(
            "--keep-settings",
            help="Tune as asked under an alias, too; without it, with the learning rate, batches and epochs that suit "
            "MODEL.",
        ),
    ] = False,
    test_controls: Annotated[
        bool,
        typer.Option(
            "--test-controls",
            help="Let tests set answers, faults and the clock, and see what was asked: docs/test-double.md.",
        ),
    ] = False,
    until_exit_of: Annotated[
        int | None,
        typer.Option(metavar="PID", min=1, help="Stop when this process is gone, a notebook's kernel for instance."),
    ] = None,
    while_used: Annotated[bool, typer.Option("--while-used", hidden=True)] = False,  # for connect()
) -> None:
    """Run in the foreground until Ctrl-C."""
    from ..engine import Engine
    from .controls import Controls
    from .server import serve as run_server
    from .server import write_logs
    from .state_lock import StateInUse, StateLost

    os.umask(0o077)  # whatever is written, only its owner reads it
    folder = _state(state)
    try:
        selection = select_models(model or (), alias or ())
        if until_exit_of is not None:
            _stop_after(until_exit_of)
        write_logs(folder)
        run_server(
            folder,
            Engine(selection.models),
            port,
            on_started=lambda endpoint: _announce(endpoint, folder.root),
            while_used=while_used,
            aliases=selection.aliases,
            keep_settings=keep_settings,
            controls=Controls() if test_controls else None,
        )
    except (StateInUse, StateLost, StateError, ValueError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"Cannot serve on port {port} with the state folder {folder.root}: {error}")


@app.command()
def env(state: StateOption = None) -> None:
    """Print the running runtime's environment for a shell: eval "$(... env)"."""
    endpoint = _running(state)
    # The folder, too: connect() sends a key to this computer only where the folder's file names the address.
    values = {
        "WATSONX_URL": endpoint.url,
        "WATSONX_APIKEY": endpoint.api_key,
        "WATSONX_PROJECT_ID": endpoint.project_id,
        "SSL_CERT_FILE": endpoint.ca_bundle,
        "LOCAL_WATSONX_STATE": str(_state(state).root),
        **variables_of_clients(endpoint),
    }
    typer.echo("export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items()))
    for client, lines in LINES_OF_CLIENTS.items():
        typer.echo(f"# {client}: {lines}")


@app.command()
def status(state: StateOption = None) -> None:
    """Say whether the runtime runs, and where."""
    endpoint = _running(state)
    typer.echo(f"Running at {endpoint.url}, process {endpoint.pid}, serving {', '.join(endpoint.models)}.")


@app.command()
def stop(state: StateOption = None) -> None:
    """End the runtime; a training resumes at its next start."""
    if not _stop(_state(state)):
        typer.echo("The runtime was not running.")


@app.command()
def reset(state: StateOption = None) -> None:
    """End the runtime and delete all it keeps: data, models, keys."""
    folder = _state(state)
    if not folder.root.exists() or not any(folder.root.iterdir()):
        typer.echo(f"There is nothing in {folder.root}.")
        return
    try:
        check_claimed(folder)
        _stop(folder)
        with FileLock(folder.lock, timeout=0, mode=PRIVATE_FILE):
            end_recorded_processes(folder.jobs)
            folder.clear()
    except Timeout:
        _fail(f"A runtime is starting on {folder.root}: try again.")
    except StateError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"Cannot clear {folder.root}: {error}")
    typer.echo(f"Cleared {folder.root}.")


def _announce(endpoint: Endpoint, folder: Path) -> None:
    typer.echo(f"Serving {', '.join(endpoint.models)} at {endpoint.url}")
    typer.echo(f'Set up a shell for it with: eval "$({command_line("env", folder)})"')


def _state(folder: Path | None) -> State:
    state = State((folder or default_state()).absolute())
    try:
        next(state.root.iterdir(), None)
    except FileNotFoundError:
        pass  # one that is to be made, or on which nothing runs
    except OSError as error:
        _fail(f"Cannot use the state folder {state.root}: {error.strerror}. Name another one with --state.")
    return state


def _running(folder: Path | None) -> Endpoint:
    state = _state(folder)
    try:
        endpoint = running_endpoint(state.root)
    except PermissionError as error:
        _fail(str(error))
    if endpoint is None:
        typer.echo(_describe_none(folder), err=True)
        raise typer.Exit(NOT_RUNNING)
    return endpoint


def _describe_none(folder: Path | None) -> str:
    """Say why no runtime can be used, and what to do."""
    state = _state(folder)
    record = live_record(state.root)
    if record is None:
        return f"No runtime runs on {state.root}. Start one with: {command_line('serve', state.root)}"
    if record.endpoint is not None:
        return (
            f"The runtime on {state.root} (process {record.process.pid}) does not answer. Its log may say why: "
            f"{state.log}"
        )
    return f"A runtime is {record.phase} on {state.root} (process {record.process.pid}). Try again in a moment."


def _stop_after(pid: int) -> None:
    """End this process once another one is gone."""
    try:
        process = KnownProcess.find(pid)
    except psutil.NoSuchProcess:
        _fail(f"--until-exit-of names process {pid}, which is not there.")
    end_when(lambda: not process.is_alive(), "until-exit-of")


def _stop(state: State) -> bool:
    try:
        ended = stop_recorded(state.root, STOP_SECONDS)
    except PermissionError as error:
        _fail(str(error))
    if ended is False:
        _fail(f"The runtime on {state.root} has not ended after {STOP_SECONDS:.0f} seconds: end its process by hand.")
    return ended is not None


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
