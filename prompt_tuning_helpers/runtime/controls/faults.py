"""Faults on demand: which requests fail, how, and how often."""

import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..http.errors import bad_request

MOST_FAULTS = 1000


@dataclass
class Fault:
    """What goes wrong with some requests.

    Args:
        operation: a method and a path as ``IMPLEMENTED.md`` writes them, with ``*`` for any part.
        project_id: the only project whose requests fail, besides those that name none; ``None`` for all.
        times: how many requests fail; ``None`` for every one.
        status: the status that is answered; ``None`` where the answer is as it would be.
        code: watsonx.ai's short name of the error.
        message: of the error.
        retry_after: seconds for the header ``Retry-After``.
        delay: seconds before anything else happens.
        drop_after: pieces of the answer after which the connection is cut, events of a stream for instance;
            ``None`` for a whole answer.
    """

    operation: str
    project_id: str | None = None
    times: int | None = 1
    status: int | None = None
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    delay: float = 0.0
    drop_after: int | None = None


class Faults:
    """All faults to come; of several that fit, the oldest comes first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Let requests fail.

        Raises:
            ApiError: 400 for more than can be kept.
        """
        with self._lock:
            if len(self._faults) >= MOST_FAULTS:
                raise bad_request(f"{MOST_FAULTS} faults are set already: take them back first.")
            self._faults.append(fault)

    def take(self, operation: str, project_id: str | None) -> Fault | None:
        """Give the fault that a request meets, if any; one that has happened often enough is gone.

        Args:
            operation: method and path.
            project_id: of the request; ``None`` for one that names no project.
        """
        with self._lock:
            for fault in self._faults:
                is_meant = project_id is None or fault.project_id in (None, project_id)
                if is_meant and fnmatchcase(operation, fault.operation):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return None

    def of(self, project_id: str | None) -> list[Fault]:
        """Give what is still to come for one project alone, or for all of them."""
        with self._lock:
            return [fault for fault in self._faults if fault.project_id == project_id]

    def forget(self, project_id: str | None) -> None:
        """Take back the faults of a project; without one, all."""
        with self._lock:
            self._faults = [f for f in self._faults if project_id is not None and f.project_id != project_id]
