"""From answers to labels, and from labels to scores that say how sure they are."""

import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers.evaluation import by_phenomenon, compare, evaluate, parse_label

TRUTH = ["1", "1", "1", "0", "0", "0"]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("1", "1"),
        (" 1\n", "1"),
        ("1.0", "1"),
        ("1.", "1"),
        ("Label: 0", "0"),
        ("Label:0", "0"),
        ('"0"', "0"),
        ("**1**", "1"),
        ("\n\n1\nComment: next\n0", "1"),
        ("Answer:\n0", "0"),
        ("I would say 1, clearly.", "1"),
        ("1 1", "1"),
        ("0 or 1", None),
        ("1,0", None),
        ("0,1", None),
        ("1, 0", None),
        ("1,5", None),
        ("5,1", None),
        ("1.0, 1", "1"),
        ("1-0", None),
        ("1 -0", None),
        ("1...0", None),
        ("1.1", None),
        ("_1_", "1"),
        ("__1__.", "1"),
        ("label_1", None),
        ("1_0", None),
        ("0.1", None),
        ("0.5: label 1", "1"),
        ("5, so 1", "1"),
        ("1\n0", "1"),
        ("1,0\n1", None),
        ("\u22121", None),
        ("", None),
        ("I love dogs!", None),
        ("10", None),
        ("1.5", None),
        ("-1", None),
        ("5,-1", None),
        ("a.-1", None),
        ("dogs..1", None),
        ("1,000", None),
        ("2", None),
        (None, None),
        (1, None),
    ],
)
def test_labels_are_read_out_of_answers(answer: object, label: str | None) -> None:
    assert parse_label(answer) == label


def test_labels_may_be_words() -> None:
    labels = ("not sure", "not", "Billing")
    assert parse_label("billing.", labels) == "Billing"
    assert parse_label("I am not sure", labels) == "not sure"
    assert parse_label("not billing", labels) is None
    assert parse_label("not,Billing", labels) is None
    assert parse_label("not-billing", labels) is None


@pytest.mark.parametrize(
    ("labels", "answer", "label"),
    [
        (("-1", "1"), "-1", "-1"),
        (("-1", "1"), "Label: 1.", "1"),
        (("-1", "1"), "1 -1", None),
        (("-1", "1"), "1,-1", None),
        (("-1", "1"), "-1-1", None),
        (("1", "1.5"), "1.5", "1.5"),
        (("1", "1.5"), "1", "1"),
        (("1", "1.0", "0"), "1.00", "1"),
        (("1", "1.0", "0"), "1.0", "1.0"),
        (("C", "C++"), "C++!", "C++"),
        (("N/A", "v1.2"), "n/a", "N/A"),
        (("N/A", "v1.2"), "v1.2.", "v1.2"),
        (("N/A", "v1.2"), "v1.25", None),
        (("a.b", "axb"), "axb", "axb"),
        (("a|b", "a"), "a|b", "a|b"),
        (("★", "★★"), "**★★**", "★★"),
        (("★", "★★"), "★★-rated", None),
        (("?", "!"), "What?", None),
        (("?", "!"), "?", "?"),
        (("坏", "好"), "回答: 好。", "好"),
        (("坏", "好"), "好、坏", None),
        (("1", "2", "3"), "1,3", None),
        (("1", "2", "3"), "1,4", None),
    ],
)
def test_labels_may_hold_punctuation_and_digits(labels: tuple[str, ...], answer: str, label: str | None) -> None:
    assert parse_label(answer, labels) == label


LABEL_SETS = st.sampled_from([("0", "1"), ("-1", "1"), ("bad", "good"), ("not sure", "sure thing"), ("v1.2", "N/A")])
# what may stand beside a label: words without labels, and punctuation that makes no number, name or word of it
BESIDE = st.text(alphabet=" \t\"'*_:()!?#|/", max_size=6)
AROUND = st.lists(st.sampled_from(["The", "label", "is", "7", "2.5", "3,4", "dogs.", "I'd say:"]), max_size=4).map(
    " ".join
)


@given(LABEL_SETS, st.sampled_from([0, 1]), AROUND, BESIDE, BESIDE, AROUND)
def test_harmless_text_around_a_label_does_not_matter(
    labels: tuple[str, str], which: int, before: str, left: str, right: str, after: str
) -> None:
    assert parse_label(f"{before} {left}{labels[which]}{right} {after}", labels) == labels[which]


