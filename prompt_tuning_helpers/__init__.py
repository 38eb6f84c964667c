"""Helpers for prompt tuning with the watsonx.ai SDK: the public names, in the order of the lesson.

Each helper imports what it needs when it is first used. So this package is imported in milliseconds, and the local
runtime, which lives in a subpackage, starts without the data and plotting libraries.
"""

from .base_models import NoTunableModelError, choose_base_model
from .connection import Connection, ConnectionSetupError, connect
from .deployment import CleanUpReport, clean_up, deployed, unique_serving_name
from .epochs import accuracy_by_epoch
from .evaluation import (
    Comparison,
    Decision,
    Scores,
    TextComparison,
    TextScores,
    baselines,
    by_phenomenon,
    compare,
    decide,
    evaluate,
    majority_baseline,
    mistakes,
    parse_label,
    score_table,
    word_counts_baseline,
)
from .folding import folded
from .lesson import find_settings, settings_for
from .plots import plot_comparison, plot_confusion, plot_loss, plot_probabilities, plot_scores, plot_search
from .probabilities import label_probabilities
from .search import SearchError, SettingsSearch, search_settings
from .tuning import (
    ConnectionLostError,
    PromptTuningSettings,
    TuningError,
    resume,
    watch,
)

__version__ = "0.1.0"

__all__ = [
    "CleanUpReport",
    "Comparison",
    "Connection",
    "ConnectionLostError",
    "ConnectionSetupError",
    "Decision",
    "NoTunableModelError",
    "PromptTuningSettings",
    "Scores",
    "SearchError",
    "SettingsSearch",
    "TextComparison",
    "TextScores",
    "TuningError",
    "accuracy_by_epoch",
    "baselines",
    "by_phenomenon",
    "choose_base_model",
    "clean_up",
    "compare",
    "connect",
    "decide",
    "deployed",
    "evaluate",
    "find_settings",
    "folded",
    "label_probabilities",
    "majority_baseline",
    "mistakes",
    "parse_label",
    "plot_comparison",
    "plot_confusion",
    "plot_loss",
    "plot_probabilities",
    "plot_scores",
    "plot_search",
    "resume",
    "score_table",
    "search_settings",
    "settings_for",
    "unique_serving_name",
    "watch",
    "word_counts_baseline",
]
