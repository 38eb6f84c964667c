"""Intervals: what a score is, and what it could be on other rows like these."""

from typing import Any

CONFIDENCE = 0.95
RESAMPLES = 2000


def bootstrap_f1(true: Any, answered: Any) -> tuple[float, float]:
    """Give the 95 % percentile interval of F1 over resampled rows, the same each time for the same answers.

    ``scipy.stats.bootstrap`` draws the same rows, but refuses a single row and reads the percentiles off a level that
    is rounded otherwise, so that its intervals differ from these in the last digits.

    Args:
        true: ``[N]``, whether each row is positive.
        answered: ``[N]``, whether each row was answered with the positive label.
    """
    import numpy as np

    rows = np.random.default_rng(0).integers(0, len(true), size=(RESAMPLES, len(true)))
    return percentile_interval(f1_of(true[rows], answered[rows]))


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


def percentile_interval(scores: Any) -> tuple[float, float]:
    """Give the interval that holds the middle 95 % of the scores of resampled rows."""
    import numpy as np

    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Write a score with its interval."""
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"  # noqa: RUF001 an en dash, as between numbers
