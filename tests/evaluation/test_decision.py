"""Mistakes to read, and the decision whether a tuned model is worth having."""

import re

import pandas as pd
import pytest
from scipy.stats import binomtest, multinomial

from prompt_tuning_helpers.evaluation import Comparison, compare, decide, mistakes
from prompt_tuning_helpers.evaluation.decision import rows_to_tell


def comparison(only_tuned: int, only_rival: int, n: int = 100) -> Comparison:
    """One in which each model gets so many rows right that the other does not, and half of the rest are right."""
    rest = n - only_tuned - only_rival
    shared = ["a" if row % 2 else "b" for row in range(rest)]
    tuned = ["a"] * only_tuned + ["b"] * only_rival + shared
    rival = ["b"] * only_tuned + ["a"] * only_rival + shared
    return compare(["a"] * n, tuned, rival, ["a", "b"], rival="counting words")


@pytest.mark.parametrize(
    ("only_tuned", "only_rival", "take", "said"),
    [
        (30, 5, True, 'Take the tuned model. Of 100 rows it gets about 25 more right than "counting words"'),
        (5, 30, False, 'Do not take the tuned model: "counting words" is better'),
        (12, 10, False, 'Do not take the tuned model as yet: it has not been shown to be better than "counting words"'),
        (10, 12, False, 'Do not take the tuned model as yet: it has not been shown to be better than "counting words"'),
        (0, 0, False, 'Do not take the tuned model as yet: it has not been shown to be better than "counting words"'),
    ],
)
def test_a_tuned_model_is_taken_if_it_is_better_by_more_than_chance(
    only_tuned: int, only_rival: int, take: bool, said: str
) -> None:
    compared = comparison(only_tuned, only_rival)
    decision = decide(compared, minutes=4.26, tuned_seconds=12, rival_seconds=0.04)
    assert decision.take_tuned is take
    assert decision.advice.startswith(said)
    assert f"{compared.tuned.accuracy:.3f}" in decision.advice
    assert f"{compared.base.accuracy:.3f}" in decision.advice
    assert ("If it really is ahead" in decision.advice) is (only_tuned == 12)
    assert decision.costs == (
        "What it costs: the tuning took 4.3 min. To answer 100 rows, the tuned model took 12.0 s and "
        '"counting words" 0.0 s.'
    )
    assert str(decision).split("\n\n") == [compared.verdict, decision.advice, decision.costs]
    assert "<b>Do not" in decision._repr_html_() or take


@pytest.mark.parametrize(("only_one", "only_other"), [(0.2, 0.1), (0.15, 0.12), (0.3, 0.05)])
def test_so_many_rows_tell_two_models_apart_in_four_of_five_tries(only_one: float, only_other: float) -> None:
    rows = rows_to_tell(only_one, only_other)
    assert rows == rows_to_tell(only_other, only_one)
    shares = [only_one, only_other, 1 - only_one - only_other]
    tries = multinomial(rows, shares, seed=0).rvs(2000)
    told = [binomtest(one, one + other).pvalue < 0.05 for one, other, _ in tries.tolist() if one + other]
    assert sum(told) / len(tries) == pytest.approx(0.78, abs=0.05)  # the exact test is a little stricter


def test_mistakes_are_shown_in_the_order_of_what_is_confused() -> None:
    rows = pd.DataFrame({"input": list("uvwxyz"), "output": ["b", "a", "b", "a", "b", "a"]})
    table = mistakes(rows, ["b", "B", "a", "hm", "a", "Label: a"])
    assert table.to_dict("split") == {
        "index": [3, 1, 2, 4],
        "columns": ["true label", "answered", "input"],
        "data": [["a", "'hm'", "x"], ["a", "b", "v"], ["b", "a", "w"], ["b", "a", "y"]],
    }
    assert mistakes(rows, rows["output"].tolist()).empty


def test_mistakes_keep_their_lines_and_long_texts_their_room() -> None:
    rows = pd.DataFrame({"input": ["Late again.\n\nBest, <Theo>" + " and so on" * 3, "b"], "output": ["a", "b"]})
    shown = mistakes(rows, ["b", "a"])._repr_html_()
    assert "Late again.\n\nBest, &lt;Theo&gt; and so on and so on and so on</td>" in shown
    assert "white-space: pre-line" in shown
    assert [heading for style, heading in re.findall(r"<th style=\"(.*?)\">(.*?)</th>", shown) if "width" in style] == [
        "input"
    ]


def test_the_surest_mistakes_come_first() -> None:
    rows = pd.DataFrame({"input": ["u", "<v>", "w", "x"], "output": ["a", "b", "a", "b"]}, index=[7, 8, 9, 10])
    probabilities = pd.DataFrame({"a": [0.1, 0.75, 0.5, 0.2], "b": [0.6, 0.2, float("nan"), 0.1]})
    table = mistakes(rows, ["b", "a", "b", "woof"], probabilities=probabilities)
    assert list(table.index) == [8, 7, 9, 10]
    assert list(table.columns) == ["true label", "answered", "probability", "input"]
    assert table["answered"].tolist() == ["a", "b", "b", "'woof'"]
    assert table["probability"].head(2).tolist() == [0.75, 0.6]
    assert table["probability"].tail(2).isna().all()
    shown = table.head(1)._repr_html_()
    assert "0.750" in shown
    assert "&lt;v&gt;" in shown
    assert not re.findall(r"<t[dh](?=[ >])(?! style=\"text-align: left;)", shown)  # a heading or cell at the right
    with pytest.raises(ValueError, match="rows but probabilities of 1"):
        mistakes(rows, ["b"] * 4, probabilities=probabilities.head(1))
    with pytest.raises(ValueError, match="no column for the label 'b'"):
        mistakes(rows, ["b"] * 4, probabilities=probabilities[["a"]])
