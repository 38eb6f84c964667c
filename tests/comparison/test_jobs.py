"""A search is fair, and a measurement learns from the rows it names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparison import jobs, plan
from comparison.jobs import draw
from comparison.learners import LABELS, Learner
from comparison.plan import FULL, Job, Method, Plan
from prompt_tuning_helpers.datasets import load_rows, reviews_path
from prompt_tuning_helpers.engine.rows import TrainingRow, read_rows

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
    """What each learner gets to learn from, and what it is asked; it answers by the length of the prompt."""
    seen: list[tuple[list[TrainingRow], list[str]]] = []

    def note(model: str, method: Method, rows: list[TrainingRow], candidate: str, lesson: dict[str, Any]) -> Learner:
        def margins(prompts: Sequence[str]) -> list[float]:
            seen.append((list(rows), list(prompts)))
            return [len(prompt) - 200.0 for prompt in prompts]

        return Learner(margins, 0, 0, 0.0, 0.0)

    monkeypatch.setattr(jobs, "learn", note)
    return seen


@pytest.mark.parametrize("job", plan.searches(FULL), ids=lambda job: job.name)
def test_a_search_is_measured_on_rows_that_were_held_back_and_never_sees_the_test(
    job: Job, taught: list[tuple[list[TrainingRow], list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_train(split: str) -> Path:
        assert split == "train"
        return reviews_path(split)

    monkeypatch.setattr(jobs, "reviews_path", only_train)
    jobs.run(job)
    assert len(taught) == len(job.settings["method"]["candidates"])
    assert all(again == taught[0] for again in taught)
    training, asked = taught[0]
    outputs = {row.input: row.output for row in TRAIN}
    assert not {row.input for row in training} & set(asked)
    assert len(set(training)) == len(set(asked)) == FULL.search_rows
    assert _half_of_each(training)
    assert _half_of_each([TrainingRow(prompt, outputs[prompt]) for prompt in asked])


def test_all_searches_hold_back_the_same_rows(taught: list[tuple[list[TrainingRow], list[str]]]) -> None:
    for job in plan.searches(FULL):
        jobs.run(job)
    assert len({tuple(asked) for _, asked in taught}) == 1


def test_the_better_candidate_is_chosen_and_of_equal_ones_the_surer(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {row.input: row.output for row in TRAIN}
    # How sure, and how many of the answers are wrong.
    candidates = {"bold": (0.5, 1), "sure": (2.0, 0), "unsure": (0.1, 0)}

    def pretend(model: str, method: Method, rows: Any, candidate: str, lesson: Any) -> Learner:
        size, wrong = candidates[candidate]

        def margins(prompts: Sequence[str]) -> list[float]:
            signs = [1 if outputs[prompt] == "1" else -1 for prompt in prompts]
            return [size * (-sign if index < wrong else sign) for index, sign in enumerate(signs)]

        return Learner(margins, 0, 0, 0.0, 0.0)

    monkeypatch.setattr(jobs, "learn", pretend)
    method = Method("any", "any", plan.LORA, candidates=tuple(candidates))
    result = jobs.run(plan.searches(Plan(methods=(method,)))[0])
    assert result["chosen"] == "sure"
    assert [score["accuracy"] for score in result["scores"].values()] == [79 / 80, 1.0, 1.0]
    assert result["scores"]["sure"]["loss"] == pytest.approx(np.log1p(np.exp(-2)))


@pytest.mark.parametrize("rows", FULL.rows)
def test_a_measurement_learns_from_the_rows_it_names_and_is_asked_about_the_test(
    rows: int, taught: list[tuple[list[TrainingRow], list[str]]]
) -> None:
    result = jobs.run(plan.measurement(FULL, FULL.method("lora-8"), rows, 1, "0.001"))
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
    jobs.run(plan.search_of(FULL, method, seed))
    (searched, _), *_ = taught
    taught.clear()
    jobs.run(plan.measurement(FULL, method, 320, seed, "sentiment 8"))
    ((measured, _),) = taught
    assert measured == searched
