"""``models``: the base models that a runtime serves, and the tuned ones that it keeps."""

from contextlib import closing, suppress
from pathlib import Path

import typer

from ..endpoint import command_line, default_state
from ..store.database import VERSION, Database, version_of
from ..store.models import Model, Models
from ..store.projects import Projects
from ..store.state import State
from .state_folder import StateOption, find_running, how_to_start, open_database, open_state

LARGEST_PAGE = 2**31


def models(state: StateOption = None) -> None:
    """List the base models that are served, and the tuned models that are kept."""
    folder = open_state(state)
    endpoint = find_running(folder)
    kept: list[Model] = []
    if folder.database.is_file():
        with open_database(folder) as database:
            kept = kept_models(database, folder)
    if endpoint is None:
        typer.echo(f"No runtime runs on {folder.root}, so no base model is served. {how_to_start(folder)}")
    else:
        typer.echo(f"Base models, served at {endpoint.url}:")
        for model_id in endpoint.models:
            typer.echo(f"  {model_id}")
    if not kept:
        typer.echo("There is no tuned model.")
        return
    typer.echo("Tuned models, the newest first:")
    for model in kept:
        typer.echo(f"  {model.id}  {model.name}, tuned on {model.base_model_id} by training {model.training_id}")
    typer.echo(f"Take one along with: {command_line('export', folder.root)} TRAINING DIR")


def kept_models(database: Database, state: State) -> list[Model]:
    """Give the tuned models of all projects, the newest first."""
    store = Models(database, state.models)
    found = [model for project in Projects(database).all() for model in store.page(project.id, LARGEST_PAGE)[0]]
    return sorted(found, key=lambda model: model.created_at, reverse=True)


def complete_training(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer a shell the trainings that have a tuned model, with their names."""
    state = State(Path(context.params.get("state") or default_state()).absolute())
    with suppress(Exception):  # in the middle of a command line there is nobody to tell
        if version_of(state.database) == VERSION:
            with closing(Database(state)) as database:
                found = [(model.training_id, model.name) for model in kept_models(database, state)]
            return [offer for offer in found if offer[0].startswith(incomplete)]
    return []
