"""A connection that is lost in the middle of a run: the helpers say so, and pick the run up again by its id."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import Connection, ConnectionLostError, resume, watch
from prompt_tuning_helpers.connection import to_runtime
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.calls import BASE, ROWS
from tests.support.servers import fake_command, start_runtime

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What the SDK writes into it is undone."""
    with mock.patch.dict(os.environ):
        yield


def connect_to(endpoint: Endpoint) -> Connection:
    return to_runtime(endpoint.url, endpoint.api_key, endpoint.project_id, endpoint.ca_bundle, endpoint.models)


@pytest.mark.filterwarnings("ignore:`verify=<str>`:DeprecationWarning")  # the SDK's own
def test_a_run_outlives_its_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    process, endpoint = start_runtime(state, fake_command(state))
    connection = connect_to(endpoint)
    client = APIClient(connection.credentials, project_id=connection.project_id)
    experiment = TuneExperiment(connection.credentials, project_id=connection.project_id)
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    asset = client.data_assets.get_id(client.data_assets.create("rows", str(tmp_path / "rows.json")))
    tuner: Any = experiment.prompt_tuner(
        name="a run", task_id="classification", base_model=BASE, num_epochs=10, init_method="text", init_text="slow"
    )
    tuner.run([DataConnection(data_asset_id=asset)], background_mode=True)

    def lose_the_service(seconds: float) -> None:
        process.kill()
        process.wait(10)

    with pytest.raises(ConnectionLostError, match=tuner.id):
        watch(tuner, patience=0, pause=lose_the_service)
    process, endpoint = start_runtime(state, fake_command(state))
    connection = connect_to(endpoint)
    experiment = TuneExperiment(connection.credentials, project_id=connection.project_id)
    capsys.readouterr()
    details = watch(resume(experiment, tuner.id), every=0.1)
    assert len(details["entity"]["status"]["metrics"]) == 2 * 10
    assert capsys.readouterr().out.startswith("The tuning run is completed: 10 epochs")
    process.terminate()
    assert process.wait(30) == 0
