"""The lesson, call by call."""

from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference

from .conftest import ALIAS, ROWS, SERVING_NAME, TINY, Lesson


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


def test_tunable_models(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    client.foundation_models.PromptTunableModels.show()
    shown = capsys.readouterr().out
    assert TINY in shown
    assert ALIAS in shown
    assert TINY in {model.value for model in client.foundation_models.TextModels}


def test_run(lesson: Lesson) -> None:
    entity = lesson.details["entity"]
    assert entity["status"]["state"] == "completed"
    assert entity["model_id"] == lesson.model_id
    assert entity["prompt_tuning"]["verbalizer"] == "classify {0, 1} {{input}}"
    assert lesson.tuner.get_run_status() == "completed"


def test_summary_and_metrics(lesson: Lesson) -> None:
    summary = lesson.tuner.summary()
    assert summary.index[0] == f"model_{lesson.details['metadata']['id']}"
    assert summary["loss"].iloc[0] > 0
    metrics = lesson.tuner.get_run_details(include_metrics=True)["entity"]["status"]["metrics"]
    epochs = [metric["ml_metrics"]["epoch"] for metric in metrics]
    assert epochs == sorted(epochs)
    assert set(epochs) == {0, 1, 2}
    assert all(epochs.count(epoch) >= 2 for epoch in set(epochs))
    assert metrics[-1]["ml_metrics"]["progress"] == pytest.approx(1)


def test_run_details(lesson: Lesson) -> None:
    details = lesson.tuner.get_run_details()
    assert "metrics" not in details["entity"]["status"]
    assert details["metadata"]["tags"][0] == "prompt_tuning"


def test_data_connections_come_back(lesson: Lesson) -> None:
    """Their ``read()`` is not called: it needs IBM's Flight service, and the SDK would install pyarrow for it."""
    assert lesson.tuner.get_data_connections()[0].location.id == lesson.asset_id


def test_deployment(client: Any, lesson: Lesson) -> None:
    details = client.deployments.get_details(lesson.deployment_id)
    assert details["entity"]["status"]["state"] == "ready"
    assert details["entity"]["deployed_asset_type"] == "prompt_tune"
    assert client.deployments.is_serving_name_available(SERVING_NAME) is False
    assert client.deployments.is_serving_name_available("free_name") is True
    assert lesson.deployment_id in set(client.deployments.list()["ID"])
    found = client.deployments.get_details(serving_name=SERVING_NAME)["resources"]
    assert [item["metadata"]["id"] for item in found] == [lesson.deployment_id]


def test_answers_in_order(client: Any, lesson: Lesson) -> None:
    tuned = ModelInference(deployment_id=lesson.deployment_id, api_client=client)
    base = ModelInference(model_id=TINY, api_client=client)
    prompts = ["How was it?", *(row["input"] for row in ROWS[:2])]
    for model in (tuned, base):
        answers = model.generate_text(prompt=prompts, concurrency_limit=2)
        assert len(answers) == len(prompts)
        assert answers == [model.generate_text(prompt=prompt) for prompt in prompts]
    assert tuned.get_details()["metadata"]["id"] == lesson.deployment_id
