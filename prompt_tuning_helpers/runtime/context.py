"""All that a running runtime consists of, for the route handlers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..engine import Engine, ModelCard
from .http.waiting import HeavyCalls
from .jobs.queue import Jobs
from .store.assets import Assets
from .store.database import Database
from .store.deployments import Deployments
from .store.models import Models
from .store.projects import Projects
from .store.state import Secrets, State, load_secrets
from .store.trainings import Trainings
from .tokens import Tokens

DEFAULT_PROJECT = "Prompt tuning"
MOST_WAITING = 256  # many times what the SDK sends at once


@dataclass
class Runtime:
    """A runtime's parts.

    Args:
        url: where it listens; known once the port is.
        cards: the base models, by id.
        heavy: runs what takes long: a long text's tokens may take half a gigabyte for some seconds.
        questions: reads questions for models; apart, so that these do not wait for what takes long.
    """

    state: State
    secrets: Secrets
    tokens: Tokens
    database: Database
    projects: Projects
    assets: Assets
    trainings: Trainings
    models: Models
    deployments: Deployments
    jobs: Jobs
    engine: Engine
    cards: dict[str, ModelCard]
    url: str = ""
    heavy: HeavyCalls = field(default_factory=lambda: HeavyCalls(at_once=1, most_waiting=MOST_WAITING))
    questions: HeavyCalls = field(default_factory=lambda: HeavyCalls(at_once=4, most_waiting=MOST_WAITING))

    def close(self) -> None:
        """End the running job gently and close what is open."""
        self.jobs.stop()
        self.engine.close()
        self.database.close()


def open_runtime(
    state: State,
    engine: Engine,
    command: Callable[[Path], list[str]],
    is_lost: Callable[[], bool] = lambda: False,
) -> Runtime:
    """Open a state folder that this process has locked.

    Args:
        state: the folder; prepared if it is new.
        engine: tunes and answers.
        command: the command line of a tuning job's process.
        is_lost: tells whether the folder was taken away meanwhile; nothing is changed there then.

    Raises:
        StateError: when a file in it is damaged.
    """
    state.prepare()
    secrets = load_secrets(state)
    database = Database(state)
    trainings, models = Trainings(database), Models(database, state.models)
    runtime = Runtime(
        state=state,
        secrets=secrets,
        tokens=Tokens(secrets.signing_key),
        database=database,
        projects=Projects(database),
        assets=Assets(database, state.blobs),
        trainings=trainings,
        models=models,
        deployments=Deployments(database),
        jobs=Jobs(trainings, models, state.jobs, command, is_lost),
        engine=engine,
        cards={card.model_id: card for card in engine.list_base_models()},
    )
    runtime.projects.create(DEFAULT_PROJECT, "The project of the local runtime.", secrets.project_id)
    return runtime
