"""Evaluation: what a model's answers are worth, with intervals, and a tuned model against its base model."""

from .baselines import majority_baseline, word_counts_baseline
from .comparison import Comparison, TextComparison, by_phenomenon, compare
from .intervals import RESAMPLES, f1_of, percentile_interval, with_interval
from .labels import LABELS, labels_of, parse_label
from .overview import score_table
from .scores import Scores
from .tasks import evaluate
from .texts import TextScores, token_f1

__all__ = [
    "LABELS",
    "RESAMPLES",
    "Comparison",
    "Scores",
    "TextComparison",
    "TextScores",
    "by_phenomenon",
    "compare",
    "evaluate",
    "f1_of",
    "labels_of",
    "majority_baseline",
    "parse_label",
    "percentile_interval",
    "score_table",
    "token_f1",
    "with_interval",
    "word_counts_baseline",
]
