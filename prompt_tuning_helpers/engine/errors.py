"""What the engine raises when a request cannot be met; every message says what is wrong and what to do."""


class EngineError(ValueError):
    """A model, setting or request that the engine cannot work with.

    Args:
        message: one or two sentences for a person: what is wrong, where, and what to do about it.
        code: a short machine-readable name, for instance ``model_not_supported``.
    """

    def __init__(self, message: str, code: str = "invalid_request_entity") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class UnusableModel(EngineError):
    """A base model or a soft prompt whose files are damaged or do not fit together: no request can be met with it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="model_not_usable")


class TrainingDataError(EngineError):
    """Training data that cannot be tuned on; the message names the row."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid_training_data")


def reason_of(error: BaseException) -> str:
    """What an error of a library says, in one line."""
    text = " ".join(" ".join(str(error).strip().splitlines()[:2]).split())[:300]
    # The text of a KeyError, say, is the key alone.
    return text if " " in text else f"{type(error).__name__} {text}".strip()
