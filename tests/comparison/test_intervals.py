"""Scores over several seeds, and their intervals."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from comparison import intervals
from comparison.intervals import counts, f1_interval, mean_interval, resampled_means, unpaired_interval


@st.composite
def _labels(draw: Any) -> tuple[Any, Any]:
    """What is right and what was said, for some seeds and reviews."""
    seeds, reviews = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    labels = st.lists(st.lists(st.booleans(), min_size=reviews, max_size=reviews), min_size=seeds, max_size=seeds)
    return np.array(draw(labels)), np.array(draw(labels))


def _accuracy_interval(right: Any, said: Any) -> tuple[float, float]:
    return mean_interval(right == said)


@given(_labels())
def test_f1_is_that_of_scikit_learn(labels: tuple[Any, Any]) -> None:
    pairs = zip(*labels, strict=True)
    assert intervals.f1(*labels) == pytest.approx(np.mean([f1_score(*pair, zero_division=0.0) for pair in pairs]))


@hypothesis_settings(max_examples=20, deadline=None)
@given(_labels())
def test_an_interval_holds_the_mean(labels: tuple[Any, Any]) -> None:
    right, said = labels
    for (low, high), mean in (
        (mean_interval(right == said), (right == said).mean()),
        (f1_interval(right, said), intervals.f1(right, said)),
    ):
        assert 0 <= low <= mean + 1e-12
        assert mean - 1e-12 <= high <= 1


@hypothesis_settings(max_examples=20, deadline=None)
@given(_labels())
def test_a_sample_is_the_seeds_and_reviews_that_were_drawn(labels: tuple[Any, Any]) -> None:
    values = labels[0].astype(int) - labels[1]
    of_seeds, of_reviews = counts(*values.shape)
    means = resampled_means(values, of_seeds, of_reviews)
    for sample in range(0, len(means), 400):
        drawn = values.repeat(of_seeds[sample].astype(int), axis=0).repeat(of_reviews[sample].astype(int), axis=1)
        assert drawn.shape == values.shape
        assert means[sample] == pytest.approx(drawn.mean())


def test_an_interval_is_that_of_drawing_one_sample_after_another() -> None:
    generator = np.random.default_rng(1)
    right, wrong = np.arange(300) % 3 == 0, generator.random((5, 300)) < [[0.1], [0.12], [0.14], [0.2], [0.3]]
    right, said = np.tile(right, (5, 1)), right ^ wrong
    accuracies, scores = [], []
    for _ in range(4000):
        seeds, reviews = generator.integers(0, 5, 5)[:, None], generator.integers(0, 300, 300)
        accuracies.append((right == said)[seeds, reviews].mean())
        scores.append(intervals.f1(right[seeds, reviews], said[seeds, reviews]))
    for found, drawn in ((mean_interval(right == said), accuracies), (f1_interval(right, said), scores)):
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert found == pytest.approx((low, high), abs=0.07 * (high - low))


def _answers(*accuracies: float, reviews: int = 120) -> tuple[Any, Any]:
    """Half of the reviews positive, and as many answers right as each seed is to have."""
    right = np.tile(np.arange(reviews) % 2 == 0, (len(accuracies), 1))
    wrong = np.array([np.arange(reviews) >= round(accuracy * reviews) for accuracy in accuracies])
    return right, right ^ wrong


def _width(interval: Any, *accuracies: float, reviews: int = 120) -> float:
    low, high = interval(*_answers(*accuracies, reviews=reviews))
    return float(high - low)


@pytest.mark.parametrize("interval", [_accuracy_interval, f1_interval])
def test_an_interval_is_the_same_each_time(interval: Any) -> None:
    answers = _answers(0.8, 0.9, 0.7)
    first = interval(*answers)
    counts.cache_clear()
    assert interval(*answers) == first


@pytest.mark.parametrize("interval", [_accuracy_interval, f1_interval])
def test_fewer_reviews_and_seeds_further_apart_make_an_interval_wider(interval: Any) -> None:
    assert _width(interval, 0.8, 0.8, 0.8, reviews=30) > 1.5 * _width(interval, 0.8, 0.8, 0.8)
    assert _width(interval, 0.6, 0.8, 1.0) > 1.5 * _width(interval, 0.8, 0.8, 0.8)
    assert _width(interval, 1.0, 1.0, 1.0) == 0


def test_with_one_seed_an_interval_is_the_usual_one_of_a_share() -> None:
    # 1.96 standard errors on either side.
    assert _width(_accuracy_interval, 0.8) == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 120) ** 0.5, rel=0.1)


def test_what_is_not_paired_is_drawn_apart() -> None:
    some, others = _answers(0.8, reviews=120), _answers(0.9, reviews=600)
    low, high = unpaired_interval(some[0] == some[1], others[0] == others[1])
    # The variances of the two shares add up.
    width = 2 * 1.96 * (0.8 * 0.2 / 120 + 0.9 * 0.1 / 600) ** 0.5
    assert high - low == pytest.approx(width, rel=0.1)
    assert (low + high) / 2 == pytest.approx(-0.1, abs=0.1 * width)
    assert low < unpaired_interval(some[0] == some[1], some[0] == some[1])[0] < 0


def test_what_is_not_paired_has_the_seeds_in_common() -> None:
    """A seed that is bad on all reviews makes no difference between them."""
    seeds = np.array([[True], [False], [True], [False]])
    assert unpaired_interval(seeds.repeat(7, axis=1), seeds.repeat(30, axis=1)) == (0.0, 0.0)
    low, high = unpaired_interval(seeds.repeat(7, axis=1), ~seeds.repeat(30, axis=1))
    assert low < -0.4
    assert high > 0.4
