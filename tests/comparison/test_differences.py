"""Differences between accuracies: their intervals, what they are made of, and how many reviews would tell."""

import math
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparison.differences import (
    BETTER,
    MORE_SEEDS,
    NO_DIFFERENCE,
    SAME,
    UNTOLD,
    WORSE,
    difference,
    enough_reviews,
    hits_of,
    reviews_needed,
    variances,
    verdict,
)
from comparison.intervals import mean_interval
from comparison.tables import NONE

from .made_up import measured

Way = Literal["choosing", "writing"]
WAYS: tuple[Way, ...] = ("choosing", "writing")


@st.composite
def _pairs(draw: Any) -> tuple[Any, Any]:
    """Two methods' hits, of the same seeds and reviews."""
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 30))
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    shares = draw(st.tuples(st.floats(0, 1), st.floats(0, 1)))
    one, other = (generator.random(shape) < share for share in shares)
    if draw(st.booleans()):  # one that is the same for all seeds
        other = np.repeat(other[:1], shape[0], axis=0)
    return one, other


def _crossed(
    generator: np.random.Generator, shape: tuple[int, int], of_seed: float, of_review: float, rest: float
) -> Any:
    """Values with effects of seeds, of reviews, and of both together, of these standard deviations."""
    effects = generator.normal(size=(shape[0], 1)) * of_seed + generator.normal(size=shape[1]) * of_review
    return effects + generator.normal(size=shape) * rest


# --- the difference and its interval ---


@settings(max_examples=40, deadline=None)
@given(_pairs(), st.sampled_from(WAYS))
def test_turning_two_methods_round_turns_the_difference_round(pair: tuple[Any, Any], by: Way) -> None:
    one, other = (measured(hits) for hits in pair)
    value, (low, high) = difference(one, other, by)
    turned, (turned_low, turned_high) = difference(other, one, by)
    assert (turned, turned_low, turned_high) == pytest.approx((-value, -high, -low))
    assert -1 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1
    opposite = {BETTER: WORSE, WORSE: BETTER}
    said = verdict(one, other, by)
    assert verdict(other, one, by) == opposite.get(said, said)
    assert reviews_needed(one, other, by) == reviews_needed(other, one, by)


@settings(max_examples=20, deadline=None)
@given(_pairs(), st.sampled_from(WAYS))
def test_a_method_against_itself_gives_the_same_answers(pair: tuple[Any, Any], by: Way) -> None:
    one = measured(*pair)
    assert difference(one, one, by) == (0.0, (0.0, 0.0))
    assert verdict(one, one, by) == SAME
    assert reviews_needed(one, one, by) == NONE


def test_each_way_of_answering_has_its_own_difference() -> None:
    one, other = measured([[1] * 40], [[0] * 40]), measured([[0] * 40], [[1] * 40])
    assert difference(one, other) == difference(one, other, "choosing") == (1.0, (1.0, 1.0))
    assert difference(one, other, "writing") == (-1.0, (-1.0, -1.0))
    with pytest.raises(ValueError, match='"choosing" or by "writing"; \'guessing\' is neither'):
        hits_of(one, "guessing")  # type: ignore[arg-type]


def test_wrong_answers_that_differ_are_not_the_same_answers() -> None:
    one = measured([[1, 0, 0]])
    other = replace(one, written=("100",))
    assert one.written != other.written
    assert verdict(one, other, "writing") == UNTOLD
    assert verdict(one, other, "choosing") == SAME  # of two labels, one is wrong


# --- what an interval is made of ---


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 10**6))
def test_the_variance_is_that_of_all_samples_that_can_be_drawn(seeds: int, reviews: int, random: int) -> None:
    values = np.random.default_rng(random).integers(-1, 2, (seeds, reviews))
    rows, columns = product(range(seeds), repeat=seeds), list(product(range(reviews), repeat=reviews))
    means = [values[np.ix_(drawn, others)].mean() for drawn in rows for others in columns]
    of_seeds, in_all = variances(values)
    assert in_all == pytest.approx(np.var(means))
    assert 0 <= of_seeds <= in_all + 1e-12


def test_the_part_of_the_seeds_is_that_of_the_seeds_alone() -> None:
    """Chance of the reviews, which makes seeds differ, too, is no part of it."""
    generator = np.random.default_rng(0)
    for spread in (0.0, 0.5):
        found = [variances(_crossed(generator, (5, 40), spread, 1, 3)) for _ in range(2000)]
        # Resampling sees (S - 1) / S of the variance of the mean over S seeds. What is below 0 counts as 0.
        expected = (4 / 5) * spread**2 / 5
        assert np.mean([part for part, _ in found]) == pytest.approx(expected, abs=0.012)
        assert np.mean([whole - part for part, whole in found]) > 0.05


# --- how many reviews would tell ---


