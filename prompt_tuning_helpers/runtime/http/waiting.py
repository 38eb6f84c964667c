"""Waiting on behalf of clients: no longer than they do, and with few heavy calls at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio.to_thread
from anyio import CancelScope, CapacityLimiter
from starlette.requests import ClientDisconnect, Request

from .errors import ApiError

Result = TypeVar("Result")

RETRY_SECONDS = 5


class HeavyCalls:
    """Runs calls that take long or much memory in threads, few at once.

    Args:
        at_once: how many run; the others wait.
        most_waiting: how many may wait before more are refused.
    """

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._limiter = CapacityLimiter(at_once)
        self._most_waiting = most_waiting

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._limiter.statistics().tasks_waiting

    async def run(self, request: Request, work: Callable[[], Result]) -> Result:
        """Wait for a turn, then for the result.

        Raises:
            ApiError: 429 when too many wait already; the SDK asks again by itself.
            ClientDisconnect: when the client hangs up; what has not begun by then never does.
        """
        if self.waiting >= self._most_waiting:
            raise ApiError(
                429,
                "too_many_requests",
                f"{self._most_waiting} such requests are waiting already: try again in {RETRY_SECONDS} seconds.",
                {"Retry-After": str(RETRY_SECONDS)},
            )
        return await while_connected(request, anyio.to_thread.run_sync(work, limiter=self._limiter))


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Wait for work, and cancel it when the client hangs up.

    Args:
        request: one whose body was read.
        work: what gives the result.

    Raises:
        ClientDisconnect: when the client has hung up.
    """
    with CancelScope() as scope:
        watching = asyncio.create_task(_watch(request, scope))
        try:
            return await work
        finally:
            watching.cancel()
    raise ClientDisconnect


async def _watch(request: Request, scope: CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
