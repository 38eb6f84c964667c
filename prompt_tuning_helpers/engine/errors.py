"""What the engine raises when it cannot do what it is asked to; every message says what is wrong and what to do."""

from typing import ClassVar


class EngineError(ValueError):
    """The engine cannot do what it is asked to.

    Args:
        message: one or two sentences for a person: what is wrong, where, and what to do about it.
    """

    kind: ClassVar[str] = "error"  # what a job's failure.json names it by

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnavailableModel(EngineError):
    """A base model that is not known here, cannot be fetched or loaded, or is of a kind that cannot be computed."""

    kind = "unavailable_model"


class UnusableModel(EngineError):
    """A base model or a soft prompt whose files are damaged or do not fit together: no request can be met with it."""

    kind = "unusable_model"


class UnusablePrompt(EngineError):
    """A prompt that is too long, or generation parameters that are out of range."""

    kind = "unusable_prompt"


class UnusableSettings(EngineError):
    """Settings that no tuning run could work with."""

    kind = "unusable_settings"


class NoChatTemplate(EngineError):
    """A model without a chat template, or with one that does not end."""

    kind = "no_chat_template"


class TrainingDataError(EngineError):
    """Training data that cannot be tuned on; the message names the row."""

    kind = "unusable_training_data"


class JobError(EngineError):
    """A job folder whose ``job.json`` cannot be used."""

    kind = "unusable_job"


class EngineClosed(EngineError):
    """The engine was closed before it had answered."""

    kind = "closed"

    def __init__(self) -> None:
        super().__init__("The engine was closed before it had answered.")


def reason_of(error: BaseException) -> str:
    """Give what an error of a library says, in one line."""
    text = " ".join(" ".join(str(error).strip().splitlines()[:2]).split())[:300]
    # The text of a KeyError, say, is the key alone.
    return text if " " in text else f"{type(error).__name__} {text}".strip()
