"""The one exception of the REST API, and the shape in which errors are answered."""

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

MORE_INFO = "https://cloud.ibm.com/apidocs/watsonx-ai"


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