SPREADS = pytest.mark.parametrize(("seeds", "spread"), [(5, 0.0), (5, 0.05), (20, 0.2)])
MEAN, OF_REVIEW, REST = 0.13, 1.0, 1.5  # so that it takes a few hundred reviews


def _simulated(generator: np.random.Generator, seeds: int, reviews: int, spread: float) -> Any:
    """Values with just this mean."""
    values = _crossed(generator, (seeds, reviews), spread, OF_REVIEW, REST)
    return values - values.mean() + MEAN


@SPREADS
def test_so_many_reviews_are_needed_as_the_truth_says(seeds: int, spread: float) -> None:
    """Of simulated data whose parts are known, the number is right on average."""
    generator = np.random.default_rng(2)
    found = [enough_reviews(_simulated(generator, seeds, 200, spread)) for _ in range(60)]
    share = (seeds - 1) / seeds  # of the variance between seeds, as far as resampling sees it
    of_seeds = share * spread**2 / seeds
    of_one_review = OF_REVIEW**2 + (1 + 2 * share) * REST**2 / seeds
    truth = of_one_review / ((MEAN / 1.96) ** 2 - of_seeds)
    assert truth > 1.2 * 200
    assert np.median(found) == pytest.approx(truth, rel=0.15)


@SPREADS
def test_with_so_many_reviews_the_interval_ends_near_0(seeds: int, spread: float) -> None:
    generator = np.random.default_rng(3)

    def end(reviews: int) -> float:
        return float(np.mean([mean_interval(_simulated(generator, seeds, reviews, spread))[0] for _ in range(20)]))

    needed = int(np.median([enough_reviews(_simulated(generator, seeds, 200, spread)) for _ in range(40)]))
    assert end(200) < -0.1 * MEAN
    assert end(needed) == pytest.approx(0, abs=0.1 * MEAN)
    assert end(3 * needed) > 0.15 * MEAN


def test_only_the_part_of_the_reviews_shrinks() -> None:
    values = _simulated(np.random.default_rng(4), 20, 200, 0.2)
    needed, (of_seeds, in_all) = enough_reviews(values), variances(values)
    assert 0.1 < of_seeds / in_all < 0.4
    low, _ = mean_interval(values)
    then = of_seeds + (in_all - of_seeds) * 200 / needed
    assert (MEAN - low) * (then / in_all) ** 0.5 == pytest.approx(MEAN)  # the interval would reach just to 0


@settings(max_examples=40, deadline=None)
@given(_pairs())
def test_never_fewer_than_there_are(pair: tuple[Any, Any]) -> None:
    one, other = (measured(hits) for hits in pair)
    value, _ = difference(one, other)
    if verdict(one, other) == UNTOLD and value:
        assert enough_reviews(hits_of(one) - hits_of(other)) >= pair[0].shape[1] * (1 - 1e-9)


def _one_seed(only_first: int, only_second: int, both: int) -> tuple[Any, Any]:
    first = [1] * only_first + [0] * only_second + [1] * both
    second = [0] * only_first + [1] * only_second + [1] * both
    return measured([first]), measured([second])


def test_the_number_is_that_of_a_test_of_paired_shares() -> None:
    """With one seed it is known from the share of reviews on which two methods differ."""
    first, second = _one_seed(60, 50, 610)
    rate, gain = 110 / 720, 10 / 720
    needed = 1.96**2 * (rate - gain**2) / gain**2
    assert enough_reviews(hits_of(first) - hits_of(second)) == pytest.approx(needed, rel=0.1)
    text = reviews_needed(first, second)
    assert text.startswith("about ")
    number = int(text.removeprefix("about ").replace(",", ""))
    assert number == pytest.approx(needed, rel=0.15)
    assert number % 100 == 0  # two digits of four


def test_what_no_number_of_reviews_would_tell() -> None:
    assert reviews_needed(*_one_seed(20, 20, 680)) == NO_DIFFERENCE
    assert reviews_needed(*_one_seed(101, 100, 519)) == "over 100,000"
    assert reviews_needed(*_one_seed(200, 10, 510)) == NONE
    # One seed answers all, the others nearly none: whatever the reviews, another seed would change everything.
    uneven = np.array([[1] * 400, *[[0] * 400] * 4])
    level = np.array([[0] * 320 + [1] * 60 + [0] * 20] * 5)
    first, second = measured(uneven), measured(level)
    assert verdict(first, second) == UNTOLD
    assert math.isinf(enough_reviews(hits_of(first) - hits_of(second)))
    assert reviews_needed(first, second) == MORE_SEEDS


def test_one_more_than_where_the_interval_ends_at_0_is_asked_for() -> None:
    first, second = _one_seed(1, 0, 9)  # ends at 0 already, as every other sample does without that review
    assert difference(first, second)[1][0] == 0
    assert enough_reviews(hits_of(first) - hits_of(second)) == pytest.approx(10)
    assert reviews_needed(first, second) == "about 11"
