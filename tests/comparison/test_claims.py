"""The claims of the lesson: verdicts by their rules, the table of them, and the five lines."""

import re
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import comparison as shown
from comparison.judging import (
    FAILS,
    HOLDS,
    IN_PART,
    UNTOLD,
    Claim,
    Part,
    cost_ratio,
    judge,
    little_rows,
    together,
)
from comparison.plan import FULL, SMALL, Plan
from comparison.results import Comparison, Cost, load
from comparison.store import Store
from comparison.tables import NONE

from .made_up import COST, OPENED, PLANS, TOKEN, comparison
from .test_results import fill

LARGER = replace(SMALL, test_rows=120, opened_rows=120)
VERDICTS = [HOLDS, FAILS, UNTOLD, IN_PART]


def _part(made: Comparison, number: int, start: str) -> Part:
    """The part of a claim whose name starts so."""
    (found,) = (part for part in judge(made)[number - 1].parts if part.name.startswith(start))
    return found


def _little(made: Comparison) -> list[Part]:
    return [part for part in judge(made)[2].parts if part.name.startswith("does well")]


# --- rules ---


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([HOLDS], HOLDS),
        ([FAILS, FAILS], FAILS),
        ([UNTOLD, UNTOLD], UNTOLD),
        ([IN_PART, IN_PART], IN_PART),
        ([HOLDS, HOLDS, UNTOLD], IN_PART),
        ([HOLDS, FAILS], IN_PART),
        ([IN_PART, FAILS, UNTOLD], IN_PART),
        ([FAILS, UNTOLD], FAILS),
    ],
)
def test_several_verdicts_give_one_in_any_order(verdicts: list[str], expected: str) -> None:
    assert {together(order) for order in permutations(verdicts)} == {expected}


@given(st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=5), st.lists(st.sampled_from(VERDICTS), min_size=1))
def test_verdicts_can_be_put_together_step_by_step(some: list[str], others: list[str]) -> None:
    assert together([*some, *some]) == together(some)
    if together(some) == together(others):
        assert together([*some, *others]) == together(some)


def test_a_part_that_does_not_count_decides_nothing() -> None:
    parts = Part("one", "", FAILS), Part("two", "", HOLDS, counts=False)
    assert Claim("both", parts).verdict == FAILS


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("trained_parameters", "trained parameters"),
        ("saved_bytes", "saved size"),
        ("tuning_memory_mb", "memory of tuning"),
        ("updates", "tuning time, each with its own passes"),
        ("update_seconds", "tuning time, each with its own passes"),
        ("review_seconds", "time per review"),
    ],
)
def test_a_cost_is_lower_than_both_than_one_or_than_none(field: str, name: str) -> None:
    def with_factors(full: float, lora: float) -> Part:
        value: Any = getattr(COST, field)

        def times(factor: float) -> Cost:
            changed: Any = tuple(factor * each for each in value) if isinstance(value, tuple) else factor * value
            return replace(COST, **{field: changed})

        return _part(comparison(SMALL, costs={"full": times(full), "lora-8": times(lora)}), 1, name)

    assert with_factors(1, 1).verdict == UNTOLD
    assert with_factors(1.04, 0.97).verdict == UNTOLD
    assert with_factors(10, 2).verdict == HOLDS
    assert with_factors(2, 0.5).verdict == IN_PART
    assert with_factors(2, 1).verdict == IN_PART
    assert with_factors(0.5, 0.5).verdict == FAILS
    measured = with_factors(40, 0.5).measured.replace("\u00a0", " ")
    assert re.fullmatch(r"against full fine-tuning 1/40; against LoRA 2\.0+ ×", measured)  # noqa: RUF001


