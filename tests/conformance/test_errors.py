"""What goes wrong, as the SDK's user reads it."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection
from ibm_watsonx_ai.wml_client_error import CannotSetProjectOrSpace, InvalidCredentialsError, WMLClientError

from prompt_tuning_helpers.runtime.endpoint import Endpoint

from .conftest import TINY, Lesson, make_credentials, make_tuner


def test_wrong_key_is_told_at_once(live_runtime: Endpoint) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidCredentialsError, match="runtime env"):
        APIClient(make_credentials(live_runtime, api_key="wrong"))
    assert time.monotonic() - started < 2


def test_unknown_project(credentials: Credentials) -> None:
    with pytest.raises(CannotSetProjectOrSpace, match="runtime's own is"):
        APIClient(credentials).set.default_project("00000000-0000-0000-0000-000000000000")


def test_auth_url_may_be_the_host(live_runtime: Endpoint) -> None:
    client = APIClient(make_credentials(live_runtime, auth_url=live_runtime.url))
    assert client.set.default_project(live_runtime.project_id) == "SUCCESS"


def test_token_instead_of_key(live_runtime: Endpoint) -> None:
    form = {"apikey": live_runtime.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
    token = httpx.post(f"{live_runtime.url}/identity/token", data=form).json()["access_token"]
    client = APIClient(make_credentials(live_runtime, api_key=None, auth_url=None, token=token))
    assert client.set.default_project(live_runtime.project_id) == "SUCCESS"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not JSON", "JSON"),
        (json.dumps([]), "empty|no row"),
        (json.dumps([{"input": "a", "output": "1"}, {"input": "b"}]), "(?i)row 2"),
        (json.dumps([{"input": "a", "output": "1"}, {"input": None, "output": "1"}]), "(?i)row 2"),
    ],
)
def test_training_data(client: Any, experiment: Any, tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    asset_id = client.data_assets.get_id(client.data_assets.create(name="bad rows", file_path=str(path)))
    with pytest.raises(WMLClientError, match=said):
        make_tuner(experiment).run([DataConnection(data_asset_id=asset_id)])
    client.data_assets.delete(asset_id)


def test_setting_out_of_range(experiment: Any, lesson: Lesson) -> None:
    with pytest.raises(WMLClientError, match="learning_rate must be a number above 0"):
        make_tuner(experiment, learning_rate=-1.0).run([DataConnection(data_asset_id=lesson.asset_id)])


def test_model_that_cannot_be_tuned(experiment: Any) -> None:
    with pytest.raises(WMLClientError, match=TINY):
        make_tuner(experiment, base_model="ibm/unknown")


def test_unknown_deployment(client: Any) -> None:
    with pytest.raises(WMLClientError, match="no deployment of this id"):
        ModelInference(deployment_id="00000000-0000-0000-0000-000000000000", api_client=client)


def test_cloud_pak_mode_asks(live_runtime: Endpoint) -> None:
    """To the SDK a custom host without platform_url is Cloud Pak for Data: inference and experiments work, too."""
    credentials = Credentials(
        url=live_runtime.url,
        username="admin",
        api_key=live_runtime.api_key,
        instance_id="openshift",
        version="5.2",
        verify=live_runtime.ca_bundle,
    )
    client = APIClient(credentials, project_id=live_runtime.project_id)
    assert ModelInference(model_id=TINY, api_client=client).generate_text(prompt="x") is not None
    TuneExperiment(credentials, project_id=live_runtime.project_id)
