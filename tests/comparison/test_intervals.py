"""Scores over several seeds, and their intervals."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from comparison import intervals
from comparison.intervals import interval


@st.composite
def _labels(draw: Any) -> tuple[Any, Any]:
    """What is right and what was said, for some seeds and reviews."""
    seeds, reviews = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    labels = st.lists(st.lists(st.booleans(), min_size=reviews, max_size=reviews), min_size=seeds, max_size=seeds)
    return np.array(draw(labels)), np.array(draw(labels))


@given(_labels())
def test_accuracy_and_f1_are_those_of_scikit_learn(labels: tuple[Any, Any]) -> None:
    right, said = labels
    pairs = list(zip(right, said, strict=True))
    assert intervals.accuracy(right, said) == pytest.approx(np.mean([accuracy_score(*pair) for pair in pairs]))
    f1 = np.mean([f1_score(*pair, zero_division=0.0) for pair in pairs])
    assert intervals.f1(right, said) == pytest.approx(f1)


@hypothesis_settings(max_examples=20, deadline=None)
@given(_labels())
def test_an_interval_holds_the_mean(labels: tuple[Any, Any]) -> None:
    low, high = interval(intervals.accuracy, *labels)
    assert 0 <= low <= intervals.accuracy(*labels) <= high <= 1


def _answers(*accuracies: float, reviews: int = 120) -> tuple[Any, Any]:
    """Half of the reviews positive, and as many answers right as each seed is to have."""
    right = np.tile(np.arange(reviews) % 2 == 0, (len(accuracies), 1))
    wrong = np.array([np.arange(reviews) >= round(accuracy * reviews) for accuracy in accuracies])
    return right, right ^ wrong


def _width(score: Any, *accuracies: float, reviews: int = 120) -> float:
    low, high = interval(score, *_answers(*accuracies, reviews=reviews))
    return high - low


def test_an_interval_is_the_same_each_time() -> None:
    answers = _answers(0.8, 0.9, 0.7)
    assert interval(intervals.f1, *answers) == interval(intervals.f1, *answers)


@pytest.mark.parametrize("score", [intervals.accuracy, intervals.f1])
def test_fewer_reviews_and_seeds_further_apart_make_an_interval_wider(score: Any) -> None:
    assert _width(score, 0.8, 0.8, 0.8, reviews=30) > 1.5 * _width(score, 0.8, 0.8, 0.8)
    assert _width(score, 0.6, 0.8, 1.0) > 1.5 * _width(score, 0.8, 0.8, 0.8)
    assert _width(score, 1.0, 1.0, 1.0) == 0


def test_with_one_seed_an_interval_is_the_usual_one_of_a_share() -> None:
    # 1.96 standard errors on either side.
    assert _width(intervals.accuracy, 0.8) == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 120) ** 0.5, rel=0.1)
