"""Scores over several seeds, and their intervals."""

from typing import Any

import numpy as np

from prompt_tuning_helpers.evaluation import RESAMPLES, f1_of, percentile_interval


def accuracy(right: Any, said: Any) -> Any:
    """Give the accuracy of all seeds together."""
    return (right == said).mean()


def f1(right: Any, said: Any) -> Any:
    """Give the mean F1 over the seeds."""
    return f1_of(right, said).mean()


def interval(score: Any, right: Any, said: Any, seed: int = 0) -> tuple[float, float]:
    """Resample seeds and reviews for a 95 % percentile interval (Efron and Tibshirani, 1993, ch. 13).

    So it holds both what another seed would change and what other test reviews would. It is approximate: from three
    seeds, resampling sees too little of how much they differ.

    Args:
        score: of arrays like the next two, the mean over their seeds.
        right: ``[seeds, reviews]``, whether each review is positive.
        said: ``[seeds, reviews]``, whether it was taken for positive.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    seeds, reviews = right.shape
    scores = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, seeds, seeds)[:, None]
        columns = generator.integers(0, reviews, reviews)
        scores.append(score(right[rows, columns], said[rows, columns]))
    return percentile_interval(scores)
