"""Scores over several seeds, and their intervals.

All are 95 % percentile intervals (Efron and Tibshirani, 1993, ch. 13) over samples in which seeds and reviews are drawn
again, both from those that there are: so they hold both what another seed would change and what other test reviews
would. They are approximate: from a few seeds, resampling sees too little of how much they differ.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from prompt_tuning_helpers.evaluation import RESAMPLES, f1_of, percentile_interval

Interval = tuple[float, float]


def f1(right: Any, said: Any) -> float:
    """Give the mean F1 over the seeds.

    Args:
        right: ``[seeds, reviews]``, whether each review is positive.
        said: ``[seeds, reviews]``, whether it was taken for positive.
    """
    return float(f1_of(right, said).mean())


def f1_interval(right: Any, said: Any) -> Interval:
    """Give the interval of ``f1``, of the same arrays."""
    of_seeds, of_reviews = counts(*right.shape)
    hits, mentions = of_reviews @ (right & said).T, of_reviews @ (right.astype(int) + said).T  # [resamples, seeds]
    scores = np.divide(2 * hits, mentions, out=np.zeros(hits.shape), where=mentions > 0)  # as f1_of does
    return percentile_interval((scores * of_seeds).sum(axis=1) / len(right))


def mean_interval(values: Any) -> Interval:
    """Give the interval of a mean, such as an accuracy.

    Args:
        values: ``[seeds, reviews]``, whole numbers or whether each answer is right.
    """
    return percentile_interval(resampled_means(values, *counts(*values.shape)))


def unpaired_interval(values: Any, others: Any) -> Interval:
    """Give the interval of how much higher a mean is on some reviews than on others.

    The reviews of each set are drawn by themselves, and the seeds together: what was learnt is the same.

    Args:
        values: as of ``mean_interval``.
        others: likewise, of the same seeds and other reviews.
    """
    of_seeds, of_reviews = counts(*values.shape)
    _, of_others = counts(*others.shape, random=1)
    means = resampled_means(values, of_seeds, of_reviews) - resampled_means(others, of_seeds, of_others)
    return percentile_interval(means)


def resampled_means(values: Any, of_seeds: Any, of_reviews: Any) -> Any:
    """Give the means of samples; no sum is rounded, so that a mean of 0 is 0.

    Args:
        values: as of ``mean_interval``.
        of_seeds: how often each is in each sample, ``[resamples, seeds]``.
        of_reviews: likewise, ``[resamples, reviews]``.

    Returns:
        ``[resamples]``.
    """
    return ((of_reviews @ values.T) * of_seeds).sum(axis=1) / values.size


@lru_cache(maxsize=32)
def counts(seeds: int, reviews: int, random: int = 0) -> tuple[Any, Any]:
    """Draw samples: count how often each seed and each review is in each of them.

    Args:
        seeds: how many there are, and are drawn.
        reviews: likewise.
        random: where the draws start from; they are the same each time.

    Returns:
        ``[resamples, seeds]`` and ``[resamples, reviews]``, not to be written to.
    """
    generator = np.random.default_rng(random)
    of_seeds, of_reviews = (
        generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)
        for count in (seeds, reviews)
    )
    return of_seeds, of_reviews
