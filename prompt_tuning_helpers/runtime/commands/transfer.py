"""``export`` and ``import``: a soft prompt goes out as a PEFT adapter with its template, and comes back as a model."""

import json
import shlex
import shutil
import sqlite3
import uuid
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from ..._files import atomic_folder
from ...engine.adapter import Adapter, copy_adapter, read_adapter
from ...engine.errors import EngineError, UnusableModel, reason_of
from ..endpoint import command_line
from ..program import PROGRAM
from ..store.database import Database
from ..store.models import Model, Models
from ..store.projects import Projects
from ..store.state import State, StateError, read_secrets
from ..store.trainings import Trainings
from .kept import complete_training, kept_models
from .state_folder import StateOption, fail, find_running, no_start, open_database, open_state

DESCRIPTION = "tuned_model.json"
TAGS = ["prompt_tuning", "imported"]
README = """\
# {name}

A soft prompt of {length} virtual tokens for the base model {base_model}, as an adapter of PEFT. Each input
belongs into the template that it was tuned with:

```text
{verbalizer}
```

With PEFT (`pip install peft`), where BASE is the base model's id on the hub or its folder:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "this folder")
```

Into a local watsonx.ai runtime: `{program} import` with this folder's name.
"""


@dataclass(frozen=True)
class Description:
    """What a runtime says of a tuned model besides its adapter.

    Args:
        name: of the model.
        description: of the model.
        base_model_id: the base model, under the id that the runtime served it by.
        task_id: what it was tuned for, if that was said.
    """

    name: str
    description: str
    base_model_id: str
    task_id: str | None


def export_model(
    training: Annotated[
        str, typer.Argument(help="The id of a training, or of its model.", autocompletion=complete_training)
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    state: StateOption = None,
) -> None:
    """Write what a training has tuned to a folder: a PEFT adapter with its template."""
    opened = open_state(state)
    with open_database(opened) as database:
        kept = kept_models(database, opened)
        found = next((model for model in kept if training in (model.training_id, model.id)), None)
        if found is None:
            fail(f"No training {training!r} has a tuned model here. See: {command_line('models', opened.root)}")
        source = Models(database, opened.models).soft_prompt(found.id)
        if folder.exists():
            fail(f"{folder} is there already: name a folder that is not.")
        try:
            write_export(found, source, folder)
        except EngineError as error:
            fail(error.message)
        except OSError as error:
            fail(f"Cannot write {folder}: {error.strerror}. Name a new folder in one that is there and can be written.")
    command = shlex.join([PROGRAM, "import", str(folder)])
    typer.echo(f"Wrote {found.name} to {folder}. Take it into another runtime with: {command}")


def write_export(model: Model, source: Path, folder: Path) -> None:
    """Write a tuned model to a new folder, which appears whole.

    Raises:
        EngineError: if the model's own files are damaged.
        OSError: if the folder cannot be written.
    """
    adapter = read_adapter(source)
    about = Description(model.name, model.description, model.base_model_id, model.task_id)
    page = README.format(
        name=model.name,
        length=adapter.length,
        base_model=model.base_model_id,
        verbalizer=model.verbalizer,
        program=PROGRAM,
    )
    with atomic_folder(folder) as temporary:
        copy_adapter(adapter, temporary)
        (temporary / DESCRIPTION).write_text(json.dumps(asdict(about), indent=2), encoding="utf-8")
        (temporary / "README.md").write_text(page, encoding="utf-8")


def import_model(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="What export wrote, or any prompt-tuning adapter of PEFT's.")
    ],
    base_model: Annotated[
        str | None, typer.Option(help="The id of its base model, where that is another one here.")
    ] = None,
    verbalizer: Annotated[
        str | None, typer.Option(help="The template of its inputs, where the folder has none; {{input}} is the field.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it here.")] = None,
    project: Annotated[str | None, typer.Option(help="The id of the project; by default the runtime's own.")] = None,
    state: StateOption = None,
) -> None:
    """Take a PEFT adapter in as a tuned model, which can then be deployed; the runtime may be running."""
    opened = open_state(state)
    try:
        adapter = read_adapter(folder, verbalizer)
        about = read_description(folder, adapter, base_model, name)
    except EngineError as error:
        fail(error.message)
    with no_start(opened), open_database(opened) as database:
        endpoint = find_running(opened)
        if endpoint is not None and about.base_model_id not in endpoint.models:
            fail(
                f"{folder} was tuned on {about.base_model_id}; the runtime serves {', '.join(endpoint.models)}. Start "
                "it with --model, or with --alias, for that one; or say with --base-model which of these it is."
            )
        try:
            project_id = project or read_secrets(opened).project_id
            if Projects(database).get(project_id) is None:
                fail(f"There is no project {project_id!r}: leave --project out for the runtime's own.")
            model = take_in(adapter, about, database, opened, project_id)
        except StateError as error:
            fail(str(error))
        except (OSError, sqlite3.Error) as error:
            fail(f"Cannot keep {folder} in {opened.root}: {error}")
    typer.echo(f"Imported {model.name}: training {model.training_id}, model {model.id}.")
    typer.echo(f'Deploy it with the SDK: client.deployments.create("{model.id}", meta_props={{...}})')


