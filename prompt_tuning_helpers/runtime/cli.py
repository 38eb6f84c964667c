"""The command line of ``local-watsonx``: what runs a runtime and ends it, and the list of all commands."""

import errno
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer
from filelock import FileLock, Timeout

from .._files import PRIVATE_FILE
from ..engine.settings import Precision
from ..engine.sources import DEFAULT_SOURCE
from .commands.environment import env
from .commands.kept import models
from .commands.logs import logs
from .commands.state_folder import StateOption, fail, open_state, require_running
from .commands.transfer import export_model, import_model
from .endpoint import Endpoint, command_line, stop_recorded
from .jobs.folder import end_recorded_processes
from .model_selection import select_models
from .process.processes import KnownProcess, end_when
from .store.state import State, StateError
from .store.state_marker import check_claimed

STOP_SECONDS = 60.0

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A local watsonx.ai runtime: prompt tuning through the official SDK, on this machine.",
)


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
    precision: Annotated[
        Precision,
        typer.Option(
            envvar="LOCAL_WATSONX_PRECISION",
            help="What trainings multiply in; auto tries bfloat16 where the processor has it.",
        ),
    ] = Precision.AUTO,
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
    from ..engine import Engine, tune_command
    from .controls import Controls
    from .server import serve as run_server
    from .server import write_logs
    from .state_lock import StateInUse, StateLost

    os.umask(0o077)  # whatever is written, only its owner reads it
    folder = open_state(state)
    try:
        selection = select_models(model or (), alias or ())
        if until_exit_of is not None:
            _stop_after(until_exit_of)
        write_logs(folder)
        run_server(
            folder,
            Engine(selection.models),
            port,
            partial(tune_command, precision=precision),
            on_started=lambda endpoint: _announce(endpoint, folder.root),
            while_used=while_used,
            aliases=selection.aliases,
            keep_settings=keep_settings,
            controls=Controls() if test_controls else None,
        )
    except (StateInUse, StateLost, StateError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fail(
                f"Cannot serve on port {port}: another program does. Name another port with --port, or leave that out "
                "for a free one."
            )
        fail(
            f"Cannot serve on port {port} with the state folder {folder.root}: {error}. Name another port with --port, "
            "or another folder with --state."
        )


app.command()(env)


@app.command()
def status(state: StateOption = None) -> None:
    """Say whether the runtime runs, and where."""
    endpoint = require_running(open_state(state))
    typer.echo(f"Running at {endpoint.url}, process {endpoint.pid}, serving {', '.join(endpoint.models)}.")


@app.command()
def stop(state: StateOption = None) -> None:
    """End the runtime; a training resumes at its next start."""
    folder = open_state(state)
    if not _stop(folder):
        typer.echo(f"No runtime runs on {folder.root}.")
        return
    typer.echo(f"Ended the runtime on {folder.root}.")


@app.command()
def reset(state: StateOption = None) -> None:
    """End the runtime and delete all it keeps: data, models, keys."""
    folder = open_state(state)
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
        fail(f"A runtime is starting on {folder.root}: try again.")
    except StateError as error:
        fail(str(error))
    except OSError as error:
        fail(f"Cannot clear {folder.root}: {error}")
    typer.echo(f"Cleared {folder.root}.")


app.command()(logs)
app.command()(models)
app.command("export")(export_model)
app.command("import")(import_model)


def _announce(endpoint: Endpoint, folder: Path) -> None:
    typer.echo(f"Serving {', '.join(endpoint.models)} at {endpoint.url}")
    typer.echo(f'Set up a shell for it with: eval "$({command_line("env", folder)})"')


def _stop_after(pid: int) -> None:
    """End this process once another one is gone."""
    try:
        process = KnownProcess.find(pid)
    except psutil.NoSuchProcess:
        fail(f"--until-exit-of names process {pid}, which is not there.")
    end_when(lambda: not process.is_alive(), "until-exit-of")


def _stop(state: State) -> bool:
    try:
        ended = stop_recorded(state.root, STOP_SECONDS)
    except PermissionError as error:
        fail(str(error))
    if ended is False:
        fail(f"The runtime on {state.root} has not ended after {STOP_SECONDS:.0f} seconds: end its process by hand.")
    return ended is not None
