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


class TrainingDataError(EngineError):
    """Training data that cannot be tuned on; the message names the row."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="invalid_training_data")
