"""Requests whose client does odd things in the middle: it drives the application without a server between."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message

from prompt_tuning_helpers.runtime.app import create_app
from prompt_tuning_helpers.runtime.context import Runtime
from tests.support.calls import VERSION

HOST = "127.0.0.1"
HANG_UP: Message = {"type": "http.disconnect"}


@dataclass
class Reply:
    """What was answered."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str]:
        """Its one error; only the API's shape has it."""
        found: dict[str, str] = self.json()["errors"][0]
        return found


async def exchange(
    runtime: Runtime, method: str, url: str, pieces: AsyncIterator[bytes], hang_up: asyncio.Event | None = None
) -> Reply:
    """Send a request with a token, piece by piece; the client waits for the answer, or hangs up when told."""
    app: ASGIApp = create_app(runtime)
    parts = urlsplit(url)
    token, _ = runtime.tokens.issue("access", 600)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": f"{parts.query}&version={VERSION}".lstrip("&").encode(),
        "headers": [(b"host", HOST.encode()), (b"authorization", f"Bearer {token}".encode())],
    }
    reply = Reply()

    async def receive() -> Message:
        piece = await anext(pieces, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        if not hasattr(receive, "ended"):
            receive.ended = True  # type: ignore[attr-defined]
            return {"type": "http.request", "body": b"", "more_body": False}
        await (hang_up or asyncio.Event()).wait()
        return HANG_UP

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            reply.body += message.get("body", b"")

    await app(scope, receive, send)
    return reply


async def of(*pieces: bytes | Callable[[], Awaitable[object]]) -> AsyncIterator[bytes]:
    """A body of these pieces; where there is a function, it is waited for before the next piece is sent."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        else:
            await piece()


def meanwhile(call: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    """What another client does between two pieces."""
    return lambda: asyncio.to_thread(call)


def announce(client: TestClient, project: dict[str, str]) -> tuple[str, str, str]:
    """An asset that waits for its file: the asset's id, the attachment's path, and the link to upload to."""
    body = {"metadata": {"name": "rows", "asset_type": "data_asset"}}
    asset = str(client.post("/v2/assets", params=project, json=body).json()["metadata"]["asset_id"])
    made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "rows"}).json()
    return asset, f"/v2/assets/{asset}/attachments/{made['attachment_id']}", str(made["url1"])