def test_times_that_vary_tell_less() -> None:
    def part(*full: float) -> Part:
        costs = {"lora-8": replace(COST, review_seconds=(0.04,)), "full": replace(COST, review_seconds=full)}
        return _part(comparison(SMALL, costs=costs), 1, "time per review")

    steady, noisy = part(0.04, 0.041, 0.039), part(0.005, 0.075, 0.005, 0.075)  # the same on average
    assert (steady.verdict, noisy.verdict) == (HOLDS, IN_PART)
    text = noisy.measured.replace("\u00a0", " ")
    assert re.fullmatch(r"against full fine-tuning 0\.75 × \(\d\.\d\d to \d\.\d\d\); against LoRA 0\.75 ×", text)  # noqa: RUF001


def test_a_ratio_of_costs_has_the_interval_of_its_spread() -> None:
    assert cost_ratio([6.0], [3.0]) == (2.0, (2.0, 2.0))
    generator = np.random.default_rng(0)
    one, other = generator.normal(2, 0.2, 40), generator.normal(1, 0.1, 40)
    ratio, (low, high) = cost_ratio(one.tolist(), other.tolist())
    assert low < ratio < high
    # Relative variances of the means add up.
    assert high - low == pytest.approx(2 * 1.96 * 2 * (2 * 0.1**2 / 40) ** 0.5, rel=0.25)


@pytest.mark.parametrize("missing", [("prompt-100",), ("lora-8",), ("full",), ("prefix-20", "full", "lora-8")])
@pytest.mark.parametrize("lost", [None, replace(COST, tuning_memory_mb=None, update_seconds=(), updates=0)])
def test_costs_that_are_missing_cannot_be_told(missing: tuple[str, ...], lost: Cost | None) -> None:
    made = comparison(SMALL, costs=dict.fromkeys(missing, lost))
    for name in ("memory of tuning", "tuning time"):
        part = _part(made, 1, name)
        assert NONE in part.measured
        assert part.verdict == UNTOLD
    assert len(shown.show_claims(made)) > 15
    assert len(shown.describe_answers(made).splitlines()) == 5


@pytest.mark.parametrize(
    ("full", "lora", "expected"),
    [(0.9, 0.9, HOLDS), (0.7, 0.9, HOLDS), (0.92, 0.92, FAILS), (0.92, 0.9, IN_PART), (0.9, 0.905, UNTOLD)],
)
def test_no_less_accurate(full: float, lora: float, expected: str) -> None:
    made = comparison(SMALL if expected == UNTOLD else FULL, {"prompt-100": 0.9, "full": full, "lora-8": lora})
    if expected == UNTOLD:  # 12 reviews
        made = comparison(SMALL, {"prompt-100": 0.5, "full": 0.6, "lora-8": 0.6})
    assert _part(made, 1, "accuracy").verdict == expected


def test_a_soft_prompt_has_to_beat_hard_ones_in_their_own_way_of_answering() -> None:
    def beats(choosing: dict[str, float], writing: dict[str, float]) -> list[str]:
        (claim,) = judge(comparison(FULL, {"prompt-100": 0.9} | choosing, {"prompt-100": 0.7} | writing))[1:2]
        return [part.verdict for part in claim.parts] + [claim.verdict]

    low = dict.fromkeys(("zero-shot", "few-shot", "zero-shot-written", "few-shot-written"), 0.6)
    start = {"starting-text": 0.5}
    claim = judge(comparison(FULL, {"prompt-100": 0.9} | low | start, {"prompt-100": 0.7} | low | start))[1]
    assert [part.measured.split("\u00a0")[0] for part in claim.parts] == [
        *["+30.0", "+30.0", "+10.0", "+10.0"],
        *["+30.0", "+30.0"],  # with 20 and 80 rows, choosing
        *["+40.0", "+20.0"],
    ]
    assert beats(low | start, low | start) == [HOLDS] * 9
    with_a_better = beats(low | {"few-shot": 0.95} | start, low | start)
    assert with_a_better == [HOLDS, FAILS, HOLDS, HOLDS, FAILS, FAILS, HOLDS, HOLDS, IN_PART]
    # What they do in the other way does not matter.
    other = {"zero-shot-written": 1.0, "few-shot-written": 1.0}, {"zero-shot": 1.0, "few-shot": 1.0}
    assert beats(low | start | other[0], low | start | other[1]) == [HOLDS] * 9
    # That tuning adds something to a poor text does not make it beat good ones.
    high = dict.fromkeys(low, 0.97)
    assert beats(high | start, high | start) == [FAILS] * 6 + [HOLDS] * 2 + [FAILS]
    level = dict.fromkeys(low, 0.9) | start, dict.fromkeys(low, 0.7) | start
    assert beats(*level) == [UNTOLD] * 6 + [HOLDS] * 2 + [UNTOLD]


