"""What can be had without a language model."""

import pandas as pd
import pytest

from prompt_tuning_helpers import lesson
from prompt_tuning_helpers.datasets import load_rows
from prompt_tuning_helpers.evaluation import baselines, evaluate, majority_baseline, score_table, word_counts_baseline

WORDS = {
    "how_to": "how do I set",
    "hardware support": "screen broken cable",
    "BILLING": "invoice charged twice",
    "bug": "crash error trace",
    "投诉": "太慢了\uff0c不满意",
}


def rows(per_label: int, labels: int = 5, offset: int = 0) -> list[dict[str, str]]:
    return [
        {"input": f"{words} number {offset + number}", "output": label}
        for number in range(per_label)
        for label, words in list(WORDS.items())[:labels]
    ]


def test_counting_words_on_the_reviews() -> None:
    """The figure is that of the comparison of methods, which counts the same words."""
    scores = word_counts_baseline(load_rows(lesson.reviews_path("train")), load_rows(lesson.reviews_path("test")))
    assert scores.n == 120
    assert 0.7 <= scores.accuracy <= 0.8


@pytest.mark.parametrize("labels", [1, 2, 5])
@pytest.mark.parametrize("per_label", [1, 2, 8])
def test_counting_words_for_any_number_of_labels_and_rows(labels: int, per_label: int) -> None:
    scores = word_counts_baseline(rows(per_label, labels), pd.DataFrame(rows(3, labels, offset=50)))
    assert scores.accuracy == 1.0
    assert len(scores.labels) == labels


def test_the_most_frequent_label_is_always_answered() -> None:
    train = [*rows(2), {"input": "x", "output": "bug"}]
    scores = majority_baseline(train, rows(3))
    assert scores.accuracy == pytest.approx(1 / 5)
    assert scores.by_label()["times answered"].to_dict()["bug"] == 15
    even = [{"input": "x", "output": 1}, {"input": "y", "output": 0}]
    assert majority_baseline(even, even).f1 == pytest.approx(2 / 3)  # always the positive label


def test_a_label_of_the_test_rows_alone_is_never_right() -> None:
    test = [*rows(1), {"input": "crash", "output": "other"}]
    assert word_counts_baseline(rows(4), test).accuracy == pytest.approx(5 / 6)


def test_no_training_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no training rows"):
        majority_baseline([], rows(1))


def test_scores_of_several_models_stand_in_one_table() -> None:
    test = rows(3)
    truth = [row["output"] for row in test]
    models = {"tuned": evaluate(truth, truth), "majority": majority_baseline(rows(2), test)}
    table = score_table(models)
    assert table.index.tolist() == ["tuned", "majority"]
    assert table.loc["tuned", "Accuracy (95 % interval)"].startswith("1.000 (")
    assert "Macro F1 (95 % interval)" in table.columns


@pytest.mark.parametrize("others", ["rows", "measures", "none"])
def test_scores_that_cannot_be_compared_are_refused(others: str) -> None:
    truth = ["a", "b", "c"]
    first = evaluate(truth, truth)
    other = evaluate(truth[:2], truth[:2]) if others == "rows" else evaluate(truth, truth, task_id="generation")
    models = {} if others == "none" else {"one": first, "other": other}
    with pytest.raises(ValueError, match=r"3 and of 2 rows|different measures|no scores to show"):
        score_table(models)


def test_baselines_answer_any_rows_as_their_scores_say() -> None:
    train, test = rows(6), rows(3, offset=50)
    truth = [row["output"] for row in test]
    answering = baselines(train)
    assert list(answering) == ["most frequent label", "counting words"]
    answers = {name: answer([row["input"] for row in test]) for name, answer in answering.items()}
    assert evaluate(truth, answers["counting words"]) == word_counts_baseline(train, test)
    assert evaluate(truth, answers["most frequent label"]) == majority_baseline(train, test)
    assert [answer([]) for answer in answering.values()] == [[], []]
    with pytest.raises(ValueError, match="no training rows"):
        baselines([])
