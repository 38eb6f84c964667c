"""Prompt tuning and generation on a frozen causal language model. Knows nothing of HTTP.

The runtime uses three verbs: list the base models, tune, generate. Importing this package is cheap; torch is imported
when a model is first used, and transformers only for models that cannot be read without it.
"""

from .engine import Engine, GenerationRequest, ModelCard, tune_command
from .errors import (
    EngineClosed,
    EngineError,
    JobError,
    NoChatTemplate,
    TrainingDataError,
    UnavailableModel,
    UnusableModel,
    UnusablePrompt,
    UnusableSettings,
)
from .settings import Generation, GenerationParameters, Guide, Token, TuningSettings

__all__ = [
    "Engine",
    "EngineClosed",
    "EngineError",
    "Generation",
    "GenerationParameters",
    "GenerationRequest",
    "Guide",
    "JobError",
    "ModelCard",
    "NoChatTemplate",
    "Token",
    "TrainingDataError",
    "TuningSettings",
    "UnavailableModel",
    "UnusableModel",
    "UnusablePrompt",
    "UnusableSettings",
    "tune_command",
]
