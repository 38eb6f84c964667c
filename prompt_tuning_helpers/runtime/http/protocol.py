"""HTTP on one connection, as uvicorn speaks it, but with bounds on what a client may keep it waiting for."""

import asyncio
import json
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .errors import ApiError, error_body
from .heads import LARGEST_HEAD, head_too_large

HEAD_SECONDS = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose client does not send the head of a request in time, or sends one without end.

    What comes after the head is the application's: it reads the body, and waits for its pieces only so long.
    """

    _in_body = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a first request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.transport.is_closing():
            return
        if not self._in_body:
            self._expect_head()
            # Bytes that come in one piece with the head's end, or its beginning, are not counted.
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_body and self._head_bytes > LARGEST_HEAD:
            self._refuse(head_too_large())
        elif self._is_answered() and self._head_timer is None:
            # What is left of the body of a request that was answered early.
            self._keep_alive()

    def on_headers_complete(self) -> None:
        """Answer the request."""
        self._stop_timer()
        self._in_body, self._head_bytes = True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect another request, if the client has one."""
        self._in_body, self._head_bytes = False, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(ApiError(400, "invalid_request", msg))

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self._is_answered():
            self._expect_head()  # the answer to an earlier request comes first
        elif self._head_bytes == 0:
            self.transport.close()  # nothing was asked
        elif not self.transport.is_closing():
            message = f"The request's headers did not arrive within {HEAD_SECONDS:g} seconds: send the request again."
            self._refuse(ApiError(408, "request_timeout", message))

    def _is_answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _refuse(self, error: ApiError) -> None:
        """Answer with an error, outside of any request, and close the connection."""
        body = json.dumps(error_body(error.status, error.code, error.message)).encode()
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
