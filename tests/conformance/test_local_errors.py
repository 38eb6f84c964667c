"""The local runtime's own words for what goes wrong, as the SDK shows them."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ibm_watsonx_ai import APIClient
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection
from ibm_watsonx_ai.wml_client_error import CannotSetProjectOrSpace, InvalidCredentialsError, WMLClientError

from prompt_tuning_helpers.double import Watsonx
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.lesson import Lesson, make_tuner
from tests.support.service import NAME, TINY, make_credentials

UNKNOWN = "00000000-0000-0000-0000-000000000000"


def test_wrong_key_is_told_at_once(live_runtime: Endpoint) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidCredentialsError, match="local-watsonx env"):
        APIClient(make_credentials(live_runtime, api_key="wrong"))
    assert time.monotonic() - started < 2, "the SDK repeats a 401 for two seconds"


def test_unknown_project(credentials: Any) -> None:
    with pytest.raises(CannotSetProjectOrSpace, match="runtime's own is"):
        APIClient(credentials).set.default_project(UNKNOWN)


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
    asset_id = client.data_assets.get_id(client.data_assets.create(name=f"{NAME} bad rows", file_path=str(path)))
    with pytest.raises(WMLClientError, match=said):
        make_tuner(experiment, TINY).run([DataConnection(data_asset_id=asset_id)])


def test_setting_out_of_range(experiment: Any, lesson: Lesson) -> None:
    with pytest.raises(WMLClientError, match="learning_rate must be a number above 0"):
        make_tuner(experiment, TINY, learning_rate=-1.0).run([DataConnection(data_asset_id=lesson.asset_id)])


def test_models_cannot_be_stored_later(experiment: Any, lesson: Lesson) -> None:
    with pytest.raises(WMLClientError, match="auto_update_model must be true"):
        make_tuner(experiment, TINY, auto_update_model=False).run([DataConnection(data_asset_id=lesson.asset_id)])


def test_model_that_cannot_be_tuned(experiment: Any) -> None:
    with pytest.raises(WMLClientError, match=TINY):
        make_tuner(experiment, "ibm/unknown")


def test_wrong_parameter(client: Any) -> None:
    with pytest.raises(WMLClientError, match="max_new_tokens must be a whole number"):
        ModelInference(model_id=TINY, api_client=client).generate_text(prompt="x", params={"max_new_tokens": -1})


def test_an_input_that_is_too_long_says_where_it_can_be_cut(client: Any) -> None:
    """Chat does not know ``truncate_input_tokens``, so nobody is told to set it there."""
    model, long = ModelInference(model_id=TINY, api_client=client), "x" * 3000
    said = "Shorten the input; text generation also keeps just its end, with truncate_input_tokens"
    with pytest.raises(WMLClientError, match=said):
        model.chat([{"role": "user", "content": long}])
    with pytest.raises(WMLClientError, match=said):
        model.generate_text(long)
    assert model.generate_text(long, params={"truncate_input_tokens": 2000, "max_new_tokens": 1})


def test_wrong_filter(client: Any) -> None:
    with pytest.raises(WMLClientError, match="terms are joined by commas"):
        client.foundation_models.get_model_specs(filters="nonsense")


def test_what_is_not_there_says_where_to_look(client: Any) -> None:
    for find, said in (
        (client.data_assets.get_details, "no asset of this id: client.data_assets.list"),
        (client.training.get_details, "no training of this id: experiment.runs.list"),
        (client.repository.get_model_details, "no model of this id: client.repository.list_models"),
        (client.deployments.get_details, "no deployment of this id: client.deployments.list"),
    ):
        with pytest.raises(WMLClientError, match=said):
            find(UNKNOWN)


def test_serving_name_is_taken(client: Any, lesson: Lesson) -> None:
    names = client.deployments.ConfigurationMetaNames
    meta = {names.NAME: "again", names.ONLINE: {}, names.SERVING_NAME: NAME}
    with pytest.raises(WMLClientError, match=rf'Error: 409.*{NAME}\\" is taken by another deployment'):
        client.deployments.create(lesson.model_id, meta)


def test_a_deployed_model_stays(client: Any, lesson: Lesson) -> None:
    with pytest.raises(WMLClientError, match="delete its deployments first"):
        client.repository.delete(lesson.model_id, force=True)
    assert client.repository.get_model_details(lesson.model_id)["metadata"]["id"] == lesson.model_id


def test_a_runtime_without_controls_says_how_to_get_them(credentials: Any, live_runtime: Endpoint) -> None:
    closed = Watsonx(credentials, live_runtime.project_id, "local runtime", live_runtime.url)
    with pytest.raises(RuntimeError, match="serve --test-controls"):
        closed.answers["x"] = "1"