@given(LABEL_SETS, st.booleans(), st.text(alphabet=" \t,.;:-/|&+*'\"()_", min_size=1, max_size=5) | st.just(" or "))
def test_two_different_labels_are_no_answer(labels: tuple[str, str], swapped: bool, separator: str) -> None:
    first, second = reversed(labels) if swapped else labels
    answer = f"{first}{separator}{second}"
    assume(not re.search(r"\d\.0\b", answer))  # 1.0 is the number 1
    assume(separator[-1] + second not in labels)  # with a minus before it, 1 is -1
    assert parse_label(answer, labels) is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((), "no labels"),
        (("0", ""), "label ''.*not empty"),
        (("0", " "), "label ' '.*not empty"),
        (("0", "a\nb"), r"label 'a\\nb': it must be one line"),
        (("yes", "Yes"), "'yes' and 'Yes'"),
        ((0, 1), "0 is of type int"),
    ],
)
def test_labels_that_no_answer_can_name_are_refused(labels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate(["0"], ["0"], labels)


@given(st.text())
def test_any_text_gives_a_label_or_nothing(answer: str) -> None:
    label = parse_label(answer)
    assert label in ("0", "1", None)
    if label is not None:
        assert label in answer


@given(st.sampled_from("01"), st.text(alphabet=" \n\t\"'*_.:()!"), st.text(alphabet=" \n\t\"'*_:()!"))
def test_decoration_does_not_matter(label: str, before: str, after: str) -> None:
    if before[-1:] != ".":
        assert parse_label(before + label + after) == label


@settings(deadline=None)  # the first call imports scikit-learn
@given(st.lists(st.sampled_from(["0", "1"]), min_size=1, max_size=40), st.data())
def test_scores_stay_within_bounds(truth: list[str], data: st.DataObject) -> None:
    answers = [data.draw(st.sampled_from(["0", "1", "?"])) for _ in truth]
    scores = evaluate(truth, answers)
    low, high = scores.accuracy_interval
    assert 0 <= low <= scores.accuracy + 1e-9
    assert scores.accuracy - 1e-9 <= high <= 1
    assert sum(map(sum, scores.confusion)) == scores.n == len(truth)


def test_scores_of_a_small_example() -> None:
    scores = evaluate(TRUTH, ["1", "1", "0", "0", "1", "0"])
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(2 / 3)
    assert scores.f1 == pytest.approx(2 / 3)
    assert scores.confusion == ((2, 1, 0), (1, 2, 0))
    # Wilson's formula, worked out by hand
    assert list(scores.accuracy_interval) == pytest.approx([0.3000, 0.9032], abs=1e-3)


def test_f1_is_the_harmonic_mean() -> None:
    scores = evaluate(["1"] * 4 + ["0"] * 4, ["1", "0", "0", "0", "0", "0", "0", "0"])
    assert (scores.precision, scores.recall) == (1.0, 0.25)
    assert scores.f1 == pytest.approx(2 * 1.0 * 0.25 / 1.25)


def test_an_unusable_answer_is_a_wrong_one() -> None:
    scores = evaluate(TRUTH, ["1", "woof", "1", "0", "woof", "0"])
    assert scores.unusable == 2
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.recall == pytest.approx(2 / 3)
    assert scores.precision == 1.0
    assert scores.confusion == ((2, 0, 1), (0, 2, 1))


def test_true_labels_may_be_numbers() -> None:
    assert evaluate([1, 0, 1.0], ["1", "0", "1"]).accuracy == 1.0


def test_intervals_are_the_same_every_time() -> None:
    answers = ["1", "1", "0", "0", "1", "0"]
    assert evaluate(TRUTH, answers).f1_interval == evaluate(TRUTH, answers).f1_interval


@pytest.mark.parametrize(
    ("truth", "answers", "said"),
    [(["1"], [], "1 true labels but 0"), ([], [], "no rows"), (["2"], ["1"], "Row 0")],
)
def test_what_does_not_fit_together_is_refused(truth: list[str], answers: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate(truth, answers)


def test_a_clear_difference_is_called_one() -> None:
    truth = ["1", "0"] * 20
    comparison = compare(truth, truth, ["1"] * 40)
    assert (comparison.both, comparison.only_tuned, comparison.only_base, comparison.neither) == (20, 20, 0, 0)
    assert comparison.p_value == pytest.approx(2 * 0.5**20)
    assert comparison.significant
    assert "the tuned model is better" in comparison.verdict
    assert "the base model is better" in compare(truth, ["1"] * 40, truth).verdict


def test_a_difference_that_may_be_chance_is_called_that() -> None:
    comparison = compare(TRUTH, TRUTH, ["1", "1", "1", "0", "0", "1"])
    assert not comparison.significant
    assert "do not show" in comparison.verdict
    assert compare(TRUTH, TRUTH, TRUTH).p_value == 1.0


def test_a_comparison_prints_as_text_and_as_a_table() -> None:
    comparison = compare(TRUTH, TRUTH, ["1"] * 6)
    assert "tuned model" in str(comparison)
    assert "1.000" in str(comparison)
    html = comparison._repr_html_()
    assert html.count("<tr>") == 7
    assert "&#x27;" in html  # escaped


def test_an_answer_is_read_once() -> None:
    rows = pd.DataFrame({"output": TRUTH, "phenomenon": ["plain"] * 6})
    with mock.patch("prompt_tuning_helpers.evaluation.scores.parse_label", wraps=parse_label) as read:
        compare(TRUTH, TRUTH, TRUTH)
        assert read.call_count == 3 * len(TRUTH)
        by_phenomenon(rows, TRUTH, TRUTH)
        assert read.call_count == 6 * len(TRUTH)


def test_scores_are_saved_as_json(tmp_path: Path) -> None:
    comparison = compare(TRUTH, TRUTH, ["1"] * 6)
    saved = json.loads(comparison.save(tmp_path / "scores.json").read_text())
    assert saved == {
        "base": {"accuracy": 0.5, "f1": pytest.approx(2 / 3)},
        "tuned": {"accuracy": 1.0, "f1": 1.0},
        "n": 6,
    }


def test_phenomena_are_counted_one_by_one() -> None:
    rows = pd.DataFrame({"output": TRUTH, "phenomenon": ["plain", "irony", "plain", "irony", "plain", "plain"]})
    table = by_phenomenon(rows, TRUTH, ["1"] * 6)
    assert table.loc["irony"].tolist() == [2, 2, 1]
    assert table.loc["plain"].tolist() == [4, 4, 2]
