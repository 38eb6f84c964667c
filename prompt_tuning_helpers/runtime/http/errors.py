"""The one exception of the REST API, what the engine's errors are there, and the shape in which errors are answered."""

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from ...engine.errors import (
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

MORE_INFO = "https://cloud.ibm.com/apidocs/watsonx-ai"
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


class ApiError(Exception):
    """A request that cannot be met.

    Args:
        status: the HTTP status; definitive errors are 4xx, because the SDK repeats 401 and most 5xx.
        code: watsonx.ai's short machine-readable name.
        message: one sentence that says what is wrong and what to do about it.
        headers: of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


def bad_request(message: str, code: str = "invalid_request_entity") -> ApiError:
    """Make a 400."""
    return ApiError(400, code, message)


def not_found(message: str, code: str = "not_found") -> ApiError:
    """Make a 404."""
    return ApiError(404, code, message)


def from_engine(error: EngineError) -> ApiError:
    """Say to a client what the engine says to the runtime."""
    status, code = STATUS_AND_CODE[error.kind]
    return ApiError(status, code, STOPPING if isinstance(error, EngineClosed) else error.message)


def code_of(kind: str) -> str:
    """Give watsonx.ai's code for what the engine calls an error; what is no such kind is a code already."""
    return STATUS_AND_CODE[kind][1] if kind in STATUS_AND_CODE else kind


def error_body(status: int, code: str, message: str) -> dict[str, Any]:
    """Give the body of an error; ``errors`` comes first because the SDK shows the text as it is."""
    return {
        "errors": [{"code": code, "message": message, "more_info": MORE_INFO}],
        "trace": uuid.uuid4().hex,
        "status_code": status,
    }


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Give an error as an HTTP response."""
    return JSONResponse(error_body(status, code, message), status_code=status, headers=headers)
