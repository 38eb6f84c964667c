"""How fast prompts are answered: tuned against base through the SDK, and against PEFT's generate."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import torch
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection
from peft import PeftModel
from transformers import AutoModelForCausalLM

from prompt_tuning_helpers import (
    Connection,
    choose_base_model,
    connect,
    datasets,
    settings_for,
    unique_serving_name,
    watch,
)
from prompt_tuning_helpers.engine import Engine, GenerationParameters, GenerationRequest, loading, sources
from prompt_tuning_helpers.engine.epochs import EPOCHS
from prompt_tuning_helpers.engine.rows import wrap
from prompt_tuning_helpers.engine.soft_prompt import load
from prompt_tuning_helpers.lesson import reviews_path
from prompt_tuning_helpers.runtime.endpoint import recorded_endpoint, running_endpoint

from .load import Load, Target, ask_from_many, ask_one_by_one
from .measure import in_turn, seconds

NEW_TOKENS = 10
EXAMPLES = 10  # of a few-shot prompt
LOAD_REQUESTS = 20
RIVALS_PROMPTS = 16  # that transformers and PEFT answer, too, which takes seconds for each few
LOAD_PROMPTS = 40
FEW_SHOT_PROMPTS = 8
IMPORT = """
import ibm_watsonx_ai.experiment, ibm_watsonx_ai.foundation_models, ibm_watsonx_ai.helpers, time
began = time.perf_counter()
import prompt_tuning_helpers
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Lesson:
    """The lesson's tuned model, deployed.

    Args:
        connection: to the runtime that has it.
        pid: the runtime's process.
        tuned: the deployment.
        base: the base model.
        soft_prompt: the folder of the tuned soft prompt.
        tuning_seconds: from the start of the training to its end.
    """

    connection: Connection
    pid: int
    tuned: Any
    base: Any
    soft_prompt: Path
    tuning_seconds: float

    def answers(self) -> list[str]:
        """Ask the tuned model about the test rows."""
        return _ask(self.tuned, prompts_and_labels()[0])


def _ask(model: Any, prompts: list[str]) -> list[str]:
    answers: list[str] = model.generate_text(prompt=prompts, concurrency_limit=2)
    return answers


@contextmanager
def lesson() -> Iterator[Lesson]:
    """Tune and deploy through the SDK, as the notebook does, on a runtime of its own."""
    with tempfile.TemporaryDirectory() as state:
        connection = connect(state=state)
        client = APIClient(connection.credentials, project_id=connection.project_id)
        experiment: Any = TuneExperiment(connection.credentials, project_id=connection.project_id)
        model = choose_base_model(client)
        settings = settings_for(model, rows=len(datasets.load_rows(reviews_path("train"))))
        tuner = experiment.prompt_tuner(
            name="bench",
            task_id=experiment.Tasks.CLASSIFICATION,
            base_model=model,
            init_method="text",
            **asdict(settings),
        )
        asset = datasets.upload(client, reviews_path("train"))
        began = time.perf_counter()
        tuner.run([DataConnection(data_asset_id=asset)], background_mode=True)
        watch(tuner, every=1)
        took = time.perf_counter() - began
        deployment = client.deployments.create(
            tuner.get_model_id(),
            meta_props={
                client.deployments.ConfigurationMetaNames.NAME: "bench",
                client.deployments.ConfigurationMetaNames.ONLINE: {},
                client.deployments.ConfigurationMetaNames.SERVING_NAME: unique_serving_name("bench"),
            },
        )
        parameters = {"max_new_tokens": NEW_TOKENS}
        deployment_id = client.deployments.get_id(deployment)
        tuned = ModelInference(deployment_id=deployment_id, api_client=client, params=parameters)
        base = ModelInference(model_id=model, api_client=client, params=parameters)
        found = Path(state).rglob("adapter_model.safetensors")
        (weights,) = (path for path in found if EPOCHS not in path.parts)  # those of each epoch are kept, too
        endpoint = recorded_endpoint(Path(state))
        assert endpoint is not None
        yield Lesson(connection, endpoint.pid, tuned, base, weights.parent, took)
        _run_cli("stop", "--state", state)


def score_tuned_vs_base(tuned: Lesson) -> float:
    """Divide the time to score the test rows through the SDK, two at a time, tuned, by that of the base model."""
    prompts, _ = prompts_and_labels()
    return 1 / in_turn(tuned.answers, lambda: _ask(tuned.base, prompts), rounds=1).speed_up


def score_vs_peft(soft_prompt: Path) -> float:
    """Divide prompts per second by those of ``PeftModel.generate`` in batches of 8, on the first test rows."""
    prompts = prompts_and_labels()[0][:RIVALS_PROMPTS]
    peft_model: Any = PeftModel.from_pretrained(_network(), str(soft_prompt)).eval()
    verbalizer = load(soft_prompt).verbalizer
    return _answers_vs(peft_model, prompts, [wrap(verbalizer, prompt) for prompt in prompts], soft_prompt)


