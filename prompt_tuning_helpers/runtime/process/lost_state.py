"""Refuses requests once the state folder is lost: nothing that was stored nowhere is answered as success."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..http.errors import error_response


class RefuseWhenLost:
    """An application whose answers become errors once what it stores is lost, also while it answers.

    Args:
        app: the application.
        is_lost: tells whether the state folder is lost.
        message: what clients are told then.
    """

    def __init__(self, app: ASGIApp, is_lost: Callable[[], bool], message: str) -> None:
        self._app = app
        self._is_lost = is_lost
        self._message = message

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refused = False

        async def refuse() -> None:
            nonlocal refused
            refused = True
            # The SDK does not repeat a 507.
            await error_response(507, "storage_lost", self._message)(scope, receive, send)

        async def send_unless_lost(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_lost():
                await refuse()
            elif not refused:
                await send(message)

        if self._is_lost():
            await refuse()
        else:
            await self._app(scope, receive, send_unless_lost)
