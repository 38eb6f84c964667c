"""What the engine's errors are to clients: a status and a code of watsonx.ai for each kind."""

from ..engine.errors import (
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
from .http.errors import ApiError

STOPPING = "The runtime is stopping; ask again when it is back."

# The status and the code of each kind of error that the engine has; the SDK repeats requests with none of these.
STATUS_AND_CODE = {
    EngineError.kind: (400, "invalid_request_entity"),
    UnavailableModel.kind: (400, "model_not_supported"),
    UnusableModel.kind: (409, "model_not_usable"),
    UnusablePrompt.kind: (400, "invalid_input_argument"),
    UnusableSettings.kind: (400, "invalid_request_entity"),
    NoChatTemplate.kind: (400, "model_no_support_for_function"),
    TrainingDataError.kind: (400, "invalid_training_data"),
    JobError.kind: (409, "job_not_usable"),
    EngineClosed.kind: (400, "runtime_is_stopping"),
}


def from_engine(error: EngineError) -> ApiError:
    """Say to a client what the engine says to the runtime."""
    status, code = STATUS_AND_CODE[error.kind]
    return ApiError(status, code, STOPPING if isinstance(error, EngineClosed) else error.message)


def code_of(kind: str) -> str:
    """Give watsonx.ai's code for what the engine calls an error; what is no such kind is a code already."""
    return STATUS_AND_CODE[kind][1] if kind in STATUS_AND_CODE else kind
