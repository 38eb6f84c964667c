"""A search is fair, and a measurement learns from the rows it names."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comparison import jobs
from comparison.jobs import draw
from comparison.methods import GradientMethod, LoRA, Method
from comparison.plan import FULL, SMALL, Measurement, Plan, Search
from comparison.training import TrainedClassifier
from prompt_tuning_helpers.datasets import load_rows
from prompt_tuning_helpers.engine.rows import TrainingRow, read_rows
from prompt_tuning_helpers.evaluation import LABELS
from prompt_tuning_helpers.lesson import reviews_path

pytestmark = pytest.mark.slow

TRAIN = read_rows(reviews_path("train"))


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


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[TrainingRow], list[str]]]:
    """What each classifier gets to learn from, and what it is asked; it answers by the length of the prompt."""
    seen: list[tuple[list[TrainingRow], list[str]]] = []

    def note(method: Method, candidate: Any, rows: list[TrainingRow], model: str, seed: int) -> TrainedClassifier:
        def margins(prompts: Sequence[str]) -> list[float]:
            seen.append((list(rows), list(prompts)))
            return [len(prompt) - 200.0 for prompt in prompts]

        return TrainedClassifier(margins, 0, 0, 0.0, 0.0)

    monkeypatch.setattr(jobs, "train", note)
    return seen


@pytest.mark.parametrize("job", FULL.searches(), ids=lambda job: job.name)
def test_a_search_is_measured_on_rows_that_were_held_back_and_never_sees_the_test(
    job: Search, taught: list[tuple[list[TrainingRow], list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_train(split: str) -> Path:
        assert split == "train"
        return reviews_path(split)

    monkeypatch.setattr(jobs, "reviews_path", only_train)
    jobs.run(FULL, job)
    assert len(taught) == len(job.method.candidates)
    assert all(again == taught[0] for again in taught)
    training, asked = taught[0]
    outputs = {row.input: row.output for row in TRAIN}
    assert not {row.input for row in training} & set(asked)
    assert len(set(training)) == len(set(asked)) == FULL.search_rows
    assert _half_of_each(training)
    assert _half_of_each([TrainingRow(prompt, outputs[prompt]) for prompt in asked])


def test_all_searches_hold_back_the_same_rows(taught: list[tuple[list[TrainingRow], list[str]]]) -> None:
    for job in FULL.searches():
        jobs.run(FULL, job)
    assert len({tuple(asked) for _, asked in taught}) == 1


def test_the_better_candidate_is_chosen_and_of_equal_ones_the_surer(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {row.input: row.output for row in TRAIN}
    # How sure, and how many of the answers are wrong.
    candidates = {0.1: (0.5, 1), 0.2: (2.0, 0), 0.3: (0.1, 0)}

    def pretend(method: Method, candidate: float, rows: Any, model: str, seed: int) -> TrainedClassifier:
        size, wrong = candidates[candidate]

        def margins(prompts: Sequence[str]) -> list[float]:
            signs = [1 if outputs[prompt] == "1" else -1 for prompt in prompts]
            return [size * (-sign if index < wrong else sign) for index, sign in enumerate(signs)]

        return TrainedClassifier(margins, 0, 0, 0.0, 0.0)

    monkeypatch.setattr(jobs, "train", pretend)
    result = _search(*candidates)
    assert result["chosen"] == 0.2
    assert [score["candidate"] for score in result["scores"]] == list(candidates)
    assert [score["accuracy"] for score in result["scores"]] == [79 / 80, 1.0, 1.0]
    assert result["scores"][1]["loss"] == pytest.approx(np.log1p(np.exp(-2)))


def _search(*rates: float, plan: Plan = FULL) -> dict[str, Any]:
    method = LoRA(name="any", title="any", candidates=rates, epochs=((320, 4),), rank=8)
    return jobs.run(plan, Search(method, 0))


def test_a_learning_rate_that_diverges_is_the_worst_candidate_and_the_search_goes_on() -> None:
    result = _search(1e30, 0.001, plan=SMALL)
    assert result["scores"][0] == {"candidate": 1e30, "diverged": True}
    assert result["scores"][1].keys() == {"candidate", "accuracy", "loss"}
    assert result["chosen"] == 0.001


def test_weights_that_the_last_update_spoilt_have_diverged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(method: GradientMethod, candidate: float, rows: Any, model: str, seed: int) -> TrainedClassifier:
        margin = float("nan") if candidate > 1 else 0.0
        return TrainedClassifier(lambda prompts: [margin] * len(prompts), 0, 0, 0.0, 0.0)

    monkeypatch.setattr(jobs, "train", spoilt)
    result = _search(2.0, 0.1)
    assert result["scores"][0] == {"candidate": 2.0, "diverged": True}
    assert result["chosen"] == 0.1
    job = Measurement(FULL.method("lora-8"), 20, 0, 2.0)
    with pytest.raises(FloatingPointError, match="lora-8-20-rows-seed-0"):
        jobs.run(FULL, job)


def test_a_search_where_all_diverge_says_what_to_do() -> None:
    with pytest.raises(FloatingPointError, match=r"every candidate of any\. .* in methods\.py"):
        _search(1e30, 2e30, plan=SMALL)


def test_a_result_says_when_and_on_what_it_was_made(taught: list[Any]) -> None:
    result = _search(0.1)
    assert date.fromisoformat(result["date"]) <= datetime.now(UTC).date()
    assert result["machine"]["cpu"].strip()
    assert result["machine"]["threads"] == torch.get_num_threads()
    assert set(result["versions"]) == {"torch", "transformers", "peft", "scikit-learn"}


@pytest.mark.parametrize("rows", FULL.rows)
def test_a_measurement_learns_from_the_rows_it_names_and_is_asked_about_the_test(
    rows: int, taught: list[tuple[list[TrainingRow], list[str]]]
) -> None:
    result = jobs.run(FULL, Measurement(FULL.method("lora-8"), rows, 1, 0.001))
    test = load_rows(reviews_path("test"))
    training, asked = taught[0]
    assert training == draw(TRAIN, rows, 1)
    assert asked == test["input"].tolist()
    assert result["truth"] == "".join(test["output"])
    assert result["answers"] == "".join("1" if len(prompt) > 200 else "0" for prompt in asked)


@pytest.mark.parametrize("seed", FULL.seeds)
def test_a_few_shot_prompt_is_measured_with_the_examples_that_it_was_chosen_with(
    seed: int, taught: list[tuple[list[TrainingRow], list[str]]]
) -> None:
    method = FULL.method("few-shot")
    jobs.run(FULL, FULL.search_of(method, seed))
    (searched, _), *_ = taught
    taught.clear()
    jobs.run(FULL, Measurement(method, 320, seed, method.candidates[3]))
    ((measured, _),) = taught
    assert measured == searched
