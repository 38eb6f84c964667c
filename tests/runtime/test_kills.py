"""Kills at random moments: nothing acknowledged is lost, nothing is half there, and trainings go on undisturbed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import httpx
import psutil
import pytest
from safetensors import safe_open
from starlette.testclient import TestClient

from prompt_tuning_helpers.runtime.endpoint import Endpoint
from prompt_tuning_helpers.runtime.process.processes import KnownProcess
from tests.support.calls import BASE, wait_for_training
from tests.support.chances import LONG, choose_seed
from tests.support.environment import REPOSITORY
from tests.support.ledger import PATHS, Ledger
from tests.support.servers import connect, fake_command, start_runtime, wait_until

pytestmark = pytest.mark.slow

KILLS = 50 if LONG else 8
REAL = "local/tiny"
WEIGHTS = "adapter_model.safetensors"
# A process that is killed three times without getting any further is given up.
KILLS_OF_A_JOB = 2


@pytest.fixture
def chance() -> random.Random:
    """Decides what is done and when something is killed."""
    return random.Random(choose_seed())


def real_command(state: Path) -> list[str]:
    return [sys.executable, "-m", "tests.support.short_checkpoints", str(state)]


def kill_server(server: int) -> None:
    os.kill(server, signal.SIGKILL)


def kill_job(server: int) -> None:
    """Kill the processes that a server has started."""
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(server).children():
            process.kill()


def act_while(
    killer: Thread, ledger: Ledger, client: httpx.Client, kinds: Sequence[str] = tuple(PATHS), pause: float = 0
) -> None:
    """Keep a runtime busy until somebody has killed what was to be killed."""
    killer.start()
    with suppress(httpx.TransportError):
        while killer.is_alive():
            ledger.act(client, kinds)
            killer.join(pause)
    killer.join()


def kill_while_starting(command: list[str], after: float) -> None:
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.kill()
    process.wait(10)


def test_what_was_acknowledged_survives_kills(state: Path, chance: random.Random) -> None:
    started = time.monotonic()
    process, endpoint = start_runtime(state, fake_command(state))
    seconds_to_start = time.monotonic() - started
    ledger = Ledger({"project_id": endpoint.project_id}, chance)
    with connect(endpoint) as client:
        ledger.data = ledger.upload(client, b'[{"input": "a", "output": "b"}]')
        ledger.train(client, num_epochs=1)
        wait_until(lambda: ledger.is_settled(client), 30)
    process.kill()
    process.wait(10)
    for _ in range(KILLS):
        if chance.random() < 0.2:
            kill_while_starting(fake_command(state), chance.uniform(0.5, 1.2) * seconds_to_start)
            continue
        process, endpoint = start_runtime(state, fake_command(state))
        with connect(endpoint) as client:
            ledger.check(client, state)
            for _ in range(chance.randint(0, KILLS_OF_A_JOB)):
                act_while(Timer(chance.uniform(0, 0.2), kill_job, [process.pid]), ledger, client)
            act_while(Timer(chance.uniform(0, 0.3), process.kill), ledger, client)
        process.wait(10)

    def some_of_each_kind_were_deleted() -> bool:
        ledger.act(client)
        return all(ledger.gone.values())

    process, endpoint = start_runtime(state, fake_command(state))
    with connect(endpoint) as client:
        wait_until(some_of_each_kind_were_deleted, 60)
    process.kill()
    process.wait(10)
    process, endpoint = start_runtime(state, fake_command(state))
    with connect(endpoint) as client:
        wait_until(lambda: ledger.is_settled(client), 60)
        ledger.check(client, state)
        for deployment in ledger.there["deployment"]:
            path = f"/ml/v1/deployments/{deployment}/text/generation"
            assert client.post(path, json={"input": "a question"}).status_code == 200
    process.terminate()
    assert process.wait(30) == 0


def records_of(state: Path, training: str) -> list[str]:
    """What the processes of a training wrote down after each update: its loss, and the time."""
    path = state / "jobs" / training / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def checkpointed_records_of(state: Path, training: str) -> list[str]:
    """The records of the updates that need not be computed again."""
    try:
        with safe_open(state / "jobs" / training / "checkpoint.safetensors", framework="np") as file:
            done = int(file.metadata()["update"])
    except FileNotFoundError:
        return []
    return records_of(state, training)[:done]


def get_training(client: httpx.Client, endpoint: Endpoint, training: str) -> dict[str, Any]:
    answer = client.get(f"/ml/v4/trainings/{training}", params={"project_id": endpoint.project_id})
    assert answer.status_code == 200, answer.text
    entity: dict[str, Any] = answer.json()["entity"]
    return entity


def test_a_training_ends_as_if_it_had_not_been_killed(state: Path, chance: random.Random) -> None:
    rows = [{"input": f"review {'good' if i % 2 else 'bad'} {i}:", "output": str(i % 2)} for i in range(10)]
    settings = {"num_virtual_tokens": 5, "num_epochs": 30, "batch_size": 1, "seed": 3}
    process, endpoint = start_runtime(state, real_command(state))
    ledger = Ledger({"project_id": endpoint.project_id}, chance, REAL)
    with connect(endpoint) as client:
        ledger.data = ledger.upload(client, json.dumps(rows).encode())
        undisturbed = ledger.train(client, **settings)
        wait_until(lambda: ledger.is_settled(client), 60)
        disturbed = ledger.train(client, **settings)
    furthest, kept = 0, set[str]()

    def wait_and_kill(kill: Callable[[int], None], server: int, updates: int) -> None:
        if updates:
            wait_until(lambda: len(records_of(state, disturbed)) > furthest + updates, 60)
        else:
            time.sleep(chance.uniform(0, 3))
        kill(server)

    # Without waiting for an update most kills come while the process of a training starts.
    kills = [(kill, updates) for kill in (kill_server, kill_job) for updates in (0, 80)]
    chance.shuffle(kills)
    for kill, updates in kills:
        with connect(endpoint) as client:
            killer = Thread(target=wait_and_kill, args=(kill, process.pid, updates and chance.randint(1, updates)))
            act_while(killer, ledger, client, ("asset", "deployment"), pause=0.05)
        furthest = max(furthest, len(records_of(state, disturbed)))
        kept.update(checkpointed_records_of(state, disturbed))
        if kill is kill_server:
            process.wait(10)
            process, endpoint = start_runtime(state, real_command(state))
            with connect(endpoint) as client:
                ledger.check(client, state)
    with connect(endpoint) as client:
        wait_until(lambda: ledger.is_settled(client), 60)
        ledger.check(client, state)
        entities = [get_training(client, endpoint, training) for training in (undisturbed, disturbed)]
        deployment = ledger.deploy(client, entities[-1]["model_id"])
        answer = client.post(f"/ml/v1/deployments/{deployment}/text/generation", json={"input": "a question"})
        assert answer.status_code == 200, answer.text
    weights = [(state / "models" / entity["model_id"] / WEIGHTS).read_bytes() for entity in entities]
    assert weights[0] == weights[1]
    losses = [[metric["ml_metrics"]["loss"] for metric in entity["status"]["metrics"]] for entity in entities]
    assert losses[0] == losses[1]
    assert kept, "nothing was killed after a checkpoint"
    assert kept <= set(records_of(state, disturbed))
    process.terminate()
    assert process.wait(30) == 0


@pytest.mark.parametrize("make_command", [fake_command, real_command])
def test_a_job_ends_by_itself_when_its_server_was_killed(
    state: Path, chance: random.Random, make_command: Callable[[Path], list[str]]
) -> None:
    """It leaves what the next server's job needs to go on, and computes nothing twice."""
    is_real = make_command is real_command
    settings = {"num_epochs": 400, "batch_size": 1} if is_real else {"num_epochs": 10}
    process, endpoint = start_runtime(state, make_command(state))
    ledger = Ledger({"project_id": endpoint.project_id}, chance, REAL if is_real else BASE)
    with connect(endpoint) as client:
        ledger.data = ledger.upload(client, json.dumps([{"input": "good", "output": "1"}] * 10).encode())
        training = ledger.train(client, init_method="text", init_text="slow", **settings)
    wait_until(lambda: len(records_of(state, training)) > 2, 60)
    job = KnownProcess.find(psutil.Process(process.pid).children()[0].pid)
    process.kill()
    process.wait(10)
    wait_until(lambda: not job.is_alive(), 20)
    records = records_of(state, training)
    assert not (state / "jobs" / training / "soft_prompt").exists()
    if is_real:
        assert checkpointed_records_of(state, training) == records
    process, endpoint = start_runtime(state, make_command(state))
    with connect(endpoint) as client:
        wait_until(lambda: len(records_of(state, training)) > len(records), 60)
        assert records_of(state, training)[: len(records)] == records
    process.terminate()
    assert process.wait(30) == 0


