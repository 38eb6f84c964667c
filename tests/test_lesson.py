"""The lesson's settings and data, and that nobody gets them who does not ask for them."""

from dataclasses import asdict
from pathlib import Path

import pytest

from prompt_tuning_helpers import PromptTuningSettings, settings_for
from prompt_tuning_helpers.engine.defaults import complete_settings, default_settings
from prompt_tuning_helpers.lesson import INIT_TEXT, LOCAL_SETTINGS, TEMPLATE, reviews_path

SMALL, LARGE = "HuggingFaceTB/SmolLM2-135M-Instruct", "ibm/granite-3-8b-instruct"


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
