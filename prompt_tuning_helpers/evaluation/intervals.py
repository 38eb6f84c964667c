"""Intervals: what a score is, and what it could be on other rows like these."""

from collections.abc import Callable
from typing import Any

CONFIDENCE = 0.95
RESAMPLES = 2000


def wilson(count: int, n: int) -> tuple[float, float]:
    """Give the 95 % Wilson interval of a share.

    Args:
        count: of the rows that count.
        n: number of all rows.
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(count, n, alpha=1 - CONFIDENCE, method="wilson")
    return float(low), float(high)


def bootstrap(score: Callable[[Any], Any], n: int) -> tuple[float, float]:
    """Give the 95 % percentile interval of a score over resampled rows, the same each time for the same answers.

    Rows are drawn from all rows alike, not from each label's rows: how many rows a label has is chance, too, where test
    rows are a sample of what there is.

    ``scipy.stats.bootstrap`` draws the same rows, but refuses a single row and reads the percentiles off a level that
    is rounded otherwise, so that its intervals differ from these in the last digits.

    Args:
        score: of rows ``[R, N]``, which are given by their numbers: ``[R]``.
        n: N, the number of rows.
    """
    import numpy as np

    return percentile_interval(score(np.random.default_rng(0).integers(0, n, size=(RESAMPLES, n))))


def f1_of(true: Any, answered: Any) -> Any:
    """Give the F1 of each sample, 0 where no row is positive and none was answered so.

    Args:
        true: ``[..., N]``, whether each row is positive.
        answered: ``[..., N]``, whether each row was answered with the positive label.

    Returns:
        ``[...]``.
    """
    import numpy as np

    hits = (true & answered).sum(axis=-1)
    mentions = true.sum(axis=-1) + answered.sum(axis=-1)
    return np.divide(2 * hits, mentions, out=np.zeros(hits.shape), where=mentions > 0)


def macro_f1_of(true: Any, answered: Any, labels: int) -> Any:
    """Give the mean F1 of the labels of each sample; a label that none of its rows has is left out of the mean.

    Args:
        true: ``[..., N]``, the number of each row's label, from 0.
        answered: ``[..., N]``, the number of the label that was answered; any other number for none.
        labels: how many there are.

    Returns:
        ``[...]``.
    """
    import numpy as np

    total, occurring = np.zeros(true.shape[:-1]), np.zeros(true.shape[:-1])
    for label in range(labels):
        is_true = true == label
        occurs = is_true.any(axis=-1)
        total += np.where(occurs, f1_of(is_true, answered == label), 0)
        occurring += occurs
    return total / occurring


def percentile_interval(scores: Any) -> tuple[float, float]:
    """Give the interval that holds the middle 95 % of the scores of resampled rows."""
    import numpy as np

    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Write a score with its interval."""
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"  # noqa: RUF001 an en dash, as between numbers
