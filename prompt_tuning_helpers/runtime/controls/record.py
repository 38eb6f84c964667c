"""The record of the requests: what was asked, without any secret."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_REQUESTS = 10_000
LARGEST_RECORD = 64 * 2**20  # bytes of all bodies together; the oldest requests are forgotten


@dataclass
class RecordedRequest:
    """One request.

    Args:
        at: when it came.
        operation: method and path as ``IMPLEMENTED.md`` writes them; of what is not offered, as they were sent.
        path: as it was sent.
        query: the parameters.
        headers: with names in lower case.
        body: the JSON document, or the fields of a form; ``None`` for other bodies, and where it was not read.
        project_id: the project that it names, itself or by its deployment.
        status: of the answer; ``None`` until it is there.
        fault: whether a test's fault answered.
        size: bytes of the body.
    """

    at: str
    operation: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: Any = None
    project_id: str | None = None
    status: int | None = None
    fault: bool = False
    size: int = field(default=0, repr=False)


class Record:
    """The requests in the order in which they came."""

    def __init__(self) -> None:
        self._requests: deque[RecordedRequest] = deque()
        self._size = 0
        self._forgotten = 0
        self._lock = threading.Lock()

    def add(self, request: RecordedRequest) -> None:
        """Record a request that has just come."""
        with self._lock:
            self._requests.append(request)
            self._bound()

    def fill(self, request: RecordedRequest, body: Any, size: int, project_id: str | None) -> None:
        """Record what a request says, once that was read.

        Args:
            request: one that was added.
            body: without secrets.
            size: bytes of the body as it was sent.
            project_id: the project that it names.
        """
        with self._lock:
            request.body, request.size, request.project_id = body, size, project_id
            self._size += size
            self._bound()

    def of(self, project_id: str | None) -> tuple[list[RecordedRequest], int]:
        """Give the requests of a project and those that name none, or all; and how many were forgotten."""
        with self._lock:
            wanted = [r for r in self._requests if project_id is None or r.project_id in (None, project_id)]
            return wanted, self._forgotten

    def forget(self, project_id: str | None) -> None:
        """Forget the requests of a project and those that name none; without one, all."""
        with self._lock:
            kept = [r for r in self._requests if project_id is not None and r.project_id not in (None, project_id)]
            self._requests = deque(kept)
            self._size = sum(request.size for request in kept)
            self._forgotten = 0

    def _bound(self) -> None:
        while len(self._requests) > MOST_REQUESTS or (self._size > LARGEST_RECORD and len(self._requests) > 1):
            self._size -= self._requests.popleft().size
            self._forgotten += 1
