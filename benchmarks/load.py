"""How the runtime bears a load: many clients ask at once, and each answer is checked."""

import random
import ssl
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import clean_up, connect, datasets, unique_serving_name, watch
from prompt_tuning_helpers.lesson import reviews_path
from prompt_tuning_helpers.runtime.endpoint import recorded_endpoint, stop_recorded

CLIENTS = 8
REQUESTS = 500
WARM_UP_REQUESTS = 10
PROMPTS = 40
INIT_TEXTS = ("Is the customer satisfied?", "Once upon a time there was a dog.")
ENDLESS = 2000  # epochs of the training that runs meanwhile: longer than any load; it is cancelled

NEW_TOKENS = 10


@dataclass(frozen=True)
class Target:
    """What answers.

    Args:
        path: of the request.
        fields: of its body, beside the prompt and the parameters.
    """

    path: str
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def deployment(cls, deployment_id: str) -> "Target":
        """Give a deployment of a tuned model."""
        return cls(f"/ml/v1/deployments/{deployment_id}/text/generation")

    @classmethod
    def base_model(cls, model_id: str, project_id: str) -> "Target":
        """Give a base model."""
        return cls("/ml/v1/text/generation", (("model_id", model_id), ("project_id", project_id)))


Question = tuple[Target, str]  # what is asked, and the prompt
Ask = Callable[[Question], str]


