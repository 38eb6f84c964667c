"""The pace of a run that was chosen for another base model is replaced; what belongs to the task stays."""

from dataclasses import asdict, replace

import pytest

from prompt_tuning_helpers.engine.defaults import PACE, default_settings, suited_settings
from prompt_tuning_helpers.engine.settings import MOST_EPOCHS, TuningSettings

ASKED = TuningSettings(
    num_virtual_tokens=100,
    init_method="text",
    init_text="Classify the comment.",
    learning_rate=0.001,
    num_epochs=12,
    batch_size=8,
    accumulate_steps=16,
    max_input_tokens=128,
    max_output_tokens=2,
    verbalizer="classify {{input}}",
    seed=5,
)


@pytest.mark.parametrize("source", ["smollm2", "tiny"])
@pytest.mark.parametrize("init_method", ["text", "random"])
def test_only_the_pace_is_replaced(source: str, init_method: str) -> None:
    asked = replace(ASKED, init_method=init_method)
    used = suited_settings(source, asked, 320)
    assert {name: value for name, value in asdict(used).items() if name not in PACE} == {
        name: value for name, value in asdict(asked).items() if name not in PACE
    }
    assert used.learning_rate > asked.learning_rate
    assert (used.batch_size, used.accumulate_steps) == (8, 1)
    assert suited_settings(source, used, 320) == used


def test_an_instruction_to_start_from_takes_longer_than_solved_examples() -> None:
    used, examples = suited_settings("smollm2", ASKED, 320), default_settings("smollm2", "text")
    assert used.num_epochs > examples.num_epochs
    assert suited_settings("smollm2", ASKED, 10_000) == used


@pytest.mark.parametrize(("rows", "times"), [(320, 1), (160, 2), (80, 4), (40, 8)])
def test_few_rows_are_passed_over_more_often(rows: int, times: int) -> None:
    usual = suited_settings("smollm2", ASKED, 320).num_epochs
    assert suited_settings("smollm2", ASKED, rows).num_epochs == min(usual * times, MOST_EPOCHS)
    assert suited_settings("smollm2", ASKED, 1).num_epochs == MOST_EPOCHS
