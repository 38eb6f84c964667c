"""A clock that tests can stop and set."""

from ..clock import Clock

LATEST = 253_402_300_799.0  # the last second of the year 9999, beyond which no time can be written


class SettableClock(Clock):
    """The computer's clock, until a test sets it. All that the server writes and compares goes by it."""

    def __init__(self) -> None:
        self._frozen_at: float | None = None
        self._ahead = 0.0

    @property
    def is_frozen(self) -> bool:
        """Whether the time stands still."""
        return self._frozen_at is not None

    def time(self) -> float:
        """Give the time that was set, in seconds since 1970."""
        time = super().time() + self._ahead if self._frozen_at is None else self._frozen_at
        return min(max(time, 0.0), LATEST)

    def passed(self) -> float:
        """Give a time to compare with others; it moves with the time that is set, so that tokens grow old by it."""
        return super().passed() + self.time() - super().time()

    def freeze(self, seconds: float) -> None:
        """Let the time stand still.

        Args:
            seconds: since 1970.
        """
        self._frozen_at = seconds

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds; a frozen clock stays frozen."""
        if self._frozen_at is not None:
            self._frozen_at += seconds
        else:
            self._ahead += seconds

    def reset(self) -> None:
        """Go by the computer's clock again."""
        self._frozen_at, self._ahead = None, 0.0
