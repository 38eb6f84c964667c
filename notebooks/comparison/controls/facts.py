"""What the results amount to: the figures and verdicts that titles, sentences and alternative texts share."""

import math
from typing import Any

import numpy as np

from ..intervals import mean_interval
from .kinds import START, TUNED
from .results import STATES, Between, Controls, Score

FEW = 0.05  # of the virtual tokens
LITTLE = 0.25  # of what tuning gained
NOTHING = 0.005  # likewise: less is nothing in whole per cent


def difference(one: Any, other: Any) -> tuple[float, tuple[float, float]]:
    """Tell how much more accurate one is than another, with the 95 % interval; see ``intervals``.

    Both answered the same rows, so these, and the seeds, are drawn again for both together.

    Args:
        one: ``[seeds, rows]``, whether each row was answered rightly, or how often.
        other: likewise.
    """
    differences = one - other
    return float(differences.mean()), mean_interval(differences)


def verdict(one: Any, other: Any) -> int:
    """Tell whether one is more accurate, 1, or less, -1, than another, of arrays as above; 0 if it cannot be told."""
    _, (low, high) = difference(one, other)
    return 1 if low > 0 else -1 if high < 0 else 0


def hits(controls: Controls, variant: str) -> Any:
    """Give of each seed and test review, ``[seeds, reviews]``, whether a variant hits, or the share of its draws."""
    found = [np.mean([score.hits for score in draws], axis=0) for draws in controls.variants[variant].values()]
    return np.array(found if len(found) > 1 else found * len(controls.plan.seeds))


def ticket_hits(controls: Controls, start: str) -> Any:
    """Give of each seed and ticket, ``[seeds, tickets]``, whether it is answered rightly after the last pass."""
    return np.array([scores[-1].hits for scores in controls.transfer[start].values()], dtype=float)


def mean_accuracy(controls: Controls, variant: str) -> float:
    """Give the mean accuracy of a variant over the seeds."""
    return float(np.mean(controls.accuracies(variant)))


def share_of_gain(controls: Controls, variant: str) -> float | None:
    """Tell which share of what tuning gained a variant has; ``None`` if tuning gained nothing clear."""
    if verdict(hits(controls, TUNED), hits(controls, START)) < 1:
        return None
    start, tuned, found = (mean_accuracy(controls, name) for name in (START, TUNED, variant))
    return (found - start) / (tuned - start)


def fall(line: Between) -> tuple[float, bool]:
    """Tell how far accuracy falls on the way from one soft prompt to another, and whether that is more than chance.

    It is the error barrier of Frankle et al. (2020, https://arxiv.org/abs/1912.05671), on a grid: what the lowest point
    lacks to the mean of the two ends. Loss alone does not tell, since it can fall between two soft prompts that are too
    sure of themselves.

    Args:
        line: between the two.
    """
    (_, one), *inner, (_, other) = line.points
    lowest = min((score for _, score in inner), key=lambda score: score.accuracy)
    ends = np.mean([one.hits, other.hits], axis=0)
    found, (low, _) = difference(ends[None], np.array([lowest.hits], dtype=float))
    return found, low > 0


def falls(controls: Controls) -> list[float]:
    """Give for each line how far accuracy falls on it."""
    return [fall(line)[0] for line in controls.lines]


def clear_falls(controls: Controls) -> int:
    """Count the lines on which accuracy falls by more than chance between the soft prompts of two seeds."""
    return sum(told for _, told in map(fall, controls.lines))


def chance_cosine(controls: Controls) -> float:
    """Give how far from 0 the cosine of two random vectors of that many numbers is in 95 % of all cases, at most."""
    return 1.96 / math.sqrt(controls.numbers)


def still_nearest(controls: Controls) -> tuple[int, int, int]:
    """Count virtual tokens of all seeds that are nearest to their own word: as tuned, after random moves, and all.

    After random moves it is the mean over the draws.
    """
    tokens = [token for prompt in controls.tokens for token in prompt]
    as_far = controls.plan.reaches.index(1)
    random = round(controls.nearest["random"][as_far] * len(tokens))
    return sum(token.rank == 1 for token in tokens), random, len(tokens)


def staying_proves(controls: Controls) -> str:
    """Say what it proves that virtual tokens stay nearest to their words; ``""`` where chance keeps fewer there."""
    tuned, random, of = still_nearest(controls)
    if random >= tuned:
        return "nothing"
    return "next to nothing" if tuned - random < FEW * of else ""


def attention_to_all(controls: Controls) -> dict[str, list[float]]:
    """Give by state, for each seed, the share of attention that all virtual tokens get; the mean over the layers."""
    return {state: controls.attention[state].sum(axis=2).mean(axis=1).tolist() for state in STATES}


def attention_to_first(controls: Controls) -> dict[str, float]:
    """Give by state the share of attention that the first virtual token gets; the mean over layers and seeds."""
    return {state: float(controls.attention[state][:, :, 0].mean()) for state in STATES}


def strongest(shares: Any) -> tuple[int, int]:
    """Find layer and virtual token, counted from 0, with the largest share of ``[layers, P]``."""
    layer, token = np.unravel_index(int(np.argmax(shares)), shares.shape)
    return int(layer), int(token)


def after_pass(scores: dict[int, tuple[Score, ...]], passes: int) -> list[float]:
    """Give for each seed the accuracy after so many passes; -1 is the last."""
    return [each[passes].accuracy for each in scores.values()]
