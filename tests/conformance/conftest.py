"""The official SDK, unmodified, against the live local runtime; one tuned and deployed model for all tests.

The SDK's objects are ``Any`` here: its annotations are unions that its own documented calls do not fit.
"""

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers.runtime.endpoint import Endpoint

TINY = "local/tiny-random-llama"
ALIAS = "ibm/granite-13b-instruct-v2"
SERVING_NAME = "conformance_2026"
ROWS = [{"input": f"The groomer was {word}.", "output": digit} for word, digit in [("kind", "1"), ("late", "0")] * 6]


@dataclass
class Lesson:
    """What the lesson leaves behind."""

    asset_id: str
    tuner: Any
    details: dict[str, Any]
    model_id: str
    deployment_id: str


def make_credentials(endpoint: Endpoint, **other: Any) -> Credentials:
    """Credentials as ``connect()`` makes them."""
    url = endpoint.url
    values = {"api_key": endpoint.api_key, "auth_url": f"{url}/identity/token", "platform_url": url, **other}
    return Credentials(url=url, verify=endpoint.ca_bundle, **{key: item for key, item in values.items() if item})


@pytest.fixture(scope="package", autouse=True)
def _no_installs() -> Iterator[None]:
    """Some of the SDK's calls pip-install what they lack; a test must never change its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", "")
        yield


@pytest.fixture(scope="session")
def credentials(live_runtime: Endpoint) -> Credentials:
    return make_credentials(live_runtime)


@pytest.fixture(scope="session")
def client(live_runtime: Endpoint, credentials: Credentials) -> Any:
    made = APIClient(credentials)
    assert made.set.default_project(live_runtime.project_id) == "SUCCESS"
    return made


@pytest.fixture
def async_client(live_runtime: Endpoint, credentials: Credentials) -> Any:
    """A client of its own: the SDK's asynchronous connections belong to one event loop."""
    return APIClient(credentials, project_id=live_runtime.project_id)


@pytest.fixture(scope="session")
def experiment(live_runtime: Endpoint, credentials: Credentials) -> Any:
    return TuneExperiment(credentials, project_id=live_runtime.project_id)


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("data") / "rows.json"
    path.write_text(json.dumps(ROWS))
    return path


def make_tuner(experiment: Any, **changes: Any) -> Any:
    """A tuner with every parameter that the lesson passes."""
    parameters = {
        "name": "conformance",
        "task_id": experiment.Tasks.CLASSIFICATION,
        "base_model": TINY,
        "accumulate_steps": 2,
        "batch_size": 4,
        "learning_rate": 0.01,
        "max_input_tokens": 128,
        "max_output_tokens": 2,
        "num_epochs": 3,
        "tuning_type": experiment.PromptTuningTypes.PT,
        "init_text": "Is the comment satisfied?",
        "init_method": experiment.PromptTuningInitMethods.TEXT,
        "verbalizer": "classify {0, 1} {{input}}",
        "auto_update_model": True,
        **changes,
    }
    return experiment.prompt_tuner(**parameters)


@pytest.fixture(scope="session")
def lesson(client: Any, experiment: Any, rows_file: Path) -> Iterator[Lesson]:
    """The lesson's calls in their order, and its clean-up."""
    names = client.deployments.ConfigurationMetaNames
    asset_id = client.data_assets.get_id(client.data_assets.create(name="rows", file_path=str(rows_file)))
    tuner = make_tuner(experiment)
    details = tuner.run([DataConnection(data_asset_id=asset_id)], background_mode=False)
    model_id = tuner.get_model_id()
    meta = {names.NAME: "conformance", names.ONLINE: {}, names.SERVING_NAME: SERVING_NAME}
    deployment_id = client.deployments.get_id(client.deployments.create(model_id, meta))
    yield Lesson(asset_id, tuner, details, model_id, deployment_id)
    assert client.deployments.delete(deployment_id) == "SUCCESS"
    assert client.repository.delete(model_id) == "SUCCESS"
    client.training.delete(details["metadata"]["id"])
    assert client.data_assets.delete(asset_id) == "SUCCESS"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
