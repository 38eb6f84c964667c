"""What goes wrong, as the SDK's user meets it."""

from typing import Any

import pytest
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection
from ibm_watsonx_ai.wml_client_error import CannotSetProjectOrSpace, InvalidCredentialsError, WMLClientError

from tests.support.lesson import make_tuner

pytestmark = pytest.mark.watsonx
UNKNOWN = "00000000-0000-0000-0000-000000000000"


def test_wrong_key(credentials: Any) -> None:
    values = {name: value for name, value in vars(credentials).items() if value and not name.startswith("_")}
    with pytest.raises(InvalidCredentialsError):
        APIClient(Credentials.from_dict({**values, "api_key": "wrong"}))


def test_unknown_project(credentials: Any) -> None:
    with pytest.raises(CannotSetProjectOrSpace):
        APIClient(credentials).set.default_project(UNKNOWN)
    with pytest.raises(CannotSetProjectOrSpace):
        TuneExperiment(credentials, project_id=UNKNOWN)


def test_what_is_not_there(client: Any) -> None:
    for find in (
        client.data_assets.get_details,
        client.training.get_details,
        client.repository.get_model_details,
        client.deployments.get_details,
        client.data_assets.delete,
        client.training.cancel,
        client.repository.delete,
        client.deployments.delete,
    ):
        with pytest.raises(WMLClientError):
            find(UNKNOWN)
    with pytest.raises(WMLClientError):
        ModelInference(deployment_id=UNKNOWN, api_client=client)
    with pytest.raises(WMLClientError):
        client.deployments.create(UNKNOWN, {"name": "nothing", "online": {}})


def test_unknown_base_model(experiment: Any) -> None:
    with pytest.raises(WMLClientError):
        make_tuner(experiment, "ibm/no-such-model")


def test_missing_training_data(experiment: Any, base_model: str) -> None:
    with pytest.raises(WMLClientError):
        make_tuner(experiment, base_model).run([DataConnection(data_asset_id=UNKNOWN)])


def test_wrong_parameter(client: Any, text_model: str) -> None:
    base = ModelInference(model_id=text_model, api_client=client)
    with pytest.raises(WMLClientError):
        base.generate_text(prompt="x", params={"max_new_tokens": -1})
    with pytest.raises(WMLClientError):
        list(base.generate_text_stream(prompt="x", params={"decoding_method": "magic"}))
