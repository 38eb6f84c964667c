"""Evaluation: from answers to labels, accuracy and F1 with intervals, and a tuned model against its base model."""

from .comparison import Comparison, by_phenomenon, compare
from .intervals import RESAMPLES, f1_of, percentile_interval, with_interval
from .labels import LABELS, parse_label
from .scores import Scores, evaluate

__all__ = [
    "LABELS",
    "RESAMPLES",
    "Comparison",
    "Scores",
    "by_phenomenon",
    "compare",
    "evaluate",
    "f1_of",
    "parse_label",
    "percentile_interval",
    "with_interval",
]
