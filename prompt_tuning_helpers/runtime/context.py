"""All that a running runtime consists of, for the route handlers."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..engine import Generation, GenerationRequest, ModelCard, TuningSettings
from .catalogue import ServedModel, describe
from .clock import Clock
from .controls import Controls
from .http.waiting import HeavyCalls
from .jobs.queue import Jobs
from .store.assets import Assets
from .store.database import Database
from .store.deployments import Deployments
from .store.models import Models
from .store.projects import Projects
from .store.state import Secrets, State, load_secrets
from .store.trainings import Trainings
from .tokens import TOKEN_SECONDS, Tokens

DEFAULT_PROJECT = "Prompt tuning"
MOST_WAITING = 256  # many times what the SDK sends at once


class Engine(Protocol):
    """What the runtime asks of an engine, which lists base models, tunes and generates; ``engine.Engine`` is one.

    What cannot be done is an ``EngineError``, raised or in the future.
    """

    def list_base_models(self) -> list[ModelCard]:
        """List the models that can be tuned and asked."""

    def warm_up(self) -> None:
        """Load every model, so that the first request need not wait for it."""

    def check_training_data(self, model_id: str, data: Path, settings: TuningSettings) -> int:
        """Read a training file as a run with these settings would; give the number of rows that it would tune on."""

    def generate(
        self, request: GenerationRequest, on_part: Callable[[Generation], None] | None = None
    ) -> Future[Generation]:
        """Answer a prompt; ``on_part`` is called with each new part of the answer, in a thread of the engine's."""

    def tokenize(self, model_id: str, text: str) -> list[str]:
        """Split a text into its tokens."""

    def count_tokens(self, model_id: str, text: str) -> int:
        """Count a text's tokens."""

    def chat_prompt(self, model_id: str, messages: list[dict[str, Any]]) -> str:
        """Turn a conversation into a prompt."""

    def close(self) -> None:
        """Let the requests that wait fail."""


@dataclass
class Runtime:
    """A runtime's parts.

    Args:
        url: where it listens; known once the port is.
        cards: the base models, by id.
        clock: what it goes by.
        controls: what tests set; ``None`` unless they may.
        keep_settings: whether trainings under an alias tune as they ask, too.
        heavy: runs what takes long: a long text's tokens may take half a gigabyte for some seconds.
        questions: reads inference requests; apart, so that these do not wait for what takes long.
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
    cards: dict[str, ServedModel]
    clock: Clock
    controls: Controls | None = None
    keep_settings: bool = False
    url: str = ""
    heavy: HeavyCalls = field(default_factory=lambda: HeavyCalls(at_once=1, most_waiting=MOST_WAITING))
    questions: HeavyCalls = field(default_factory=lambda: HeavyCalls(at_once=4, most_waiting=MOST_WAITING))

    @property
    def token_seconds(self) -> int:
        """How long a token lasts that is issued now."""
        return (self.controls and self.controls.token_seconds) or TOKEN_SECONDS

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
    aliases: Collection[str] = (),
    keep_settings: bool = False,
    controls: Controls | None = None,
) -> Runtime:
    """Open a state folder that this process has locked.

    Args:
        state: the folder; prepared if it is new.
        engine: tunes and answers.
        command: the command line of a tuning job's process.
        is_lost: tells whether the folder was taken away meanwhile; nothing is changed there then.
        aliases: the ids among the engine's that are other models' names.
        keep_settings: whether trainings under one of these tune as they ask, too, not as suits the model there.
        controls: what tests may set; ``None`` where they may not.

    Raises:
        StateError: when a file in it is damaged.
    """
    state.prepare()
    secrets = load_secrets(state)
    clock = controls.clock if controls else Clock()
    database = Database(state, clock)
    models = Models(database, state.models)
    trainings = Trainings(database, models)
    runtime = Runtime(
        state=state,
        secrets=secrets,
        tokens=Tokens(secrets.signing_key, clock),
        database=database,
        projects=Projects(database),
        assets=Assets(database, state.blobs),
        trainings=trainings,
        models=models,
        deployments=Deployments(database),
        jobs=Jobs(trainings, models, state.jobs, command, is_lost),
        engine=engine,
        cards={card.model_id: describe(card, aliases) for card in engine.list_base_models()},
        clock=clock,
        controls=controls,
        keep_settings=keep_settings,
    )
    runtime.projects.create(DEFAULT_PROJECT, "The project of the local runtime.", secrets.project_id)
    return runtime
