"""Evaluation: what a model's answers are worth, with intervals, and a tuned model against its base model."""

from .baselines import baselines, majority_baseline, word_counts_baseline
from .comparison import Comparison, TextComparison, by_phenomenon, compare
from .decision import Decision, decide
from .intervals import RESAMPLES, f1_of, percentile_interval, with_interval
from .labels import LABELS, labels_of, parse_label
from .mistakes import mistakes
from .overview import score_table
from .scores import Scores
from .tasks import evaluate
from .texts import TextScores, token_f1

__all__ = [
    "LABELS",
    "RESAMPLES",
    "Comparison",
    "Decision",
    "Scores",
    "TextComparison",
    "TextScores",
    "baselines",
    "by_phenomenon",
    "compare",
    "decide",
    "evaluate",
    "f1_of",
    "labels_of",
    "majority_baseline",
    "mistakes",
    "parse_label",
    "percentile_interval",
    "score_table",
    "token_f1",
    "with_interval",
    "word_counts_baseline",
]
