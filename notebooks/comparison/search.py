"""A search for a method's best candidate, one coordinate after another.

Each candidate is tried in a job of its own, so many can be tried at a time, and none twice.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from .methods import Axis, Candidate

REACH = 2  # how many steps from where it starts a search goes along ordered values


@dataclass(frozen=True)
class Score:
    """How well a candidate did on training rows that were held back.

    Args:
        accuracy: of choosing the likelier of the two labels; 0 if training diverged.
        loss: likewise, in nats; infinite if training diverged.
        written: accuracy of what is written.
    """

    accuracy: float
    loss: float
    written: float

    @property
    def diverged(self) -> bool:
        """Whether training gave no numbers."""
        return math.isinf(self.loss)


DIVERGED = Score(0.0, math.inf, 0.0)


@dataclass
class Search:
    """What a search has found so far.

    Args:
        scores: of the candidates that were tried.
        missing: candidates that have to be tried before it can go on; none if it has ended.
        chosen: the best candidate; final once nothing is missing.
    """

    chosen: Candidate
    scores: dict[Candidate, Score] = field(default_factory=dict)
    missing: list[Candidate] = field(default_factory=list)


def search(
    start: Candidate, axes: Sequence[Axis], score_of: Callable[[Candidate], Score | None], by_writing: bool = False
) -> Search:
    """Go on with a search as far as the scores allow.

    Along unordered values, all are tried. Along ordered ones, the neighbours of the best so far are, and while the
    best lies at the end of what was tried, the next beyond it, up to ``REACH`` steps away. The more accurate wins, and
    of equally accurate ones that with the lower loss.

    Args:
        start: what it starts from.
        axes: the coordinates, in their order.
        score_of: looks up a candidate's score; ``None`` if it was not tried yet.
        by_writing: whether accuracy is that of what is written.
    """
    found = Search(start)

    def quality(candidate: Candidate) -> tuple[float, float]:
        score = found.scores[candidate]
        return (score.written if by_writing else score.accuracy, -score.loss)

    for axis in axes or (Axis("", ()),):
        before = found.chosen
        while more := [candidate for candidate in _to_try(axis, before, found.chosen) if candidate not in found.scores]:
            for candidate in more:
                score = score_of(candidate)
                if score is None:
                    found.missing.append(candidate)
                else:
                    found.scores[candidate] = score
            if found.missing:
                return found
            # What was best before comes first, so that nothing is given up for an equal.
            found.chosen = max([found.chosen, *more], key=quality)
    return found


def _to_try(axis: Axis, before: Candidate, best: Candidate) -> list[Candidate]:
    """List what is to be tried along an axis: from where it starts, with the best on it so far."""
    if not axis.values:
        return [best]
    places = range(len(axis.values))
    if axis.is_ordered:
        here, there = (axis.values.index(getattr(candidate, axis.name)) for candidate in (before, best))
        places = range(max(0, here - REACH, there - 1), min(len(places), here + REACH + 1, there + 2))
    others = [replace(best, **{axis.name: axis.values[place]}) for place in places]
    return list(dict.fromkeys([best, *others]))  # of which the best is one, too
