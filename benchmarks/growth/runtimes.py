"""What grows with the deployments and trainings that a runtime keeps: its start, its lists, its memory."""

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import connect, datasets, watch
from prompt_tuning_helpers.lesson import reviews_path
from prompt_tuning_helpers.runtime.endpoint import Endpoint, running_endpoint, stop_recorded
from prompt_tuning_helpers.runtime.store.database import Database
from prompt_tuning_helpers.runtime.store.deployments import Deployments
from prompt_tuning_helpers.runtime.store.models import Models
from prompt_tuning_helpers.runtime.store.state import State, read_secrets
from prompt_tuning_helpers.runtime.store.trainings import Trainings

from .point import MIB, Point, timed
from .tuner import client_and_tuner

SIZES = (10, 100, 1_000)
CALLS = 50  # where one takes milliseconds
OF_LISTS = 5


def measure(records: int) -> Iterator[Point]:
    """Measure a runtime on the tiny model that keeps so many trainings, each with a deployment.

    One training runs, through the SDK; the others are copies of its files and records, with ids of their own, made by
    the runtime's own store.

    Args:
        records: how many of each.
    """
    with tempfile.TemporaryDirectory() as folder:
        state = State(Path(folder))
        _tune_one(state)
        _copy_to(state, records)
        with _runtime(state) as endpoint:
            pid = endpoint.pid
            seconds = sum(psutil.Process(pid).cpu_times()[:2])
            yield Point("runtime", "start", records, seconds, "s")
            yield Point("runtime", "memory after the start", records, _memory(pid), "MiB")
            connection = connect(model="tiny", state=state.root)
            client: Any = APIClient(connection.credentials, project_id=connection.project_id)

            def listed(resource: Any) -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = resource.get_details(get_all=True, limit=100)["resources"]
                assert len(found) == records
                return found

            trainings, deployments = listed(client.training), listed(client.deployments)
            yield Point(
                "runtime", "list of trainings", records, timed(lambda: listed(client.training), OF_LISTS, pid), "s"
            )
            yield Point(
                "runtime", "list of deployments", records, timed(lambda: listed(client.deployments), OF_LISTS, pid), "s"
            )
            oldest = trainings[-1]["metadata"]["id"]
            one = timed(lambda: client.training.get_details(oldest), CALLS, pid)
            yield Point("runtime", "details of a training", records, one, "s")
            oldest = deployments[-1]["metadata"]["id"]
            one = timed(lambda: client.deployments.get_details(oldest), CALLS, pid)
            yield Point("runtime", "details of a deployment", records, one, "s")
            yield Point("runtime", "memory after lists", records, _memory(pid), "MiB")
            for deployment in deployments:
                model = ModelInference(deployment_id=deployment["metadata"]["id"], api_client=client)
                model.generate_text(prompt="Hello", params={"max_new_tokens": 1})
            yield Point("runtime", "memory after an answer of each", records, _memory(pid), "MiB")


def _tune_one(state: State) -> None:
    """Tune on the lesson's rows."""
    connection = connect(model="tiny", state=state.root)
    try:
        client, tuner = client_and_tuner(connection, num_epochs=3, max_input_tokens=512)
        asset = datasets.upload(client, reviews_path("train"))
        tuner.run([DataConnection(data_asset_id=asset)], background_mode=True)
        watch(tuner, every=1)
    finally:
        stop_recorded(state.root, 30)


def _copy_to(state: State, records: int) -> None:
    """Bring the trainings of a stopped runtime to a number, and deploy the model of each."""
    project = read_secrets(state).project_id
    with closing(Database(state)) as database, database.transaction():
        models = Models(database, state.models)
        trainings, deployments = Trainings(database, models), Deployments(database)
        (first,), _ = trainings.page(project, limit=1)
        made = [first]
        for number in range(1, records):
            request = first.request
            copy = trainings.create(str(uuid.uuid4()), project, f"growth {number}", "", first.tags, request)
            shutil.copytree(state.jobs / first.id, state.jobs / copy.id)
            shutil.copytree(state.models / first.model_id, state.models / copy.model_id)
            trainings.start(copy.id)
            assert trainings.complete(replace(copy, state="running"))
            made.append(copy)
        for training in made:
            deployments.create(project, training.model_id, training.name, "", [], None)


@contextmanager
def _runtime(state: State) -> Iterator[Endpoint]:
    """Run a runtime until the end of the block; it answers when the block begins."""
    command = [sys.executable, "-m", "prompt_tuning_helpers.runtime", "serve", "--state", str(state.root)]
    with subprocess.Popen([*command, "--model", "tiny"], stdout=subprocess.DEVNULL) as process:
        try:
            while (endpoint := running_endpoint(state.root)) is None:
                if process.poll() is not None:
                    raise RuntimeError("The runtime ended at its start; its log is in the state folder.")
                time.sleep(0.1)
            yield endpoint
        finally:
            process.terminate()


def _memory(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / MIB)
