"""What base models the service has: specs, their filters and pages, lifecycles."""

from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.wml_client_error import WMLClientError

pytestmark = pytest.mark.watsonx


@pytest.fixture
def models(client: Any) -> Any:
    return client.foundation_models


def listed(models: Any, filters: str | None, **other: Any) -> set[str]:
    return {spec["model_id"] for spec in models.get_model_specs(filters=filters, **other)["resources"]}


def test_spec(models: Any, text_model: str) -> None:
    spec = models.get_model_specs(text_model)
    assert {"label", "provider", "source", "short_description", "functions", "input_tier", "output_tier"} <= set(spec)
    assert spec["model_limits"]["max_sequence_length"] > 0
    assert {"id": "text_generation"} in spec["functions"]


def test_lifecycle(models: Any, text_model: str) -> None:
    (available,) = [stage for stage in models.get_model_lifecycle(text_model) if stage["id"] == "available"]
    assert available["start_date"]


def test_spec_of_what_can_be_tuned(models: Any, base_model: str) -> None:
    """A task tells that it can be tuned for, and the spec which parameters that takes."""
    spec = models.get_model_specs(base_model)
    assert {"id": "prompt_tune_trainable"} in spec["functions"]
    assert any("function_prompt_tune_trainable" in task.get("tags", []) for task in spec["tasks"])
    assert spec["training_parameters"]["learning_rate"]["default"] > 0


def test_enumerations(models: Any, text_model: str, chat_model: str) -> None:
    assert text_model in {model.value for model in models.TextModels}
    assert chat_model in {model.value for model in models.ChatModels}
    assert chat_model in {spec["model_id"] for spec in models.get_chat_model_specs()["resources"]}
    assert text_model in {spec["model_id"] for spec in models.get_text_generation_model_specs()["resources"]}


@pytest.mark.parametrize("function", ["text_generation", "text_chat"])
def test_a_filter_and_its_absence_are_all_there_is(models: Any, function: str) -> None:
    everything = listed(models, None, limit=200)
    having, lacking = (listed(models, f"{sign}function_{function}", limit=200) for sign in ("", "!"))
    assert having | lacking == everything
    assert not having & lacking


def test_filters_are_joined_by_and_or_or(models: Any, text_model: str) -> None:
    name = f"modelid_{text_model}"
    assert listed(models, name) == {text_model}
    assert listed(models, f"{name},function_text_generation:and") == {text_model}
    assert listed(models, f"{name},!function_text_generation:and") == set()
    assert text_model in listed(models, f"{name},modelid_no/such:or")
    assert listed(models, f"{name},modelid_no/such") == {text_model}, "or is what holds without a word"
    assert listed(models, "modelid_no/such") == set()


def test_filters_look_at_each_part_of_a_spec(models: Any, text_model: str) -> None:
    spec = models.get_model_specs(text_model)
    tests = [
        f"provider_{spec['provider']}",
        f"source_{spec['source']}",
        f"input_tier_{spec['input_tier']}",
        f"output_tier_{spec['output_tier']}",
        f"tier_{spec['output_tier']}",
        f"task_{spec['tasks'][0]['id']}",
        "lifecycle_available",
    ]
    for test in tests:
        assert text_model in listed(models, test, limit=200), test
        assert text_model not in listed(models, f"!{test}", limit=200), test


def test_pages(models: Any) -> None:
    everything = listed(models, None, limit=200)
    pages = list(models.get_model_specs(limit=1, filters=None, asynchronous=True, get_all=True))
    assert {spec["model_id"] for page in pages for spec in page["resources"]} == everything
    assert all(len(page["resources"]) == 1 for page in pages)
    assert len(models.get_model_specs(limit=1, filters=None, get_all=True)["resources"]) == len(everything)


def test_what_is_not_there(client: Any, models: Any) -> None:
    assert models.get_model_specs("ibm/no-such-model") is None
    assert models.get_model_lifecycle("ibm/no-such-model") is None
    with pytest.raises(WMLClientError, match="Supported models"):
        ModelInference(model_id="ibm/no-such-model", api_client=client)


def test_wrong_filter(models: Any) -> None:
    with pytest.raises(WMLClientError):
        models.get_model_specs(filters="nonsense")
