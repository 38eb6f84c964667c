"""The runtime's clock: what time it is, and how much has passed. Tests may put another in its place."""

import time
from datetime import UTC, datetime


class Clock:
    """The computer's clock."""

    def time(self) -> float:
        """Give the time, in seconds since 1970."""
        return time.time()

    def passed(self) -> float:
        """Give a time to compare with others of this process, in seconds: setting the computer's clock leaves it."""
        return time.monotonic()

    def now(self) -> str:
        """Give the time, as watsonx.ai writes it."""
        return write_time(self.time())


def write_time(seconds: float) -> str:
    """Write a time as watsonx.ai does.

    Args:
        seconds: since 1970.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