def few_shot_vs_transformers() -> float:
    """Divide prompts per second by those of transformers' ``generate`` in batches of 8, for the base model.

    The prompts are the first test rows, each after the same ten solved examples of the training rows.
    """
    prompts = few_shot_prompts()[:FEW_SHOT_PROMPTS]
    return _answers_vs(_network().eval(), prompts, prompts)


def few_shot_prompts() -> list[str]:
    """Put the same solved examples before each of the lesson's test rows."""
    train = datasets.load_rows(reviews_path("train"))[:EXAMPLES]
    examples = "".join(f"{text}\n{label}\n\n" for text, label in zip(train["input"], train["output"], strict=True))
    return [f"{examples}{prompt}\n" for prompt in prompts_and_labels()[0]]


def _network() -> Any:
    return AutoModelForCausalLM.from_pretrained(sources.fetch("smollm2"), dtype=torch.float32)


def _answers_vs(network: Any, prompts: list[str], wrapped: list[str], soft_prompt: Path | None = None) -> float:
    """Divide prompts per second by those of a network's ``generate`` in batches of 8.

    Args:
        network: of transformers or PEFT.
        prompts: for the engine.
        wrapped: the same for the network, which knows no verbalizer.
        soft_prompt: for the engine.
    """
    tokenizer = loading.load_tokenizer("smollm2")
    engine = Engine({"smollm2": "smollm2"})
    parameters = GenerationParameters(max_new_tokens=NEW_TOKENS)

    def ours() -> list[str]:
        requests = [GenerationRequest("smollm2", prompt, parameters, soft_prompt) for prompt in prompts]
        return [future.result().text for future in [engine.generate(request) for request in requests]]

    def theirs() -> list[str]:
        answers: list[str] = []
        for start in range(0, len(wrapped), 8):
            batch = tokenizer(wrapped[start : start + 8], return_tensors="pt", padding=True, padding_side="left")
            with torch.no_grad():
                output = network.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False)
            answers += tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        return answers

    answers: dict[str, list[str]] = {}
    speed_up = in_turn(lambda: answers.update(ours=ours()), lambda: answers.update(theirs=theirs()), rounds=3).speed_up
    differing = sum(a != b for a, b in zip(answers["ours"], answers["theirs"], strict=True))
    if differing:
        print(f"note: {differing} of {len(prompts)} answers differ from the engine's")
    engine.close()
    return speed_up


def loads(tuned: Lesson, requests: int = LOAD_REQUESTS) -> tuple[Load, Load]:
    """Let 8 clients ask the tuned and the base model at once, about the first of the lesson's test rows.

    Args:
        tuned: the lesson's model.
        requests: of each client.

    Returns:
        What came of it, of the tuned model and of the base model.
    """
    prompts = prompts_and_labels()[0][:LOAD_PROMPTS]
    connection = tuned.connection
    targets = (
        Target.deployment(tuned.tuned.deployment_id),
        Target.base_model(connection.models[0], connection.project_id),
    )

    def bear(target: Target) -> Load:
        expected = ask_one_by_one(connection.credentials, [(target, prompt) for prompt in prompts])
        return ask_from_many(connection.credentials, expected, tuned.pid, requests=requests)

    of_tuned, of_base = map(bear, targets)
    return of_tuned, of_base


def prompts_and_labels() -> tuple[list[str], list[str]]:
    """Read the lesson's test rows."""
    test = datasets.load_rows(reviews_path("test"))
    return test["input"].tolist(), test["output"].tolist()


def serve_ready_s() -> float:
    """Time the runtime from its process's start to its first answer, with a warm cache, in seconds; median of 3."""
    return median(_start_and_ask() for _ in range(3))


def connect_s() -> float:
    """Time ``connect()`` where a runtime runs already, in seconds; median of 3."""
    with tempfile.TemporaryDirectory() as state:
        connect(model="tiny", state=state)
        try:
            return median(seconds(lambda: connect(model="tiny", state=state)) for _ in range(3))
        finally:
            _run_cli("stop", "--state", state)


def import_s() -> float:
    """Time the import of the helpers after that of the SDK, each time in a new process, in seconds; median of 3."""
    command = [sys.executable, "-c", IMPORT]
    return median(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(3))


def tutorial_s() -> float:
    """Time the whole notebook, in seconds."""
    script = Path(__file__).parents[1] / "tools" / "execute.py"
    return seconds(lambda: subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.DEVNULL))


def _start_and_ask() -> float:
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "prompt_tuning_helpers.runtime", "serve", "--state", state]
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while (endpoint := running_endpoint(Path(state))) is None:
                time.sleep(0.02)
            with httpx.Client(verify=endpoint.ca_bundle, base_url=endpoint.url, timeout=60) as client:
                form = {"apikey": endpoint.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
                token = client.post("/identity/token", data=form).json()["access_token"]
                body = {"model_id": endpoint.models[0], "input": "Hello", "project_id": endpoint.project_id}
                answer = client.post(
                    "/ml/v1/text/generation?version=2026-10-14", json=body, headers={"Authorization": f"Bearer {token}"}
                )
                answer.raise_for_status()
            took = time.perf_counter() - started
            process.terminate()
        return took


def _run_cli(*arguments: str) -> None:
    command = [sys.executable, "-m", "prompt_tuning_helpers.runtime", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
