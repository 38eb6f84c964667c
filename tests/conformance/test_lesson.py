"""The lesson, call by call."""

from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference

from tests.support.lesson import ROWS, Lesson
from tests.support.service import NAME

pytestmark = pytest.mark.watsonx


def test_tasks(experiment: Any) -> None:
    """The service's tasks become the members of an enumeration; the lesson uses this one."""
    assert experiment.Tasks.CLASSIFICATION.value == "classification"


def test_tunable_models(client: Any, base_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    client.foundation_models.PromptTunableModels.show()
    assert base_model in capsys.readouterr().out
    offered = client.foundation_models.get_model_specs_with_prompt_tuning_support()["resources"]
    assert base_model in [spec["model_id"] for spec in offered]


def test_run(lesson: Lesson, base_model: str) -> None:
    entity = lesson.details["entity"]
    assert entity["status"]["state"] == "completed"
    assert entity["model_id"] == lesson.model_id
    assert entity["prompt_tuning"]["base_model"]["model_id"] == base_model
    assert entity["prompt_tuning"]["verbalizer"] == "classify {0, 1} {{input}}"
    assert lesson.tuner.get_run_status() == "completed"


def test_summary(lesson: Lesson) -> None:
    summary = lesson.tuner.summary()
    assert summary.index[0] == f"model_{lesson.details['metadata']['id']}"
    assert summary["loss"].iloc[0] > 0


def test_metrics(client: Any, lesson: Lesson) -> None:
    metrics = lesson.tuner.get_run_details(include_metrics=True)["entity"]["status"]["metrics"]
    assert client.training.get_metrics(lesson.tuner.id) == metrics
    epochs = [metric["ml_metrics"]["epoch"] for metric in metrics]
    assert epochs == sorted(epochs)
    assert all(metric["ml_metrics"]["loss"] > 0 for metric in metrics)


def test_run_details(lesson: Lesson) -> None:
    details = lesson.tuner.get_run_details()
    assert "metrics" not in details["entity"]["status"]
    assert details["metadata"]["name"] == NAME
    assert details["metadata"]["tags"][0] == "prompt_tuning"


def test_data_connections_come_back(lesson: Lesson) -> None:
    """Their ``read()`` is not called: it needs IBM's Flight service, and the SDK would install pyarrow for it."""
    assert lesson.tuner.get_data_connections()[0].location.id == lesson.asset_id


def test_deployment(client: Any, lesson: Lesson, base_model: str) -> None:
    details = client.deployments.get_details(lesson.deployment_id)
    assert details["metadata"]["name"] == NAME
    entity = details["entity"]
    assert entity["status"]["state"] == "ready"
    assert entity["deployed_asset_type"] == "prompt_tune"
    assert entity["asset"]["id"] == lesson.model_id
    assert entity["base_model_id"] == base_model


def test_answers_in_order(client: Any, lesson: Lesson, base_model: str) -> None:
    tuned = ModelInference(deployment_id=lesson.deployment_id, api_client=client)
    base = ModelInference(model_id=base_model, api_client=client)
    prompts = ["How was it?", *(row["input"] for row in ROWS[:2])]
    for model in (tuned, base):
        answers = model.generate_text(prompt=prompts, concurrency_limit=2)
        assert len(answers) == len(prompts)
        assert answers == [model.generate_text(prompt=prompt) for prompt in prompts]
    assert tuned.get_details()["metadata"]["id"] == lesson.deployment_id
