"""A request's body as it arrives: of bounded size, and never waited for without end."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from .errors import ApiError

LARGEST_BODY = 16 * 2**20
LARGEST_PUBLIC_BODY = 64 * 2**10  # where no token is asked for
PIECE_SECONDS = 30.0


async def read_pieces(request: Request) -> AsyncIterator[bytes]:
    """Read the body's pieces; a slow client may take as long as it likes, as long as it sends something.

    Raises:
        ApiError: 408 when the next piece does not come within ``PIECE_SECONDS``.
        ClientDisconnect: when the client hangs up.
    """
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(PIECE_SECONDS):
                piece = await anext(stream, None)
        except TimeoutError:
            # The rest of the body could not be told from a next request.
            raise ApiError(
                408,
                "request_timeout",
                f"Nothing more of the body arrived within {PIECE_SECONDS:g} seconds: send the request again.",
                {"Connection": "close"},
            ) from None
        if piece is None:
            return
        yield piece


async def read_body(request: Request, largest: int) -> bytes:
    """Read the whole body.

    Args:
        request: one whose body was not read yet.
        largest: bytes that the body may have.

    Raises:
        ApiError: 413 for a larger one, 408 as for its pieces.
        ClientDisconnect: when the client hangs up.
    """
    parts: list[bytes] = []
    size = 0
    async for part in read_pieces(request):
        size += len(part)
        if size > largest:
            raise ApiError(413, "request_too_large", f"The body may have at most {largest} bytes: send a smaller one.")
        parts.append(part)
    return b"".join(parts)
