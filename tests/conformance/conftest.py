"""The official SDK, unmodified, against the local runtime, or with ``-m watsonx`` against an account.

A module marked ``watsonx`` is about both; one without that mark, ``test_local_*.py``, is about the local runtime alone.
The SDK's objects are ``Any`` here: its annotations are unions that its own documented calls do not fit.
"""

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.helpers import DataConnection

from tests.support.lesson import ACCOUNT_SECONDS, ROWS, Lesson, Run, make_tuner, wait_for
from tests.support.service import (
    NAME,
    TINY,
    Service,
    account,
    make_credentials,
    model_for,
    on_account,
    remove_all,
    tunable_model,
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of this folder as slow, and give them the time that they need on an account."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            if on_account(config):
                item.add_marker(pytest.mark.timeout(ACCOUNT_SECONDS))


@pytest.fixture(scope="package", autouse=True)
def _no_installs() -> Iterator[None]:
    """Some of the SDK's calls pip-install what they lack; a test must never change its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", "")
        yield


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Service:
    if on_account(request.config):
        return account()
    endpoint = request.getfixturevalue("live_runtime")
    return Service(make_credentials(endpoint), endpoint.project_id, endpoint)


@pytest.fixture(scope="session")
def credentials(service: Service) -> Any:
    return service.credentials


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[Any]:
    """A client of the project; in the end, whatever happened, all that the suite made there is deleted."""
    made = APIClient(service.credentials)
    assert made.set.default_project(service.project_id) == "SUCCESS"
    yield made
    remove_all(made, NAME)


@pytest.fixture
def async_client(service: Service) -> Any:
    """A client of its own: the SDK's asynchronous connections belong to one event loop."""
    return APIClient(service.credentials, project_id=service.project_id)


@pytest.fixture(scope="session")
def experiment(service: Service) -> Any:
    return TuneExperiment(service.credentials, project_id=service.project_id)


@pytest.fixture(scope="session")
def base_model(client: Any, service: Service) -> str:
    """The model to tune."""
    chosen = TINY if service.endpoint else tunable_model(client)
    return chosen or pytest.skip("This account's service offers no base model for prompt tuning.")


@pytest.fixture(scope="session")
def text_model(client: Any, service: Service) -> str:
    """The model to ask; the one to tune if that is to be had."""
    chosen = TINY if service.endpoint else model_for(client, "text_generation", tunable_model(client))
    return chosen or pytest.skip("This account's service offers no model for text generation.")


@pytest.fixture(scope="session")
def chat_model(client: Any, service: Service) -> str:
    chosen = TINY if service.endpoint else model_for(client, "text_chat")
    return chosen or pytest.skip("This account's service offers no model for chat.")


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("data") / "rows.json"
    path.write_text(json.dumps(ROWS))
    return path


@pytest.fixture(scope="session")
def lesson(client: Any, experiment: Any, base_model: str, rows_file: Path) -> Lesson:
    """The lesson's calls in their order."""
    names = client.deployments.ConfigurationMetaNames
    asset_id = client.data_assets.get_id(client.data_assets.create(name=NAME, file_path=str(rows_file)))
    tuner = make_tuner(experiment, base_model)
    details = tuner.run([DataConnection(data_asset_id=asset_id)], background_mode=False)
    model_id = tuner.get_model_id()
    meta = {names.NAME: NAME, names.ONLINE: {}, names.SERVING_NAME: NAME}
    deployment_id = client.deployments.get_id(client.deployments.create(model_id, meta))
    return Lesson(asset_id, tuner, details, model_id, deployment_id)


@pytest.fixture(scope="session")
def second_run(experiment: Any, base_model: str, lesson: Lesson) -> Run:
    """Another run, in the background and in the group of the first."""
    tuner = make_tuner(experiment, base_model, num_epochs=1, group_by_name=True)
    tuner.run([DataConnection(data_asset_id=lesson.asset_id)], background_mode=True)
    wait_for(tuner, "completed", "failed", "canceled")
    return Run(tuner.id, tuner.get_model_id())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