def read_description(folder: Path, adapter: Adapter, base_model: str | None, name: str | None) -> Description:
    """Read what is said of a model beside its adapter; what is given here comes first, and an adapter says a little.

    Raises:
        UnusableModel: if the file is damaged, or nothing names the base model.
    """
    said = _read_texts(folder / DESCRIPTION)
    base_model_id = base_model or said.get("base_model_id") or adapter.base_model
    if not base_model_id:
        raise UnusableModel(f"{folder} does not name its base model: name it with --base-model.")
    return Description(
        name=name or said.get("name") or folder.absolute().name,
        description=said.get("description", ""),
        base_model_id=base_model_id,
        task_id=said.get("task_id"),
    )


def _read_texts(path: Path) -> dict[str, str]:
    """Read the fields of a description that are there; an adapter of PEFT's has no such file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        texts = {key: content[key] for key in (field.name for field in fields(Description)) if content.get(key)}
        if wrong := [key for key, value in texts.items() if not isinstance(value, str)]:
            raise ValueError(f"{wrong[0]} is no text")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UnusableModel(f"{path} is damaged: {reason_of(error)}. Export the model again.") from error
    return texts


def take_in(adapter: Adapter, about: Description, database: Database, state: State, project_id: str) -> Model:
    """Record a completed training and its model, and put the adapter in its place: all of it, or nothing.

    Raises:
        OSError: if the files cannot be written.
        sqlite3.Error: if the records cannot be.
    """
    models = Models(database, state.models)
    trainings = Trainings(database, models)
    settings = {name: value for name, value in adapter.settings.items() if value is not None}  # as trainings show them
    tuning = settings | {"base_model": {"model_id": about.base_model_id}, "tuning_type": "prompt_tuning"}
    if about.task_id is not None:
        tuning["task_id"] = about.task_id
    request = {
        "prompt_tuning": tuning,
        "training_data_references": [],
        "results_reference": {"type": "container", "path": "imported"},
    }
    placed: Path | None = None
    try:
        with database.transaction():
            training_id = str(uuid.uuid4())
            training = trainings.create(training_id, project_id, about.name, about.description, TAGS, request)
            placed = models.soft_prompt(training.model_id)
            with atomic_folder(placed) as temporary:
                copy_adapter(adapter, temporary)
            trainings.start(training_id)
            trainings.complete(training)
    except BaseException:
        if placed is not None:
            shutil.rmtree(placed, ignore_errors=True)
        raise
    model = models.get(project_id, training.model_id)
    assert model is not None
    return model
