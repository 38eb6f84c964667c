"""The accuracy at each epoch, asked through the unmodified SDK of the soft prompts that the runtime keeps."""

from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.foundation_models.schema import TextGenParameters
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import accuracy_by_epoch, clean_up, deployed
from tests.support.lesson import ROWS, Lesson, make_tuner

PROMPTS = [row["input"] for row in ROWS[:6]]
TRUTH = [row["output"] for row in ROWS[:6]]


@pytest.mark.parametrize("parameters", [None, {"max_new_tokens": 2}, TextGenParameters(max_new_tokens=2)])
def test_each_epoch_is_scored(client: Any, lesson: Lesson, parameters: Any) -> None:
    model: Any = ModelInference(deployment_id=lesson.deployment_id, api_client=client, params=parameters)
    scores = accuracy_by_epoch(model, PROMPTS, TRUTH)
    assert list(scores) == [1, 2, 3]
    assert [each.n for each in scores.values()] == [6, 6, 6]
    # The last epoch's soft prompt is the one that is deployed.
    last = model.generate_text(prompt=PROMPTS, params={"max_new_tokens": 2, "local_runtime": {"epoch": 2}})
    assert last == model.generate_text(prompt=PROMPTS, params={"max_new_tokens": 2})


def test_each_epoch_answers_by_itself(client: Any, experiment: Any, base_model: str, lesson: Lesson) -> None:
    """At a rate that is far too high, the epochs' soft prompts differ in what the tiny model answers."""
    tuner = make_tuner(experiment, base_model, learning_rate=1.0, num_epochs=2)
    tuner.run([DataConnection(data_asset_id=lesson.asset_id)], background_mode=False)
    with deployed(client, tuner.get_model_id()) as deployment_id:
        model: Any = ModelInference(deployment_id=deployment_id, api_client=client)
        options = {"generated_tokens": True, "token_logprobs": True}
        asked = {"max_new_tokens": 1, "return_options": options}
        first, second, tuned = (
            model.generate(PROMPTS[0], {**asked, **epoch})["results"][0]["generated_tokens"]
            for epoch in ({"local_runtime": {"epoch": 0}}, {"local_runtime": {"epoch": 1}}, {})
        )
        assert first != second
        assert second == tuned
    clean_up(client, model_ids=[tuner.get_model_id()], training_ids=[tuner.id])


def test_a_service_without_epochs_says_so(
    client: Any, experiment: Any, base_model: str, lesson: Lesson, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on watsonx.ai: here the training is gone, and what it kept with it."""
    tuner = make_tuner(experiment, base_model, num_epochs=1)
    tuner.run([DataConnection(data_asset_id=lesson.asset_id)], background_mode=False)
    model_id = tuner.get_model_id()
    with deployed(client, model_id) as deployment_id:
        clean_up(client, training_ids=[tuner.id])
        capsys.readouterr()
        model = ModelInference(deployment_id=deployment_id, api_client=client)
        assert accuracy_by_epoch(model, PROMPTS, TRUTH) == {}
        said = capsys.readouterr().out.strip()
        assert said == "This service keeps no soft prompts of single epochs, so what each was worth cannot be measured."
    clean_up(client, model_ids=[model_id])


def test_what_cannot_be_scored_is_refused_before_it_is_asked(client: Any, lesson: Lesson, text_model: str) -> None:
    model = ModelInference(deployment_id=lesson.deployment_id, api_client=client)
    for prompts, truth in (("a prompt", ["1"]), (["a prompt"], ["1", "0"]), ([], [])):
        with pytest.raises(ValueError, match=r"same length|no rows"):
            accuracy_by_epoch(model, prompts, truth)
    with pytest.raises(ValueError, match="A base model has no epochs"):
        accuracy_by_epoch(ModelInference(model_id=text_model, api_client=client), PROMPTS, TRUTH)
