"""Differences between the accuracies of two methods: intervals, verdicts, and how many reviews would tell."""

import math
from typing import Any, Literal

import numpy as np

from .intervals import Interval, mean_interval
from .language import say, whole
from .results import Measured
from .tables import NONE

Way = Literal["choosing", "writing"]
BETTER, WORSE, UNTOLD, SAME = "better", "worse", "cannot be told", "the same answers"
MORE_SEEDS = "more seeds, not more reviews"
NO_DIFFERENCE = "no difference seen"
MOST = 100_000  # reviews: more than anybody would write


def difference(first: Measured, second: Measured, by: Way = "choosing") -> tuple[float, Interval]:
    """Tell how much more accurate the first is than the second, with its 95 % interval; see ``intervals``.

    Both are resampled together, since they learnt from the same draws of rows and answered the same reviews. That
    tells more than a look at whether two intervals overlap.

    Args:
        first: what one method gave.
        second: what another gave, with the same seeds.
        by: how they answered: ``"choosing"`` between the labels, or ``"writing"`` freely.

    Raises:
        ValueError: if ``by`` is something else.
    """
    values = _paired(first, second, by)
    return float(values.mean()), mean_interval(values)


def verdict(first: Measured, second: Measured, by: Way = "choosing") -> str:
    """Say whether the first is more accurate than the second, as far as the interval of ``difference`` tells."""
    _, (low, high) = difference(first, second, by)
    if low > 0 or high < 0:
        return BETTER if low > 0 else WORSE
    is_same = not _paired(first, second, by).any()
    if by == "writing":  # two wrong answers can differ
        is_same = is_same and first.written == second.written
    return SAME if is_same else UNTOLD


def reviews_needed(first: Measured, second: Measured, by: Way = "choosing") -> str:
    """Say about how many test reviews it would take to tell two methods apart; see ``enough_reviews``.

    It takes the difference seen for the true one, so it is no more than a hint at the order of magnitude.

    Args:
        first: what one method gave.
        second: what another gave, with the same seeds.
        by: see ``difference``.

    Returns:
        A number with two significant digits, rounded up; what stands in its way; or a dash where nothing more is
        needed, or would help since the answers are the same.
    """
    if verdict(first, second, by) != UNTOLD:
        return NONE
    values = _paired(first, second, by)
    if values.sum() == 0:
        return say(NO_DIFFERENCE)
    needed = enough_reviews(values)
    if math.isinf(needed):
        return say(MORE_SEEDS)
    if needed > MOST:
        return say("over {reviews}", reviews=whole(MOST))
    return say("about {reviews}", reviews=whole(_rounded_up(math.floor(needed) + 1)))


def enough_reviews(values: Any) -> float:
    """Tell with how many reviews the interval of a mean would end at 0, if the mean stays what it is.

    Let x[s, r] be the value of seed s, of S, and review r, of R, and split it into the mean, the effect of the seed,
    the effect of the review, and the rest: x[s, r] = m + a[s] + b[r] + c[s, r]. With A, B and C for the means of the
    squares of a, b and c, drawing seeds and reviews again gives means with the variance

        V = A/S + (B + C/S)/R

    (the pigeonhole bootstrap: Owen, Annals of Applied Statistics 1, 2007, p. 386). A seed's mean is that of R reviews,
    so chance of the reviews is in A, too: C/(R - 1) of it on average, as in the analysis of variance of two crossed
    random effects (Searle, Casella and McCulloch, Variance Components, 1992, ch. 4). Hence of V,

        T = max(0, A - C/(R - 1)) / S

    is due to the seeds and stays, whereas the rest shrinks as reviews are added: with n of them the variance is
    T + (V - T) R/n. On the side of 0, the interval reaches h from the mean, that is, h / sqrt(V) standard errors (about
    1.96). So it would end at 0 where (T + (V - T) R/n) h^2 / V = m^2.

    Args:
        values: ``[seeds, reviews]``; their interval holds 0, and their mean is not 0.

    Returns:
        This n, which is at least R; infinity if the seeds alone make the interval too wide.
    """
    reviews = values.shape[1]
    mean, (low, high) = float(values.mean()), mean_interval(values)
    of_seeds, in_all = variances(values)
    length = mean - low if mean > 0 else high - mean
    left = in_all * (mean / length) ** 2 - of_seeds
    return (in_all - of_seeds) * reviews / left if left > 0 else math.inf


def variances(values: Any) -> tuple[float, float]:
    """Give the variance of a resampled mean that is due to the seeds, and all of it; see ``enough_reviews``.

    Args:
        values: ``[seeds, reviews]``.
    """
    seeds, reviews = values.shape
    mean = values.mean()
    by_seed, by_review = values.mean(axis=1) - mean, values.mean(axis=0) - mean
    rest = values - mean - by_seed[:, None] - by_review
    a, b, c = ((effects**2).mean() for effects in (by_seed, by_review, rest))
    of_seeds = max(0.0, a - c / (reviews - 1)) / seeds if reviews > 1 else 0.0
    return float(of_seeds), float(a / seeds + (b + c / seeds) / reviews)


def hits_of(found: Measured, by: Way = "choosing") -> Any:
    """Give 1 for each right answer and 0 for each wrong one, ``[seeds, reviews]``.

    Raises:
        ValueError: if ``by`` is no way of answering.
    """
    if by not in ("choosing", "writing"):
        raise ValueError(f'Methods answer by "choosing" or by "writing"; {by!r} is neither.')
    return np.array(found.hits if by == "choosing" else found.written_hits, dtype=int)


def _paired(first: Measured, second: Measured, by: Way) -> Any:
    """Give 1 where only the first is right, -1 where only the second is, and else 0: ``[seeds, reviews]``."""
    return hits_of(first, by) - hits_of(second, by)


def _rounded_up(number: int) -> int:
    """Round up to two significant digits."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return math.ceil(number / unit) * unit