@pytest.mark.parametrize(
    ("parameters", "expected"), [(1_000, HOLDS), (1_999, HOLDS), (501, HOLDS), (2_100, FAILS), (400, FAILS)]
)
def test_about_a_thousandth(parameters: int, expected: str) -> None:
    costs = {"prefix-20": replace(COST, trained_parameters=parameters), "full": replace(COST, trained_parameters=10**6)}
    part = _part(comparison(SMALL, costs=costs), 3, "trains")
    assert part.verdict == expected
    assert part.measured == f"{parameters / 10**4:.3f}\u00a0%"


def test_little_data_is_each_number_of_rows_but_the_most() -> None:
    assert little_rows(FULL) == (20, 80)
    assert little_rows(SMALL) == SMALL.rows
    accuracies = {"prefix-20": 0.8, "lora-8": 0.8, "full": 0.95, "prompt-100": 0.75, "tf-idf": 0.6, "few-shot": 0.8}
    parts = _little(comparison(FULL, accuracies))
    assert [part.name for part in parts] == ["does well with 20 rows", "does well with 80 rows"]
    assert [part.measured for part in parts] == [
        "no less accurate than LoRA, prompt tuning, TF-IDF, the hard prompt without examples, the hard prompt with "
        "examples; less than full fine-tuning"
    ] * 2
    assert [part.verdict for part in parts] == [IN_PART] * 2
    assert [part.verdict for part in _little(comparison(FULL, accuracies | {"full": 0.8}))] == [HOLDS] * 2
    (only,) = _little(comparison(SMALL, {"prefix-20": 0.5}))
    assert only.measured.startswith("less than ")
    assert only.verdict == FAILS


def test_words_that_work_as_well_could_be_read() -> None:
    def verdicts(**changed: Any) -> list[str]:
        claim = judge(comparison(LARGER, opened=OPENED | changed))[3]
        return [*(part.verdict for part in claim.parts), claim.verdict]

    moved = TOKEN | {"after": [{"token": "b", "cosine": 0.5}]}
    assert verdicts() == [HOLDS, NONE, HOLDS]
    assert verdicts(accuracy_as_words=0.88) == [UNTOLD, NONE, UNTOLD]  # of 120 reviews, two or three
    assert verdicts(accuracy_as_words=1.0) == [FAILS, NONE, FAILS]
    part = _part(comparison(SMALL, opened=OPENED | {"tokens": [moved] * 11 + [TOKEN] * 9}), 4, "tokens")
    assert part.measured == "9 of 20"


def test_what_was_not_looked_at_cannot_be_told() -> None:
    made = comparison(SMALL, opened={"accuracy": 0.5, "tokens": []})
    claim = judge(made)[3]
    assert [(part.measured, part.verdict) for part in claim.parts] == [(NONE, UNTOLD), (NONE, NONE)]
    assert claim.verdict == UNTOLD
    assert "0 of 0" not in shown.describe_answers(made)


# --- what is shown ---


