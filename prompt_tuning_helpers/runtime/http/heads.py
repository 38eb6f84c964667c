"""What a request's head must be like before the request is routed: of bounded size, and meant for this host."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import ApiError, error_response
from .fields import shorten

LARGEST_HEAD = 64 * 2**10
# A page in a browser can let a name of its own resolve to 127.0.0.1, but it cannot choose the Host header.
HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


class CheckHead:
    """Refuses requests whose head is too large or names another host."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or say what is wrong with it."""
        if scope["type"] == "http":
            try:
                _check_size(scope)
                _check_host(Headers(scope=scope).getlist("host"))
            except ApiError as error:
                await error_response(error.status, error.code, error.message, error.headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def head_too_large() -> ApiError:
    """Make the answer to a request whose address and headers are too large, a 431."""
    return ApiError(
        431,
        "request_header_too_large",
        f"The request's address and headers may have at most {LARGEST_HEAD} bytes: send fewer.",
        {"Connection": "close"},
    )


def _check_size(scope: Scope) -> None:
    size = len(scope["raw_path"]) + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEAD:
        raise head_too_large()


def _check_host(given: list[str]) -> None:
    if len(given) != 1:
        raise ApiError(400, "invalid_host", "The request must have one Host header: the runtime's address.")
    if not HOST.fullmatch(given[0]):
        message = f"This runtime answers at 127.0.0.1 and localhost only; the Host header is {shorten(given[0])}."
        raise ApiError(421, "misdirected_request", message)
