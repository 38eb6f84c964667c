"""Scores of labels, and how sure they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support

from prompt_tuning_helpers.evaluation import LABELS, evaluate

TRUTH = ["1", "1", "1", "0", "0", "0"]


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
        evaluate(truth, answers, LABELS)


TICKETS = ("how_to", "hardware support", "BILLING", "bug", "bugs")
UNBALANCED = ["how_to"] * 12 + ["hardware support"] * 5 + ["BILLING"] * 3 + ["bug"] * 2 + ["bugs"]


@st.composite
def answered(draw: st.DrawFn) -> tuple[list[str], list[str], list[str]]:
    """Labels, the right ones of some rows, and answers, some of them unusable."""
    labels = [f"class {number}" for number in range(draw(st.integers(1, 12)))]
    truth = draw(st.lists(st.sampled_from(labels), min_size=1, max_size=40))
    answers = draw(st.lists(st.sampled_from([*labels, "?"]), min_size=len(truth), max_size=len(truth)))
    return labels, truth, answers


@settings(deadline=None, max_examples=50)
@given(answered())
def test_scores_of_any_number_of_labels_are_those_of_scikit_learn(rows: tuple[list[str], list[str], list[str]]) -> None:
    labels, truth, answers = rows
    scores = evaluate(truth, answers, labels)
    occurring = sorted(set(truth))
    right, given_ = (
        [labels.index(label) for label in truth],
        [labels.index(answer) if answer in labels else -1 for answer in answers],
    )
    numbers = [labels.index(label) for label in occurring]
    macro = precision_recall_fscore_support(right, given_, labels=numbers, average="macro", zero_division=0)
    assert scores.macro_f1 == pytest.approx(macro[2])
    if len(labels) > 2:
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx(macro[:3])
    each = precision_recall_fscore_support(right, given_, labels=range(len(labels)), zero_division=0)
    table = scores.by_label()
    assert table["Precision"].tolist() == pytest.approx(each[0].tolist(), abs=5e-4)
    assert table["Recall"].tolist() == pytest.approx(each[1].tolist(), abs=5e-4)
    assert table["F1"].tolist() == pytest.approx(each[2].tolist(), abs=5e-4)
    assert table["rows"].tolist() == each[3].tolist()
    low, high = scores.f1_interval
    assert 0 <= low <= high <= 1


def test_many_labels_are_shown_by_their_means() -> None:
    answers = [*UNBALANCED[:-1], "bug"]
    scores = evaluate(UNBALANCED, answers)
    assert scores.labels == ("BILLING", "bug", "bugs", "hardware support", "how_to")
    assert scores.f1 == scores.macro_f1 == pytest.approx((1 + 2 * 2 / 5 + 0 + 1 + 1) / 5)
    assert "Macro F1 (95 % interval): 0.760 (" in str(scores)
    assert "Macro recall: 0.800" in str(scores)
    table = scores.by_label()
    assert table.loc["bugs"].tolist() == [1, 0, 0, 0, 0]
    assert table.loc["bug"].tolist() == [2, 3, 0.667, 1.0, 0.8]


def test_the_interval_of_macro_f1_is_that_of_resampled_rows() -> None:
    """Worked out again row by row: a label that a resample has no row of is left out of its mean."""
    answers = ["how_to"] * 8 + ["bug"] * 10 + ["bugs"] * 5
    low, high = evaluate(UNBALANCED, answers).f1_interval
    macros = []
    for rows in np.random.default_rng(0).integers(0, len(UNBALANCED), size=(2000, len(UNBALANCED))):
        right, given_ = [UNBALANCED[row] for row in rows], [answers[row] for row in rows]
        macros.append(f1_score(right, given_, labels=sorted(set(right)), average="macro", zero_division=0))
    assert (low, high) == pytest.approx(np.quantile(macros, [0.025, 0.975]))


def test_a_label_that_no_row_has_is_left_out_of_the_mean() -> None:
    assert evaluate(UNBALANCED, UNBALANCED, [*TICKETS, "other"]).macro_f1 == 1.0


def test_labels_that_no_row_has_make_an_answer_unusable_only_if_they_are_not_given() -> None:
    truth, answers = ["a", "b", "b"], ["a", "c", "b"]
    assert evaluate(truth, answers).unusable == 1
    assert evaluate(truth, answers, ["a", "b", "c"]).unusable == 0