@dataclass(frozen=True)
class Load:
    """What came of all requests.

    Args:
        seconds: from the first request to the last answer.
        latencies: seconds to each answer.
        errors: what was said instead of an answer.
        mixed_up: answers other than the one that the same question gets alone.
        memory: of the server's process, at the end over the start.
    """

    seconds: float
    latencies: list[float]
    errors: list[str]
    mixed_up: int
    memory: float

    @property
    def requests_per_s(self) -> float:
        """Answers per second of all clients together."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """Return the time within which ``percent`` percent of the answers came, in milliseconds."""
        return 1000 * statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


def load() -> Load:
    """Load a runtime of its own, on the tiny model: there the service's share is not hidden behind the model's."""
    with tempfile.TemporaryDirectory() as state:
        connection = connect(model="tiny", state=state)
        endpoint = recorded_endpoint(Path(state))
        assert endpoint is not None
        try:
            return bear(connection.credentials, connection.project_id, endpoint.pid)
        finally:
            stop_recorded(Path(state), 30)


def bear(credentials: Credentials, project_id: str, pid: int, clients: int = CLIENTS, requests: int = REQUESTS) -> Load:
    """Ask two deployments from many threads at once, each with a client of its own, while a training runs.

    Args:
        credentials: of a runtime that serves the tiny model.
        project_id: where to tune and deploy; what is made there is removed again.
        pid: the server's process.
        clients: how many.
        requests: of each client.
    """
    prompts = datasets.load_rows(reviews_path("test"))["input"][:PROMPTS]
    with _deployments_beside_training(credentials, project_id) as deployments:
        questions = [(Target.deployment(deployment), prompt) for deployment in deployments for prompt in prompts]
        expected = ask_one_by_one(credentials, questions)
        if len(set(expected.values())) < len(expected) / 2:
            raise RuntimeError("The answers are too much alike for a mixed-up one to be noticed.")
        return ask_from_many(credentials, expected, pid, clients, requests)


def ask_one_by_one(credentials: Credentials, questions: Iterable[Question]) -> dict[Question, str]:
    """Give the answer to each question, asked by one client while no other asks.

    Args:
        credentials: of a runtime.
        questions: what is asked.
    """
    with _connect(credentials) as ask:
        return {question: ask(question) for question in questions}


def ask_from_many(
    credentials: Credentials,
    expected: dict[Question, str],
    pid: int,
    clients: int = CLIENTS,
    requests: int = REQUESTS,
) -> Load:
    """Ask from many threads at once, each with a client of its own.

    Args:
        credentials: of a runtime.
        expected: the questions, each with the answer that it gets alone.
        pid: the server's process.
        clients: how many.
        requests: of each client.
    """
    with ExitStack() as connections:
        asks = [connections.enter_context(_connect(credentials)) for _ in range(clients)]
        _ask_all(asks, expected, min(WARM_UP_REQUESTS, requests))
        process = psutil.Process(pid)
        before = process.memory_info().rss
        started = time.perf_counter()
        latencies, errors, mixed_up = _ask_all(asks, expected, requests)
        seconds = time.perf_counter() - started
        return Load(seconds, latencies, errors, mixed_up, process.memory_info().rss / before)


def _ask_all(asks: list[Ask], expected: dict[Question, str], requests: int) -> tuple[list[float], list[str], int]:
    """Latencies, errors, and the number of wrong answers."""
    latencies: list[float] = []
    errors: list[str] = []
    wrong: list[str] = []

    def work(number: int) -> None:
        for question in random.Random(number).choices(list(expected), k=requests):
            started = time.perf_counter()
            try:
                answer = asks[number](question)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                errors.append(repr(error))
                continue
            latencies.append(time.perf_counter() - started)
            if answer != expected[question]:
                wrong.append(answer)

    with ThreadPoolExecutor(len(asks)) as threads:
        list(threads.map(work, range(len(asks))))
    return latencies, errors, len(wrong)


@contextmanager
def _connect(credentials: Credentials) -> Iterator[Ask]:
    """Ask as the SDK does, but without its retries, which would hide errors."""
    context = ssl.create_default_context(cafile=str(credentials.verify))
    with httpx.Client(base_url=str(credentials.url), verify=context, trust_env=False, timeout=60) as client:
        form = {"apikey": credentials.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
        token = client.post("/identity/token", data=form).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"

        def ask(question: Question) -> str:
            target, prompt = question
            body = {"input": prompt, "parameters": {"max_new_tokens": NEW_TOKENS}, **dict(target.fields)}
            answer = client.post(f"{target.path}?version=2026-10-14", json=body).raise_for_status()
            return str(answer.json()["results"][0]["generated_text"])

        yield ask


@contextmanager
def _deployments_beside_training(credentials: Credentials, project_id: str) -> Iterator[list[str]]:
    """Two deployments of different soft prompts; a training runs inside the block from its start to its end."""
    client: Any = APIClient(credentials, project_id=project_id)
    experiment: Any = TuneExperiment(credentials, project_id=project_id)
    names = client.deployments.ConfigurationMetaNames
    deployments: list[str] = []
    models: list[str] = []
    trainings: list[str] = []
    asset = datasets.upload(client, reviews_path("train"))

    def start(init_text: str, epochs: int) -> Any:
        tuner = experiment.prompt_tuner(
            name="load",
            task_id=experiment.Tasks.CLASSIFICATION,
            base_model="local/tiny-random-llama",
            init_text=init_text,
            num_epochs=epochs,
            max_input_tokens=512,
        )
        details = tuner.run([DataConnection(data_asset_id=asset)], background_mode=True)
        trainings.append(details["metadata"]["id"])
        return tuner

    try:
        for text in INIT_TEXTS:
            tuner = start(text, epochs=1)
            watch(tuner, every=0.5)
            models.append(tuner.get_model_id())
            meta = {names.NAME: "load", names.ONLINE: {}, names.SERVING_NAME: unique_serving_name("load")}
            with warnings.catch_warnings(action="ignore"):  # that it may not be ready yet; here it is
                deployment = client.deployments.create(models[-1], meta, background_mode=True)
            deployments.append(client.deployments.get_id(deployment))
        training = start(INIT_TEXTS[0], ENDLESS)
        while not training.get_run_details(include_metrics=True)["entity"]["status"].get("metrics"):
            time.sleep(0.2)
        yield deployments
        if training.get_run_status() != "running":
            raise RuntimeError("The training did not run all the time.")
    finally:
        # The endless one first.
        report = clean_up(
            client,
            deployment_ids=deployments,
            training_ids=reversed(trainings),
            model_ids=models,
            asset_ids=[asset],
        )
        if not report.complete:
            print(report)
