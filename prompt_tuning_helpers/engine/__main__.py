"""The engine's command line: fetch a base model, say what it takes, find settings, tune (also with ``torchrun``)."""

from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from .settings import Precision

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, help="Prompt tuning on a frozen language model."
)


@app.command()
def fetch(source: Annotated[str, typer.Argument(help="smollm2, tiny, a hub id or a folder")] = "smollm2") -> None:
    """Make sure that a base model is on this machine."""
    from .errors import EngineError
    from .loading import check
    from .sources import default_model_id
    from .sources import fetch as fetch_model

    try:
        fetch_model(source)
        check(source)
    except EngineError as error:
        raise SystemExit(error.message) from None
    print(f"Base model ready: {default_model_id(source)}")


@app.command()
def estimate(
    source: Annotated[str, typer.Argument(help="smollm2, tiny, a hub id or a folder")] = "smollm2",
    as_json: Annotated[bool, typer.Option("--json", help="for programs: one line, in bytes and seconds")] = False,
) -> None:
    """Say what a base model takes in memory and time; its weights are not downloaded."""
    from .errors import EngineError
    from .estimate import estimate as estimate_model
    from .loading import blueprint
    from .sources import default_model_id

    try:
        expected = estimate_model(default_model_id(source), blueprint(source))
    except EngineError as error:
        raise SystemExit(error.message) from None
    print(expected.to_json() if as_json else expected)


@app.command()
def tune(
    folder: Annotated[Path, typer.Argument(help="folder of the job: checkpoints, metrics and the soft prompt go here")],
    data: Annotated[Path | None, typer.Option(help="training file, for a new job")] = None,
    model: Annotated[str, typer.Option(help="base model of a new job")] = "smollm2",
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for instance learning_rate=0.02")] = None,
    parent: Annotated[
        int | None,
        typer.Option(metavar="PID", min=1, help="stop, with a checkpoint, once this process, the parent, is gone"),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            envvar="LOCAL_WATSONX_PRECISION", help="of products; auto tries bfloat16 where the processor has it"
        ),
    ] = Precision.AUTO,
) -> None:
    """Tune a soft prompt; run again on the same folder to resume after an interruption."""
    from .errors import EngineError
    from .job import run_job
    from .job_folder import JOB

    try:
        if data:
            new_job(folder, data, model, setting or [])
        elif not (folder / JOB).is_file():
            raise EngineError(f"{folder} holds no job. Name the training file of a new one with --data.")
    except EngineError as error:
        raise SystemExit(error.message) from None
    except OSError as error:
        raise SystemExit(f"The job cannot be written to {folder}: {error}. Name another folder.") from None
    raise SystemExit(run_job(folder, show=data is not None, parent=parent, precision=precision))


@app.command()
def search(
    folder: Annotated[Path, typer.Argument(help="where the result goes, search.json")],
    data: Annotated[Path, typer.Option(help="training file; a part of its rows is held back to measure on")],
    model: Annotated[str, typer.Option("--model", "--base-model", help="base model")] = "smollm2",
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, what is not to be searched")] = None,
    rate: Annotated[list[float] | None, typer.Option(help="learning rate to try; may be repeated")] = None,
    length: Annotated[list[int] | None, typer.Option(help="virtual tokens to try; may be repeated")] = None,
) -> None:
    """Find a learning rate and a length that suit a base model and a task, in short runs."""
    from functools import partial

    from . import search as searching
    from .errors import EngineError

    if not data.is_file():
        raise SystemExit(f"There is no training file {data}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)  # now, rather than find out after minutes that it cannot be
        given, say = read_given(model, setting or []), partial(print, flush=True)
        found = searching.search(model, data, given, rate or [], length or [], say)
        path = searching.save(found, folder)
    except EngineError as error:
        raise SystemExit(error.message) from None
    except KeyboardInterrupt:
        raise SystemExit("Interrupted before the first run had ended: nothing was found.") from None
    except OSError as error:
        raise SystemExit(f"The search cannot use {folder} or {data}: {error}. Name others.") from None
    print(f"\n{searching.table(found.trials)}\n\n{searching.summary(found)}\nWritten to {path}. To tune with them:\n")
    print(searching.next_command(found, folder / "tuned", data, model))


def new_job(folder: Path, data: Path, model: str, settings: list[str]) -> None:
    """Write the job of a new folder.

    Raises:
        EngineError: for an unknown or impossible setting, a missing file, or a folder that holds another job.
        OSError: when the folder cannot be written.
    """
    from .defaults import complete_settings
    from .errors import EngineError
    from .job_folder import JOB, Job
    from .settings import check_settings
    from .sources import default_model_id

    completed = complete_settings(model, read_given(model, settings))
    check_settings(completed)
    if not data.is_file():
        raise EngineError(f"There is no training file {data}.")
    job = Job(model, default_model_id(model), data.resolve(), completed)
    if (folder / JOB).is_file() and Job.read(folder) != job:
        raise EngineError(
            f"{folder} holds a job with other settings or data. Name another folder for a new one; to resume the "
            "old one, leave out --data."
        )
    job.write(folder)  # under torchrun each process comes by here, and all write the same


def read_given(model: str, settings: list[str]) -> dict[str, Any]:
    """Read settings that a command line gives.

    Args:
        model: source of the base model.
        settings: each as ``NAME=VALUE``.

    Raises:
        EngineError: for an unknown setting, or a value of another type.
    """
    from dataclasses import asdict

    from .defaults import default_settings
    from .errors import EngineError
    from .settings import TuningSettings

    defaults = asdict(default_settings(model))
    types = get_type_hints(TuningSettings)
    given: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in defaults:
            raise EngineError(f"There is no setting {name!r}. There are: {', '.join(defaults)}.")
        kind = next(kind for kind in (int, float, str) if kind in (get_args(types[name]) or [types[name]]))
        try:
            given[name] = kind(value)
        except ValueError:
            raise EngineError(f"{name} is {value!r}, which is no {kind.__name__}.") from None
    return given


if __name__ == "__main__":
    app()