@pytest.mark.parametrize("what", PLANS.values(), ids=PLANS)
def test_the_table_has_each_claim_and_its_parts(what: Plan) -> None:
    made = comparison(what)
    table, claims = shown.show_claims(made), judge(made)
    assert list(table.columns) == ["claim", "measured", "verdict"]
    assert len(table) == sum(1 + len(claim.parts) for claim in claims)
    assert set(table["verdict"]) <= {*VERDICTS, NONE}
    for number, claim in enumerate(claims, start=1):
        own = table[table.index.str.startswith(str(number))]
        assert own.index[0] == str(number)
        assert own["verdict"].tolist() == [claim.verdict, *(part.verdict for part in claim.parts)]
        held, count = map(int, re.findall(r"\d+", own["measured"].iloc[0]))
        assert (held, count) == (sum(part.verdict == HOLDS for part in claim.counting), len(claim.counting))
    assert len({part.name for claim in claims for part in claim.parts}) == len(table) - len(claims)
    assert not table["measured"].str.contains(r"[-+−]\d\S* \(").any()  # noqa: RUF001 no break before an interval


def test_five_lines_answer_with_the_figures() -> None:
    accuracies = {"prompt-100": 0.95, "zero-shot": 0.6, "few-shot": 0.9, "starting-text": 0.5, "prefix-20": 0.85}
    writing = {"prompt-100": 0.9, "zero-shot-written": 0.55, "few-shot-written": 0.4, "starting-text": 0.45}
    costs = {
        "full": replace(COST, trained_parameters=10**6, tuning_memory_mb=5_000, saved_bytes=10**6),
        "lora-8": replace(COST, trained_parameters=10**5, updates=2, saved_bytes=10**5),
    }
    made = comparison(FULL, accuracies | {"lora-8": 0.97}, writing, costs)
    summary, cheaper, better, prefix, opened = shown.describe_answers(made).splitlines()
    claims = judge(made)
    assert [claim.verdict for claim in claims] == [IN_PART, HOLDS, IN_PART, HOLDS]
    assert summary == "Does it hold? Of 4 claims, 2 hold and 2 hold in part, on 720 test reviews and 5 seeds."
    for line, claim in zip((cheaper, better, prefix, opened), claims, strict=True):
        assert f". {claim.title}: {claim.verdict}. " in line
    assert "Against both full fine-tuning and LoRA, this is true of trained parameters and saved size." in cheaper
    assert "Against one of them, it is true of memory of tuning and accuracy." in cheaper
    assert "It is not true of tuning time." in cheaper
    assert "It cannot be told of time per review." in cheaper
    assert "the soft prompt has an accuracy of 95.0 %, the best hard prompt 90.0 %, and the text" in better
    assert "Writing freely, the soft prompt has an accuracy of 90.0 %, the best hard prompt 55.0 %" in better
    assert "the text that the soft prompt started from 45.0 %. With 20 training rows" in better
    assert better.endswith("With 80 training rows and choosing, the soft prompt has 95.0 %.")
    assert "It trains 0.100 %. With 20 rows its accuracy is 85.0 %; the best of 6 others, LoRA, has 96.9 %." in prefix
    assert "With 80 rows" in prefix
    assert "20 of 20 virtual tokens are still nearest to the word that they started as. On 120 test reviews" in opened
    assert opened.endswith("an accuracy of 90.0 %; the words nearest to its tokens, in their place, have 50.0 %.")


def test_all_of_the_small_plan_can_be_shown_from_its_file(tmp_path: Path) -> None:
    store = Store.read(tmp_path / "results.jsonl", SMALL)
    fill(store)
    made = load(store.path, SMALL)
    assert len(shown.show_claims(made)) == 4 + 6 + 6 + 2 + 2
    lines = shown.describe_answers(made).splitlines()
    assert len(lines) == 5
    assert lines[0].endswith("on 12 test reviews and 1 seed.")
    assert len(shown.show_accuracy_against(made, "prefix-20", ["prompt-100", "few-shot", "tf-idf"])) == 3
    assert shown.show_phenomena(made, ["full"])["reviews"].iloc[0] > 0
    assert len(shown.show_files(made, [method.name for method in SMALL.methods])) == len(SMALL.methods)