Train = Callable[..., str]


@pytest.fixture
def next_job() -> Callable[[], psutil.Process]:
    """Waits for the process of a job that was not there before."""
    seen = set(psutil.Process().children())

    def wait() -> psutil.Process:
        wait_until(lambda: bool(set(psutil.Process().children()) - seen), 20)
        (job,) = set(psutil.Process().children()) - seen
        seen.add(job)
        return job

    return wait


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_somebody_else_ends_is_followed_by_another(
    client: TestClient,
    project: dict[str, str],
    train: Train,
    next_job: Callable[[], psutil.Process],
    number: signal.Signals,
) -> None:
    training = train(init_text="late", num_epochs=1)
    for _ in range(KILLS_OF_A_JOB):
        next_job().send_signal(number)
    # The third gets further, so that what became of the others does not count any more.
    job = next_job()
    path = f"/ml/v4/trainings/{training}"
    wait_until(lambda: "metrics" in client.get(path, params=project).json()["entity"]["status"], 20)
    job.send_signal(number)
    wait_for_training(client, project, training, "completed")


def test_a_process_that_never_gets_further_is_given_up(
    client: TestClient, project: dict[str, str], train: Train, next_job: Callable[[], psutil.Process]
) -> None:
    training = train(init_text="late", num_epochs=1)
    for _ in range(KILLS_OF_A_JOB + 1):
        next_job().kill()
    status = wait_for_training(client, project, training, "failed")["entity"]["status"]
    assert "was killed by signal 9" in status["message"]["text"]
