"""Prompt tuning and generation on a frozen causal language model. Knows nothing of HTTP.

The runtime uses three verbs: list the base models, tune, generate. Importing this package is cheap; torch and
transformers are imported when a model is first used.
"""

from .engine import Engine, GenerationRequest, ModelCard, tune_command
from .errors import EngineError, TrainingDataError, UnusableModel
from .settings import Generation, GenerationParameters, TuningSettings

__all__ = [
    "Engine",
    "EngineError",
    "Generation",
    "GenerationParameters",
    "GenerationRequest",
    "ModelCard",
    "TrainingDataError",
    "TuningSettings",
    "UnusableModel",
    "tune_command",
]
