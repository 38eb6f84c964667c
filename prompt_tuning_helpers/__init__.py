"""Helpers for prompt tuning with the watsonx.ai SDK: the public names, in the order of the lesson.

Each helper imports what it needs when it is first used. So this package is imported in milliseconds, and the local
runtime, which lives in a subpackage, starts without the data and plotting libraries.
"""

from .connection import Connection, ConnectionSetupError, connect
from .deployment import CleanUpReport, clean_up, deployed, unique_serving_name
from .evaluation import Comparison, Scores, by_phenomenon, compare, evaluate, parse_label
from .lesson import settings_for
from .plots import plot_comparison, plot_confusion, plot_loss
from .probabilities import label_probabilities
from .tuning import (
    ConnectionLostError,
    NoTunableModelError,
    PromptTuningSettings,
    TuningError,
    choose_base_model,
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
    "NoTunableModelError",
    "PromptTuningSettings",
    "Scores",
    "TuningError",
    "by_phenomenon",
    "choose_base_model",
    "clean_up",
    "compare",
    "connect",
    "deployed",
    "evaluate",
    "label_probabilities",
    "parse_label",
    "plot_comparison",
    "plot_confusion",
    "plot_loss",
    "resume",
    "settings_for",
    "unique_serving_name",
    "watch",
]
