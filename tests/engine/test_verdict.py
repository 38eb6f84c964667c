"""What a run's losses say of whether it has learnt: against the labels' frequencies, or against its own start."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_tuning_helpers.engine.verdict import CAUSES, VERDICT, Step, Verdict, are_labels, cost_of_guessing, judge

END = 0
HALVES = [[7, END], [8, END]] * 40  # two labels, each in half of the rows
TEXTS = [[number, number + 1, END] for number in range(80)]
COST = math.log(2) / 2


def run(losses: list[float], rows: int = 80) -> list[Step]:
    """A run whose epochs have these losses, in ten steps each."""
    starts = range(0, rows, 8)
    return [Step(epoch, loss, range(at, at + 8)) for epoch, loss in enumerate(losses) for at in starts]


def cause_of(losses: list[float], outputs: list[list[int]] = HALVES) -> str | None:
    verdict = judge(run(losses), outputs, 0.01)
    return verdict.cause if verdict else None


def test_the_cost_is_that_of_the_frequencies_spread_over_the_tokens() -> None:
    assert cost_of_guessing(range(80), HALVES) == pytest.approx(COST)
    outputs = [[1, END]] * 3 + [[2, 3, END]]
    by_hand = -(3 * math.log(3 / 4) + math.log(1 / 4)) / (3 * 2 + 3)
    assert cost_of_guessing(range(4), outputs) == pytest.approx(by_hand)
    assert cost_of_guessing([3], outputs) == pytest.approx(math.log(4) / 3)


@given(
    st.lists(st.sampled_from([(1, END), (2, END), (1, 3, END)]), min_size=1),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_nothing_that_does_not_look_at_the_input_costs_less(
    outputs: list[tuple[int, ...]], shares: list[float]
) -> None:
    chances = dict(zip([(1, END), (2, END), (1, 3, END)], (share / sum(shares) for share in shares), strict=True))
    cost = -sum(math.log(chances[output]) for output in outputs) / sum(map(len, outputs))
    assert cost_of_guessing(range(len(outputs)), outputs) <= cost + 1e-9


@pytest.mark.parametrize(
    ("losses", "cause"),
    [
        ([4.0, 0.3, 0.1], None),
        ([4.0], "slow"),
        ([COST, COST, COST], "slow"),  # answers by chance from the start, and still does
        ([4.0, 3.9, 3.9], "slow"),
        ([4.0, 2.0, 1.0], "slow"),
        ([4.0, 0.36, COST], "flat"),
        ([0.5, 5.0, COST], "rose"),
        ([4.0, 0.4, 0.8], "rose"),
    ],
)
def test_labels_are_held_to_their_frequencies(losses: list[float], cause: str | None) -> None:
    assert cause_of(losses) == cause


@pytest.mark.parametrize(
    ("losses", "cause"),
    [([3.0, 2.0, 1.5], None), ([3.0, 3.0, 2.9], "slow"), ([3.0, 3.0, 3.6], "rose"), ([0.5, 5.0, 0.5], "rose")],
)
@pytest.mark.parametrize("outputs", [TEXTS, [[7, END]] * 80])
def test_free_texts_and_a_single_output_are_held_to_the_start(
    losses: list[float], cause: str | None, outputs: list[list[int]]
) -> None:
    verdict = judge(run(losses), outputs, 0.01)
    assert (verdict.cause if verdict else None) == cause
    if verdict:
        assert verdict.compared_with == "start"
        assert verdict.reference == pytest.approx(losses[0])


def test_the_only_epoch_is_judged_by_its_second_half() -> None:
    steps = [Step(0, 5.0 if number < 5 else 0.1, list(range(number * 8, number * 8 + 8))) for number in range(10)]
    assert judge(steps, HALVES, 0.01) is None
    assert judge(steps[:3], HALVES, 0.01) is None  # too short to say


def test_what_several_rows_share_are_labels() -> None:
    assert are_labels(HALVES)
    assert are_labels([[number // 5, END] for number in range(385)])  # 77 classes with five examples each
    assert not are_labels(TEXTS)
    assert not are_labels([[9, END]] * 60 + TEXTS)  # "none" in half of the rows, names in the others


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=6), st.sampled_from([HALVES, TEXTS]))
def test_every_run_is_judged_and_only_losses_that_are_not_lower_are_named(
    losses: list[float], outputs: list[list[int]]
) -> None:
    verdict = judge(run(losses), outputs, 0.01)
    if verdict:
        assert verdict.loss >= 0.9 * verdict.reference
        assert f"{verdict.loss:.3f}" in verdict.text()


def test_a_verdict_is_read_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    verdict = Verdict(0.35, 0.347, "frequencies", "flat", 0.02, 90)
    verdict.write(tmp_path)
    assert Verdict.read(tmp_path) == verdict
    unknown = json.loads((tmp_path / VERDICT).read_text()) | {"cause": "?"}
    damaged: list[object] = [None, [], {}, {"loss": "x"}, unknown]
    assert [Verdict.parse(content) for content in damaged] == [None] * 5
    assert all(cause.format(learning_rate=0.1, updates=3) for cause in CAUSES.values())
