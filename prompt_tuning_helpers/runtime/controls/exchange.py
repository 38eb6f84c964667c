"""One request and its answer, where tests may look on and interfere."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..http.errors import error_response
from ..http.waiting import while_connected
from .answers import Answer
from .controls import Controls
from .faults import Fault
from .record import RecordedRequest
from .redaction import Redaction

FORM = "application/x-www-form-urlencoded"


class Exchange:
    """What tests see of a request from its arrival to its answer, and what they do to it.

    Args:
        controls: the runtime's.
        request: whose body was not read yet.
        operation: method and path.
        redaction: hides the runtime's secrets.
    """

    def __init__(self, controls: Controls, request: Request, operation: str, redaction: Redaction) -> None:
        self._controls = controls
        self._request = request
        self._redaction = redaction
        self._fault: Fault | None = None
        self._recorded = RecordedRequest(
            at=controls.clock.now(),
            operation=redaction.text(operation),
            path=redaction.text(request.url.path),
            query=redaction.document(_single(request.query_params.multi_items())),
            headers=redaction.headers(request.headers.items()),
            project_id=request.query_params.get("project_id"),
        )
        controls.record.add(self._recorded)

    async def meet(self, body: bytes | None, find_project: Callable[[str], str | None]) -> Response | None:
        """Take note of what the request says, and give the answer of the fault that it meets, if it does.

        Args:
            body: the whole body; ``None`` where the operation reads it itself.
            find_project: tells the project of a deployment, by its id or serving name.

        Raises:
            ClientDisconnect: when the client does not wait for a slow answer.
        """
        document = self._read(body or b"")
        project_id = self._recorded.project_id or self._project_of(document, find_project)
        self._controls.record.fill(self._recorded, self._redaction.document(document), len(body or b""), project_id)
        self._fault = self._controls.faults.take(self._recorded.operation, project_id)
        if self._fault is None:
            return None
        self._recorded.fault = True
        if self._fault.delay:
            waiting = asyncio.sleep(self._fault.delay)
            # As long as there is more of its body, a client that hangs up is not told from one that sends.
            await (waiting if body is None else while_connected(self._request, waiting))
        if self._fault.status is None:
            return None
        seconds = self._fault.retry_after
        headers = None if seconds is None else {"Retry-After": f"{seconds:g}"}
        return error_response(self._fault.status, self._fault.code, self._fault.message, headers)

    def note(self, status: int) -> None:
        """Record the answer's status."""
        self._recorded.status = status

    def answer(self, prompt: str) -> Answer | None:
        """Give the canned answer to a prompt, if there is one."""
        return self._controls.answers.find(prompt, self._recorded.project_id)

    async def send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or what a fault leaves of it."""
        self.note(response.status_code)
        if self._fault is None or self._fault.drop_after is None:
            await response(scope, receive, send)
            return
        # An answer that is not completed makes the server close the connection.
        try:
            await response(scope, receive, _cutting(send, self._fault.drop_after))
        except _Cut:
            return

    def _read(self, body: bytes) -> Any:
        """Give the JSON document, or the fields of a form; of anything else nothing, as secrets could hide in it."""
        try:
            if self._request.headers.get("Content-Type", "").startswith(FORM):
                return _single([(name, value) for name, values in parse_qs(body.decode()).items() for value in values])
            return json.loads(body)
        except (ValueError, RecursionError):
            return None

    def _project_of(self, document: Any, find_project: Callable[[str], str | None]) -> str | None:
        path: Mapping[str, str] = self._request.path_params
        if "id_or_name" in path:
            return find_project(path["id_or_name"])
        named = document.get("project_id") if isinstance(document, dict) else None
        return str(named) if named else path.get("project_id")


def _single(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Make an object of pairs; a name that comes more than once has a list."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


class _Cut(Exception):
    """The answer ends here."""


def _cutting(send: Send, pieces: int) -> Send:
    """Let so many pieces of an answer through, and of the next one, or at the latest of the last one, a half."""
    left = pieces

    async def cut(message: Message) -> None:
        nonlocal left
        if message["type"] != "http.response.body":
            await send(message)
        elif left > 0 and message.get("more_body"):
            left -= 1
            await send(message)
        else:
            body = message.get("body", b"")
            await send({**message, "body": body[: len(body) // 2], "more_body": True})
            raise _Cut

    return cut
