"""What is so on the local runtime alone: the models it serves, what it keeps exactly, other ways in."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from ibm_watsonx_ai import APIClient, Credentials
from ibm_watsonx_ai.experiment import TuneExperiment
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection
from ibm_watsonx_ai.utils.warnings import WatsonxAPIWarning

from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.sdks import plain_lesson
from tests.support.lesson import Lesson, make_tuner
from tests.support.service import TINY, make_credentials

ALIAS = "ibm/granite-13b-instruct-v2"


def test_tasks_are_all_there(experiment: Any) -> None:
    assert {task.name for task in experiment.Tasks} == {
        "QUESTION_ANSWERING",
        "SUMMARIZATION",
        "RETRIEVAL_AUGMENTED_GENERATION",
        "CLASSIFICATION",
        "GENERATION",
        "CODE_GENERATION_AND_CONVERSION",
        "EXTRACTION",
    }


def test_tunable_models(client: Any) -> None:
    assert {model.value for model in client.foundation_models.PromptTunableModels} == {TINY, ALIAS}


def test_there_are_no_models_of_other_kinds(client: Any) -> None:
    models = client.foundation_models
    for get_specs in (
        models.get_embeddings_model_specs,
        models.get_rerank_model_specs,
        models.get_time_series_model_specs,
    ):
        assert get_specs()["resources"] == []


def test_metrics_suit_the_plot(lesson: Lesson) -> None:
    """The SDK's plot needs whole epochs from 0 and two records of each."""
    metrics = lesson.tuner.get_run_details(include_metrics=True)["entity"]["status"]["metrics"]
    epochs = [metric["ml_metrics"]["epoch"] for metric in metrics]
    assert set(epochs) == {0, 1, 2}
    assert all(epochs.count(epoch) >= 2 for epoch in set(epochs))
    assert metrics[-1]["ml_metrics"]["progress"] == pytest.approx(1)


def test_alias_says_who_answers(client: Any) -> None:
    assert "not that model" in client.foundation_models.get_model_specs(ALIAS)["short_description"]
    model = ModelInference(model_id=ALIAS, api_client=client)
    with pytest.warns(WatsonxAPIWarning, match="it is not that model"):
        model.generate_text(prompt="Who are you?")


def test_under_an_alias_the_sdk_sees_what_it_asked_for_and_the_curve_of_what_was_done(
    client: Any, experiment: Any, lesson: Lesson
) -> None:
    tuner = make_tuner(experiment, ALIAS, learning_rate=0.001, num_epochs=12)
    with pytest.warns(match="learning_rate=0.001"):
        details = tuner.run([DataConnection(data_asset_id=lesson.asset_id)], background_mode=False)
    entity = details["entity"]
    assert entity["status"]["state"] == "completed"
    assert entity["prompt_tuning"]["num_epochs"] == 12
    assert entity["local_runtime"]["asked"]["learning_rate"] == 0.001
    used = entity["local_runtime"]["used"]["num_epochs"]
    assert f"num_epochs={used}" in entity["status"]["message"]["text"]
    metrics = tuner.get_run_details(include_metrics=True)["entity"]["status"]["metrics"]
    assert {metric["ml_metrics"]["epoch"] for metric in metrics} == set(range(used))
    assert used != 12
    client.repository.delete(tuner.get_model_id())
    client.training.delete(tuner.id)


def test_other_lists_are_there(client: Any) -> None:
    assert len(client.software_specifications.list()) == 0
    assert client.spaces.get_details()["resources"] == []


def test_auth_url_may_be_the_host(live_runtime: Endpoint) -> None:
    client = APIClient(make_credentials(live_runtime, auth_url=live_runtime.url))
    assert client.set.default_project(live_runtime.project_id) == "SUCCESS"


def test_token_instead_of_key(live_runtime: Endpoint) -> None:
    form = {"apikey": live_runtime.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
    token = httpx.post(f"{live_runtime.url}/identity/token", data=form).json()["access_token"]
    client = APIClient(make_credentials(live_runtime, api_key=None, auth_url=None, token=token))
    assert client.set.default_project(live_runtime.project_id) == "SUCCESS"


def test_the_lesson_in_cloud_pak_mode(live_runtime: Endpoint, rows_file: Path) -> None:
    """To the SDK a custom host without platform_url is Cloud Pak for Data; there it uploads in another way."""
    credentials = Credentials(
        url=live_runtime.url,
        username="admin",
        api_key=live_runtime.api_key,
        instance_id="openshift",
        version="5.2",
        verify=live_runtime.ca_bundle,
    )
    client: Any = APIClient(credentials, project_id=live_runtime.project_id)
    made: dict[str, str] = {}
    try:
        plain_lesson.follow_lesson(client, TuneExperiment(credentials, project_id=live_runtime.project_id), made)
        assert client.data_assets.get_content(made["asset"]).startswith(b'[{"input"')
    finally:
        plain_lesson.clean_up(client, made)
