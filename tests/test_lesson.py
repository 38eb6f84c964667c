"""The lesson's settings and data, and that nobody gets them who does not ask for them."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pandas as pd
import pytest

from prompt_tuning_helpers import PromptTuningSettings, datasets, find_settings, settings_for
from prompt_tuning_helpers.engine.defaults import complete_settings, default_settings
from prompt_tuning_helpers.lesson import (
    EXAMPLES,
    HAND_WRITTEN,
    INIT_TEXT,
    INSTRUCTION,
    LOCAL_SETTINGS,
    TEMPLATE,
    HardPrompt,
    prompt_of,
    review_of,
    reviews_path,
    start_of,
)

TRAIN = pd.DataFrame([{"input": "Kind!", "output": "1"}, {"input": "Late.", "output": "0"}] * 20)
SMALL, LARGE = "HuggingFaceTB/SmolLM2-135M-Instruct", "ibm/granite-3-8b-instruct"


def offering(spec: dict[str, Any]) -> Any:
    """A client of a service that offers one model for prompt tuning."""
    models = SimpleNamespace(get_model_specs_with_prompt_tuning_support=lambda: {"resources": [spec]})
    return SimpleNamespace(foundation_models=models)


def test_settings_belong_to_a_base_model() -> None:
    small, large = settings_for(SMALL, 350), settings_for(LARGE, 350)
    assert isinstance(small, PromptTuningSettings)
    assert small.learning_rate > large.learning_rate
    assert large == settings_for("unknown/model", 350)


def test_few_rows_are_passed_over_more_often() -> None:
    usual = settings_for(SMALL, 10_000).num_epochs
    assert settings_for(SMALL, 50).num_epochs > usual
    assert settings_for(SMALL, 1).num_epochs == 50
    with pytest.raises(ValueError, match="no training rows"):
        settings_for(SMALL, 0)


@pytest.mark.parametrize("spec", [{"model_id": LARGE}, {"model_id": "another/model"}])
def test_a_hosted_service_is_never_searched_on(spec: dict[str, str]) -> None:
    """Each run of a search would be charged there."""
    with mock.patch("prompt_tuning_helpers.lesson.search_settings") as search:
        assert find_settings(offering(spec), spec["model_id"], TRAIN) == settings_for(spec["model_id"], len(TRAIN))
    search.assert_not_called()


def test_settings_that_somebody_measured_are_looked_up_without_asking_anybody() -> None:
    assert find_settings(mock.Mock(spec=[]), SMALL, TRAIN) == settings_for(SMALL, len(TRAIN))


def test_on_this_computer_settings_that_nobody_measured_are_searched(capsys: pytest.CaptureFixture[str]) -> None:
    found = SimpleNamespace(settings=settings_for(SMALL, 100), verdict="The best of all runs.")
    client = offering({"model_id": "local/mine", "local_runtime": {"embedding_rms": 0.1}})
    with mock.patch("prompt_tuning_helpers.lesson.search_settings", return_value=found) as search:
        assert find_settings(client, "local/mine", TRAIN) is found.settings
    assert search.call_args.args == (client, "local/mine", TRAIN)
    assert capsys.readouterr().out.splitlines() == [
        "Nobody has measured which settings suit local/mine, so they are searched now.",
        "The best of all runs.",
    ]


def test_what_the_notebook_passes_and_what_the_model_adds_are_the_settings_that_were_measured() -> None:
    """The SDK cannot pass the number of virtual tokens, so the runtime must have the same by default."""
    passed = asdict(settings_for(SMALL, 320)) | {"init_method": "text"}
    assert complete_settings("smollm2", passed) == LOCAL_SETTINGS


@pytest.mark.parametrize("source", ["smollm2", "tiny", "another/model"])
@pytest.mark.parametrize("init_method", ["random", "text"])
def test_the_engine_knows_nothing_of_the_lesson(source: str, init_method: str) -> None:
    settings = default_settings(source, init_method)
    assert settings.init_text is None
    assert settings.verbalizer == "{{input}}"
    assert settings.max_output_tokens == 128
    assert TEMPLATE not in str(settings)


def test_a_text_to_start_from_is_started_from() -> None:
    settings = complete_settings("smollm2", {"init_text": INIT_TEXT, "learning_rate": None})
    assert settings.init_method == "text"
    assert settings.learning_rate == default_settings("smollm2", "text").learning_rate
    assert complete_settings("smollm2", {}).learning_rate > settings.learning_rate


def test_the_reviews_are_found_installed_or_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reviews_path("train").name == "dog_grooming_reviews_train_data.json"
    assert reviews_path("test").exists()
    monkeypatch.setattr("prompt_tuning_helpers.lesson.PACKAGE", tmp_path / "package")
    assert reviews_path("test") == tmp_path / "data" / "dog_grooming_reviews_test_data.json"
    installed = tmp_path / "package" / "data" / "dog_grooming_reviews_test_data.json"
    installed.parent.mkdir(parents=True)
    installed.touch()
    assert reviews_path("test") == installed
    with pytest.raises(ValueError, match='no "dev"'):
        reviews_path("dev")


def test_a_prompt_takes_the_whole_input_or_the_review_alone() -> None:
    row = prompt_of("Kind!")
    assert INSTRUCTION.fill([row]) == [row]
    assert HardPrompt("kind", "Is this kind? {{review}}").fill([row, prompt_of("Late.\nTwice.")]) == [
        "Is this kind? Kind!",
        "Is this kind? Late.\nTwice.",
    ]
    assert HAND_WRITTEN.fill([row])[0].endswith("Kind!\nSentiment:")
    with pytest.raises(ValueError, match="no input of the lesson's files: 'Kind!'"):
        HAND_WRITTEN.fill(["Kind!"])


def test_the_words_of_a_prompt_are_read_as_labels() -> None:
    answers = [" positive\n\nReview: bad", "Negative", "positive or negative?", "1", None]
    assert HAND_WRITTEN.read(answers) == ["1", "0", None, None, None]
    assert INSTRUCTION.read(["1", " 0\n", "positive"]) == ["1", "0", None]


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_row_of_the_files_is_the_input_around_a_review(split: str) -> None:
    for text in datasets.load_rows(reviews_path(split))["input"]:
        assert prompt_of(review_of(text)) == text


def test_the_start_of_a_soft_prompt_shows_its_examples_and_ends_like_the_template() -> None:
    (text,) = start_of(settings_for(SMALL, 320)).fill([prompt_of("Kind!")])
    assert text.startswith(f"Comment: {EXAMPLES[0][0]}\nSatisfaction:\n{EXAMPLES[0][1]}\n")
    assert text.endswith(TEMPLATE.replace("{{input}}", prompt_of("Kind!")))


def test_about_as_many_updates_whatever_the_number_of_rows() -> None:
    usual = settings_for(SMALL, 320).num_epochs * 320
    for rows in (280, 240, 160, 80):
        assert abs(settings_for(SMALL, rows).num_epochs * rows - usual) <= rows / 2
