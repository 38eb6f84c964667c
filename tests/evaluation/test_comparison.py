"""A tuned model against its base model."""

import json
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

from prompt_tuning_helpers.evaluation import by_phenomenon, compare, evaluate, parse_label

TRUTH = ["1", "1", "1", "0", "0", "0"]


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
        assert read.call_count == 2 * len(TRUTH)
        by_phenomenon(rows, TRUTH, TRUTH)
        assert read.call_count == 4 * len(TRUTH)


def test_scores_are_saved_as_json(tmp_path: Path) -> None:
    comparison = compare(TRUTH, TRUTH, ["1"] * 6)
    saved = json.loads(comparison.save(tmp_path / "scores.json").read_text())
    assert saved == {
        "base": {"accuracy": 0.5, "f1": pytest.approx(2 / 3)},
        "tuned": {"accuracy": 1.0, "f1": 1.0},
        "n": 6,
        "rivals": {},
    }
    rivals = {"always 1": comparison.base, "as tuned": comparison.tuned}
    saved = json.loads(comparison.save(tmp_path / "scores.json", rivals).read_text())
    assert saved["rivals"] == {"always 1": saved["base"], "as tuned": saved["tuned"]}
    with pytest.raises(ValueError, match="6 and of 5 rows"):
        comparison.save(tmp_path / "scores.json", {"of fewer": evaluate(TRUTH[:5], TRUTH[:5])})


def test_phenomena_are_counted_one_by_one() -> None:
    rows = pd.DataFrame({"output": TRUTH, "phenomenon": ["plain", "irony", "plain", "irony", "plain", "plain"]})
    table = by_phenomenon(rows, TRUTH, ["1"] * 6)
    assert table.loc["irony"].tolist() == [2, 2, 1]
    assert table.loc["plain"].tolist() == [4, 4, 2]
    assert table.columns.tolist() == ["rows", "tuned right", "base right"]
    assert by_phenomenon(rows, TRUTH, TRUTH, rival="words").columns.tolist()[2] == '"words" right'


@pytest.mark.parametrize(
    ("language", "names"), [("en", ["irony", "odd {x}", "plain"]), ("es", ["ironía", "odd {x}", "sin dificultad"])]
)
def test_phenomena_are_named_in_the_language_of_the_lesson(
    monkeypatch: pytest.MonkeyPatch, language: str, names: list[str]
) -> None:
    """Those of the lesson; others, from the reader's own data, keep their names."""
    monkeypatch.setenv("LESSON_LANGUAGE", language)
    rows = pd.DataFrame({"output": TRUTH, "phenomenon": ["plain", "irony", "odd {x}"] * 2})
    table = by_phenomenon(rows, TRUTH, TRUTH)
    assert table.index.tolist() == names
    assert table.index.name == {"en": "phenomenon", "es": "fenómeno"}[language]


def test_models_with_many_labels_are_compared_by_right_and_wrong() -> None:
    truth = ["how_to", "hardware support", "BILLING", "bug"] * 5
    comparison = compare(truth, truth, ["how_to"] * 20)
    assert (comparison.both, comparison.only_tuned) == (5, 15)
    assert comparison.p_value == pytest.approx(2 * 0.5**15)
    assert "Macro F1 (95 % interval)" in str(comparison)
    assert "the tuned model is better" in str(comparison)


TEXTS = ["breed: pug; service: bath", "breed: husky; service: nail trim"] * 6


def test_texts_are_compared_by_the_f1_of_their_words() -> None:
    comparison = compare(TEXTS, TEXTS, ["a bath"] * 12, task_id="extraction")
    assert [comparison.tuned.token_f1, comparison.base.token_f1] == pytest.approx([1.0, 0.2])
    assert comparison.difference == pytest.approx(0.8)
    low, high = comparison.difference_interval
    assert 0.6 < low < 0.8 < high <= 1.0
    assert comparison.p_value == pytest.approx(2 / 2**12)  # each of the 12 rows speaks for the tuned model
    assert "token F1 of the tuned model less that of the base model is +0.800" in str(comparison)
    assert "the tuned model is better" in comparison.verdict
    assert "the base model is better" in compare(TEXTS, ["a bath"] * 12, TEXTS, task_id="extraction").verdict


@pytest.mark.parametrize("rows", [1, 2, 12])
def test_equal_texts_are_no_difference(rows: int) -> None:
    comparison = compare(TEXTS[:rows], TEXTS[:rows], TEXTS[:rows], task_id="summarization")
    assert comparison.p_value == 1.0
    assert "do not show" in comparison.verdict


def test_one_row_shows_nothing() -> None:
    assert not compare(TEXTS[:1], TEXTS[:1], ["?"], task_id="generation").significant


def test_scores_of_texts_are_saved_by_their_names(tmp_path: Path) -> None:
    saved = json.loads(compare(TEXTS, TEXTS, ["?"] * 12, task_id="extraction").save(tmp_path / "s.json").read_text())
    assert saved["tuned"] == {"exact_match": 1.0, "token_f1": 1.0}


def test_phenomena_of_texts_are_counted_by_exact_match() -> None:
    rows = pd.DataFrame({"output": TEXTS, "phenomenon": ["plain", "odd"] * 6})
    table = by_phenomenon(rows, TEXTS, [TEXTS[0].upper()] * 12, task_id="extraction")
    assert table.loc["plain"].tolist() == [6, 6, 6]
    assert table.loc["odd"].tolist() == [6, 6, 0]


@pytest.mark.parametrize("task_id", ["classification", "generation"])
def test_a_rival_is_called_by_its_name(task_id: str) -> None:
    truth = ["yes", "no"] * 20
    comparison = compare(truth, truth, ["yes"] * 40, task_id=task_id, rival="counting <words>")
    assert "counting <words>" in str(comparison).splitlines()[0]
    assert "counting &lt;words&gt;" in comparison._repr_html_()
    assert '"counting <words>"' in comparison.verdict
    assert "base model" not in str(comparison)
    assert list(comparison.models) == ["tuned model", "counting <words>"]
    assert comparison.models["tuned model"] is comparison.tuned
    reverse = compare(truth, ["yes"] * 40, truth, task_id=task_id, rival="prompt")
    assert reverse.verdict.endswith('"prompt" is better.')
