"""``-m watsonx`` itself: which models it chooses, that it leaves nothing behind, and what it needs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import unique_serving_name
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.environment import REPOSITORY
from tests.support.lesson import make_tuner
from tests.support.service import TINY, Service, account, model_for, remove_all, tunable_model


def offering(*models: tuple[str, str]) -> Any:
    """A client of a service that offers models, each with the last stage of its life."""
    specs = [{"model_id": name, "lifecycle": [{"id": "available"}, {"id": stage}]} for name, stage in models]
    client = mock.Mock()
    client.foundation_models.get_model_specs.return_value = {"resources": specs}
    client.foundation_models.get_model_specs_with_prompt_tuning_support.return_value = {"resources": specs}
    return client


def test_a_model_that_stays_is_chosen() -> None:
    client = offering(("ibm/old", "deprecated"), ("ibm/new", "available"), ("ibm/newer", "available"))
    assert model_for(client, "text_chat") == "ibm/new"
    assert model_for(client, "text_chat", preferred="ibm/old") == "ibm/old"
    assert model_for(client, "text_chat", preferred="ibm/not-offered") == "ibm/new"
    client.foundation_models.get_model_specs.assert_called_with(filters="function_text_chat,!lifecycle_withdrawn:and")


def test_a_service_may_offer_nothing() -> None:
    assert model_for(offering(), "text_chat") is None
    assert tunable_model(offering()) is None
    assert tunable_model(offering(("ibm/granite-x", "available"))) == "ibm/granite-x"


@pytest.fixture
def other_project(client: Any, service: Service) -> Iterator[Any]:
    """A client of an empty project."""
    answer = client.httpx_client.post(
        f"{client.credentials.url}/transactional/v2/projects",
        headers=client.get_headers(),
        json={"name": unique_serving_name("other")},
    )
    project_id = answer.json()["location"].rsplit("/", 1)[-1]
    yield APIClient(service.credentials, project_id=project_id)
    assert client.projects.delete(project_id) == "SUCCESS"


def contents(client: Any) -> list[str]:
    """The names of all that a project holds."""
    found = [
        *client.deployments.get_details(get_all=True)["resources"],
        *client.repository.get_model_details(get_all=True)["resources"],
        *client.training.get_details(get_all=True)["resources"],
        *client.data_assets.get_details(get_all=True)["resources"],
        *client.httpx_client.post(
            f"{client.credentials.url}/v2/asset_types/wx_prompt_tune/search",
            headers=client.get_headers(),
            params={"project_id": client.default_project_id, "version": client.version_param},
            json={},
        ).json()["results"],
    ]
    return [item["metadata"]["name"] for item in found]


def test_removal_spares_what_others_made(other_project: Any, service: Service, rows_file: Path) -> None:
    """A run that continues, and a file; what has another name stays."""
    assets = other_project.data_assets
    asset_id = assets.get_id(assets.create(name="mine 1", file_path=str(rows_file)))
    assets.create(name="yours", file_path=str(rows_file))
    experiment = TuneExperiment(service.credentials, project_id=other_project.default_project_id)
    tuner = make_tuner(experiment, TINY, name="mine 2", num_epochs=50)
    tuner.run([DataConnection(data_asset_id=asset_id)], background_mode=True)
    assert sorted(set(contents(other_project))) == ["mine 1", "mine 2", "yours"]
    remove_all(other_project, "mine")
    assert contents(other_project) == ["yours"]


def test_the_lesson_on_an_account_leaves_nothing_behind(live_runtime: Endpoint, other_project: Any) -> None:
    """A local runtime plays the account: to the suite it is an address and a key."""
    environment = {
        **os.environ,
        "WATSONX_URL": live_runtime.url,
        "WATSONX_APIKEY": live_runtime.api_key,
        "WATSONX_PROJECT_ID": other_project.default_project_id,
        "SSL_CERT_FILE": live_runtime.ca_bundle,
        "LOCAL_WATSONX_STATE": str(Path(live_runtime.ca_bundle).parents[1]),
    }
    command = [sys.executable, "-m", "pytest", "-m", "watsonx", "-p", "no:cacheprovider"]
    command.append("tests/conformance/test_lesson.py")
    ran = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert "passed" in ran.stdout
    assert "skipped" not in ran.stdout
    assert contents(other_project) == []


def test_an_account_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, ``connect()`` would start a runtime on this computer."""
    monkeypatch.delenv("WATSONX_APIKEY", raising=False)
    with pytest.raises(pytest.exit.Exception, match="needs WATSONX_APIKEY"):
        account()
    monkeypatch.setenv("WATSONX_APIKEY", "wrong")
    monkeypatch.setenv("WATSONX_PROJECT_ID", "none")
    monkeypatch.setenv("WATSONX_URL", "https://example.com")
    with pytest.raises(pytest.exit.Exception, match="not a region"):
        account()
