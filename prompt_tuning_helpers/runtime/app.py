"""The ASGI application: routes to operations, authentication, and errors in watsonx.ai's shape."""

import errno
import hmac
import inspect
import logging
import sqlite3
import time
from collections.abc import Iterable
from functools import partial
from typing import cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..engine import EngineError
from .context import Runtime
from .controls import Exchange
from .controls.redaction import Redaction
from .engine_errors import from_engine
from .http.body import LARGEST_BODY, LARGEST_PUBLIC_BODY, read_body
from .http.errors import ApiError, error_response
from .http.heads import CheckHead
from .routes import OPERATIONS
from .routes.operations import Operation, Plain, RequestContext
from .tokens import InvalidToken

logger = logging.getLogger(__name__)

TEST_SCHEME = "Test-Controls"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


def create_app(runtime: Runtime) -> ASGIApp:
    """Make the application that serves a runtime."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        if operation.control and runtime.controls is None:
            continue
        by_path.setdefault(operation.path, {})[operation.method] = operation
    # Fixed paths come before those with parameters, which would also match them.
    paths = sorted(by_path, key=lambda path: ("{" in path, path))
    routes = [Route(path, PathEndpoint(runtime, by_path[path])) for path in paths]
    app = Starlette(routes=routes, exception_handlers={HTTPException: partial(_answer_unrouted, runtime)})
    app.router.redirect_slashes = False
    return CheckHead(CollapseSlashes(app))


class CollapseSlashes:
    """Reads ``//v2/projects`` as ``/v2/projects``: the SDK joins some paths to a host that ends in a slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a path that has single slashes."""
        if scope["type"] == "http" and "//" in scope["path"]:
            path = "/" + "/".join(part for part in scope["path"].split("/") if part)
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


class PathEndpoint:
    """All operations of one path.

    Args:
        runtime: what answers.
        operations: by method.
    """

    def __init__(self, runtime: Runtime, operations: dict[str, Operation]) -> None:
        self._runtime = runtime
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.monotonic()
        request = Request(scope, receive, send)
        operation = self._operations.get("GET" if request.method == "HEAD" else request.method)
        exchange: Exchange | None = None
        if operation is None:
            exchange = _look_on(self._runtime, request)
            response = _wrong_method(request, self._operations)
        else:
            if not operation.control:
                exchange = _look_on(self._runtime, request, str(operation))
            response = await _answer(self._runtime, operation, request, exchange)
            # The route's template, not the path: links carry a token in theirs.
            took = 1000 * (time.monotonic() - started)
            logger.info("%s %s %s %.0f ms", operation.method, operation.path, response.status_code, took)
        if exchange is None:
            await response(scope, receive, send)
        else:
            await exchange.send(response, scope, receive, send)


def _look_on(runtime: Runtime, request: Request, operation: str | None = None) -> Exchange | None:
    """Let tests look on, where they may, unless a request is a test's own; without a name, it is no operation."""
    if runtime.controls is None or _is_of_test(runtime, request):
        return None
    named = operation or f"{request.method} {request.url.path}"
    return Exchange(runtime.controls, request, named, Redaction([runtime.secrets.api_key]))


async def _answer(runtime: Runtime, operation: Operation, request: Request, exchange: Exchange | None) -> Response:
    try:
        dialect = _find_dialect(runtime, operation, request)
        largest = LARGEST_PUBLIC_BODY if operation.public else LARGEST_BODY
        body = b"" if operation.streams_body else await read_body(request, largest)
        if exchange is not None:
            fault = await exchange.meet(None if operation.streams_body else body, runtime.deployments.project_of)
            if fault is not None:
                return fault
        operation.check(request.query_params, body)
        context = RequestContext(runtime, request, body, dialect, operation, exchange)
        if inspect.iscoroutinefunction(operation.handler):
            return cast(Response, await operation.handler(context))
        if operation.heavy:
            return await runtime.heavy.run(request, partial(cast(Plain, operation.handler), context))
        return cast(Response, await run_in_threadpool(operation.handler, context))
    except (ApiError, EngineError) as error:
        known = from_engine(error) if isinstance(error, EngineError) else error
        return error_response(known.status, known.code, known.message, known.headers)
    except ClientDisconnect:
        # Nobody reads this answer; what had arrived or was waited for was dropped.
        return error_response(400, "client_closed_request", "The client hung up before it was answered.")
    except sqlite3.IntegrityError:
        # What the request builds on was deleted between its check and its transaction.
        return error_response(409, "conflict", "What this request refers to was changed meanwhile: try again.")
    except (OSError, sqlite3.OperationalError) as error:
        logger.exception("%s %s failed", operation.method, operation.path)
        return _answer_storage_error(error)
    except Exception:
        logger.exception("%s %s failed", operation.method, operation.path)
        return error_response(
            500, "internal_error", f"The local runtime met an error of its own. Its log says more: {runtime.state.log}"
        )


def _find_dialect(runtime: Runtime, operation: Operation, request: Request) -> str:
    """Give the dialect that the client's token was issued for; refuse a client without what the operation asks for."""
    if operation.public or (runtime.controls is not None and _is_of_test(runtime, request)):
        return "cloud"
    if operation.control:
        raise ApiError(401, "authorization_rejected", f"Controls take the header Authorization: {TEST_SCHEME} API-KEY.")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise ApiError(
            401, "authorization_rejected", "A bearer token is needed: exchange the API key at /identity/token for one."
        )
    try:
        claims = runtime.tokens.check(token.strip(), "access")
    except InvalidToken as error:
        if error.expired:
            raise ApiError(
                401, "authentication_token_expired", "The token has expired: exchange the API key for a new one."
            ) from None
        raise ApiError(
            401,
            "authentication_token_not_valid",
            "The token was not issued by this runtime: exchange the API key at /identity/token for one.",
        ) from None
    return str(claims.get("dialect", "cloud"))


def _is_of_test(runtime: Runtime, request: Request) -> bool:
    """Tell whether a request is a test's own, not one of the program that it tests: it has a scheme of its own.

    It takes the key, not a token, since signing in may be what the test lets fail.
    """
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == TEST_SCHEME.lower() and hmac.compare_digest(
        key.strip().encode(), runtime.secrets.api_key.encode()
    )


def _answer_storage_error(error: OSError | sqlite3.OperationalError) -> Response:
    # 507 is not among the statuses that the SDK repeats.
    text = str(error)
    if getattr(error, "errno", None) in NO_SPACE or "full" in text:
        return error_response(
            507, "storage_full", "The disk of the runtime's state folder is full: make room and try again."
        )
    if getattr(error, "errno", None) in NOT_WRITABLE or "readonly" in text:
        return error_response(
            507, "storage_not_writable", "The runtime's state folder cannot be written: check its permissions."
        )
    return error_response(507, "storage_failed", "The runtime's state folder cannot be used; its log says more.")


async def _answer_unrouted(runtime: Runtime, request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if exchange := _look_on(runtime, request):
        exchange.note(error.status_code)
    if error.status_code == 404:
        message = "This operation is not offered by the local watsonx.ai runtime; IMPLEMENTED.md lists those that are."
        return error_response(404, "not_found", message)
    return error_response(error.status_code, "invalid_request", str(error.detail))


def _wrong_method(request: Request, allowed: Iterable[str]) -> Response:
    methods = ", ".join(sorted(allowed))
    response = error_response(405, "method_not_allowed", f"{request.method} is not offered here; {methods} is.")
    response.headers["Allow"] = methods
    return response
