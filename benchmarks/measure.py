"""How things are measured: two rivals in turn, so that a noisy machine slows both alike, and medians."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """Seconds of two rivals that took turns.

    Args:
        ours: one figure a round.
        theirs: likewise.
    """

    ours: list[float]
    theirs: list[float]

    @property
    def speed_up(self) -> float:
        """How many times as fast ours is: the median over the rounds of their time by ours."""
        return statistics.median(t / o for o, t in zip(self.ours, self.theirs, strict=True))


def seconds(work: Callable[[], object]) -> float:
    """Measure the wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 5) -> Pair:
    """Time two rivals round by round, after one round that is not counted."""
    ours()
    theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    return Pair([o for o, _ in times], [t for _, t in times])
