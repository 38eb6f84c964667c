"""A trial is fair, a measurement learns from the rows it names, and costs are those of the job alone."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comparison import jobs
from comparison.asking import NEW_TOKENS
from comparison.jobs import draw, split, time_each
from comparison.methods import METHODS, Candidate, Method, Recipe, WrittenPrompt
from comparison.networks import BaseModel
from comparison.plan import DATA, FULL, SMALL, TEST_FILES, AnsweringCost, Measurement, Trial
from comparison.training import Answer, Classifier
from prompt_tuning_helpers.engine.rows import TrainingRow, read_rows
from prompt_tuning_helpers.engine.tune import TuningStopped
from prompt_tuning_helpers.evaluation import LABELS
from prompt_tuning_helpers.lesson import reviews_path

pytestmark = pytest.mark.slow

TRAIN = read_rows(reviews_path("train"))
TEST = [row for name in TEST_FILES for row in read_rows(DATA / name)]
RECIPE = Recipe(0.001, 2)


def _half_of_each(rows: Sequence[TrainingRow]) -> bool:
    return sorted(row.output for row in rows) == ["0"] * (len(rows) // 2) + ["1"] * (len(rows) // 2)


@pytest.mark.parametrize("seed", range(4))
def test_more_rows_of_the_same_seed_begin_with_fewer(seed: int) -> None:
    drawn = [draw(TRAIN, count, seed) for count in (20, 80, 320)]
    assert drawn[0] == drawn[1][:20]
    assert drawn[1] == drawn[2][:80]
    assert all(_half_of_each(rows) and len(set(rows)) == len(rows) for rows in drawn)
    assert draw(TRAIN, 20, seed) == drawn[0]
    assert set(draw(TRAIN, 20, seed + 1)) != set(drawn[0])


@given(st.lists(st.sampled_from(LABELS), max_size=40), st.integers(0, 20), st.integers(0, 99))
def test_a_draw_is_balanced_or_refused(labels: list[str], pairs: int, seed: int) -> None:
    rows = [TrainingRow(str(index), label) for index, label in enumerate(labels)]
    if pairs > min(labels.count(label) for label in LABELS):
        with pytest.raises(ValueError, match=f"{2 * pairs} rows, half of each label, cannot be drawn"):
            draw(rows, 2 * pairs, seed)
    else:
        drawn = draw(rows, 2 * pairs, seed)
        assert _half_of_each(drawn)
        assert set(drawn) <= set(rows)
        assert len(set(drawn)) == 2 * pairs


Says = Callable[[str], Answer]


class Pretender(Classifier):
    """Learns nothing, and says what it is told to."""

    def __init__(self, says: Says) -> None:
        self._says = says
        self.asked: list[list[str]] = []
        self.new_tokens: list[int] = []

    def learn(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        pass

    def answer(self, prompts: Sequence[str], new_tokens: int = NEW_TOKENS) -> list[Answer]:
        self.asked.append(list(prompts))
        self.new_tokens.append(new_tokens)
        return [self._says(prompt) for prompt in prompts]

    def saved_bytes(self) -> int:
        return 7


class Taught:
    """Stands in for training: notes which rows each classifier gets to learn from, and what it is asked."""

    def __init__(self, says: Says) -> None:
        self.rows: list[list[TrainingRow]] = []
        self.classifiers: list[Pretender] = []
        self.says = says

    def __call__(
        self, method: Method, candidate: Candidate, rows: list[TrainingRow], base: BaseModel, seed: int
    ) -> Pretender:
        self.rows.append(list(rows))
        self.classifiers.append(Pretender(self.says))
        return self.classifiers[-1]

    @property
    def asked(self) -> list[list[str]]:
        """What each was asked, first of all."""
        return [classifier.asked[0] for classifier in self.classifiers]


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Taught:
    """They answer by the length of the prompt, and write "1" or nothing."""
    stand_in = Taught(lambda prompt: Answer(len(prompt) - 200.0, "1" if len(prompt) > 250 else None))
    monkeypatch.setattr(jobs, "train", stand_in)
    monkeypatch.setattr(jobs, "prepare", stand_in)
    return stand_in


def _trials() -> list[Trial]:
    return [
        FULL.trial(method, rows, seed, FULL.searched(method).start(rows))
        for method in METHODS
        for rows in FULL.rows_of(method)
        for seed in FULL.seeds_of(method)
    ]


def test_trials_hold_back_the_same_rows_and_never_see_them_or_the_test(
    taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "TEST_FILES", ())
    outputs = {row.input: row.output for row in TRAIN}
    for trial in dict.fromkeys(_trials()):
        jobs.run(FULL, trial)
        learnt = taught.rows[-1]
        assert len(set(learnt)) == len(learnt) == FULL.learnt_from(trial) == min(trial.rows, 240)
        assert _half_of_each(learnt)
        assert not {row.input for row in learnt} & set(taught.asked[-1])
    assert len({tuple(asked) for asked in taught.asked}) == 1
    held_back = taught.asked[0]
    assert len(set(held_back)) == FULL.held_back
    assert _half_of_each([TrainingRow(prompt, outputs[prompt]) for prompt in held_back])


def test_a_trial_scores_both_ways_of_answering(taught: Taught) -> None:
    outputs = {row.input: row.output for row in TRAIN}
    # How sure it is, how many of 80 it chooses wrongly, and what it writes.
    taught.says = lambda prompt: Answer(2.0 if outputs[prompt] == "1" else -2.0, "1")
    result = jobs.run(FULL, _trials()[0])
    assert (result["accuracy"], result["written"]) == (1.0, 0.5)
    assert result["loss"] == pytest.approx(np.log1p(np.exp(-2.0)))
    taught.says = lambda prompt: Answer(-2.0 if outputs[prompt] == "1" else 2.0, None)
    result = jobs.run(FULL, _trials()[0])
    assert (result["accuracy"], result["written"]) == (0.0, 0.0)
    assert result["loss"] == pytest.approx(np.log1p(np.exp(2.0)))


@pytest.mark.parametrize("name", ["lora-8", "full"])
def test_a_learning_rate_that_diverges_says_so(name: str) -> None:
    trial = Trial(SMALL.method(name), 16, 0, Recipe(1e30, 2))
    assert "diverged" in jobs.run(SMALL, trial)
    with pytest.raises(FloatingPointError):
        jobs.run(SMALL, Measurement(*vars(trial).values()))


def test_weights_that_the_last_update_spoilt_have_diverged_too(taught: Taught) -> None:
    taught.says = lambda prompt: Answer(float("nan"), None)
    trial = Trial(FULL.method("lora-8"), 320, 0, RECIPE)
    assert "diverged" in jobs.run(FULL, trial)
    with pytest.raises(FloatingPointError, match="training diverged"):
        jobs.run(FULL, Measurement(*vars(trial).values()))


def test_a_result_says_when_and_on_what_it_was_made(taught: Taught) -> None:
    result = jobs.run(FULL, _trials()[0])
    assert date.fromisoformat(result["date"]) <= datetime.now(UTC).date()
    assert result["machine"]["cpu"].strip()
    assert (
        result["machine"].items() >= {"threads": torch.get_num_threads(), "device": "cpu", "numbers": "float32"}.items()
    )
    assert set(result["versions"]) == {"torch", "transformers", "peft", "scikit-learn"}


@pytest.mark.parametrize("rows", FULL.rows)
def test_a_measurement_learns_from_the_rows_it_names_and_is_asked_about_both_test_files(
    rows: int, taught: Taught
) -> None:
    result = jobs.run(FULL, Measurement(FULL.method("lora-8"), rows, 1, RECIPE))
    assert taught.rows == [draw(TRAIN, rows, 1)]
    assert taught.asked == [[row.input for row in TEST]]
    assert result["margins"] == [len(row.input) - 200 for row in TEST]
    assert result["written"] == "".join("1" if len(row.input) > 250 else "-" for row in TEST)
    assert set(result["written"]) == {"1", "-"}


@pytest.mark.parametrize("seed", FULL.seeds)
def test_a_few_shot_prompt_is_measured_with_the_rows_that_its_examples_were_chosen_from(
    seed: int, taught: Taught
) -> None:
    cell = FULL.method("few-shot"), 320, seed, WrittenPrompt("chat", 4, 2)
    jobs.run(FULL, Trial(*cell))
    jobs.run(FULL, Measurement(*cell))
    first, second = taught.rows
    assert first == second
    assert not set(first) & set(split(FULL)[1])


def test_updates_are_timed_one_by_one_and_no_more_of_them_than_needed() -> None:
    took: list[int] = []

    def learn(should_stop: Callable[[], bool]) -> None:
        for _ in range(3):
            took.append(sum(range(100_000)))
            if should_stop():
                raise TuningStopped

    seconds = time_each(learn, 7)  # anew, since it takes three updates only
    assert len(took) == len(seconds) == 7
    assert all(second > 0 for second in seconds)


def test_the_cost_of_answering_is_that_of_choosing_in_a_process_that_learnt_nothing(taught: Taught) -> None:
    result = jobs.run(FULL, AnsweringCost(FULL.method("full"), 320, 0, RECIPE))
    (classifier,) = taught.classifiers
    assert classifier.new_tokens == [1] * 11
    assert {len(asked) for asked in classifier.asked} == {8}
    assert [prompt for asked in classifier.asked for prompt in asked] == [row.input for row in TEST[:88]]
    assert len(result["review_seconds"]) == 10
    assert result["saved_bytes"] == 7
    assert result["peak_memory_mb"] > 100


def test_costs_use_no_model_that_other_jobs_have_used(monkeypatch: pytest.MonkeyPatch) -> None:
    bases: list[Any] = []

    def note(method: Method, candidate: Any, rows: Any, base: BaseModel, seed: int) -> Pretender:
        bases.append(base)
        return Pretender(lambda prompt: Answer(1.0, None))

    monkeypatch.setattr(jobs, "train", note)
    monkeypatch.setattr(jobs, "prepare", note)
    cell = SMALL.method("zero-shot"), 16, 0, WrittenPrompt("chat")
    for job in (Measurement(*cell), Trial(*cell), AnsweringCost(*cell), AnsweringCost(*cell)):
        jobs.run(SMALL, job)
    assert bases[0] is bases[1]
    assert len(set(map(id, bases))) == 3


def test_peak_memory_is_that_of_this_process() -> None:
    before = jobs.peak_memory_mb()
    block = torch.ones(int((before + 200) * 2**18))  # float32, so 2**18 to a MiB
    assert jobs.peak_memory_mb() > before + 100
    del block
