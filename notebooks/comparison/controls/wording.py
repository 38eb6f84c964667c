"""How names and figures are written in tables, pictures and sentences."""

from collections.abc import Sequence

import numpy as np

from ..language import say
from .kinds import (
    DEALT,
    FURTHER,
    HALF,
    MOVES,
    RANDOM,
    REVIEWS_RANDOM,
    REVIEWS_TEXT,
    REVIEWS_TUNED,
    SHUFFLED,
    START,
    TICKETS_TEXT,
    TUNED,
)

NAMES = {
    START: "before tuning: the text it starts from",
    TUNED: "as tuned",
    RANDOM: "moved as far, but in random directions",
    DEALT: "each token with another token's move",
    SHUFFLED: "tuned tokens in another order",
    MOVES: "the moves alone, without the text",
    HALF: "half of the way",
    FURTHER: "half of the way further",
}
STARTS_AS = {
    REVIEWS_TEXT: "the text of solved reviews",
    REVIEWS_TUNED: "tuned on reviews",
    REVIEWS_RANDOM: "moved as far at random",
    TICKETS_TEXT: "a text of solved tickets",
}

STARTS_IN_SENTENCES = {
    REVIEWS_TEXT: "the text of solved reviews",
    REVIEWS_TUNED: "the soft prompt tuned on reviews",
    REVIEWS_RANDOM: "one moved as far at random",
    TICKETS_TEXT: "a text of solved tickets",
}


def figure(value: float, digits: int = 2) -> str:
    """Write a number with a real minus sign, and none before a zero."""
    rounded = round(float(value), digits)
    return f"{rounded if rounded else 0.0:.{digits}f}".replace("-", "−")  # noqa: RUF001


def reach(values: Sequence[float], digits: int = 2) -> str:
    """Write the least and the greatest of some numbers, with nothing between them that breaks a line."""
    low, high = figure(min(values), digits), figure(max(values), digits)
    if low == high:
        return low
    if "−" in low + high:  # noqa: RUF001
        return say("{low} to {high}", low=low, high=high).replace(" ", "\N{NO-BREAK SPACE}")
    return f"{low}–{high}"  # noqa: RUF001


def mean_and_reach(values: Sequence[float], digits: int = 2) -> str:
    """Write the mean of some numbers, and the least and the greatest in brackets."""
    mean, both = figure(float(np.mean(values)), digits), reach(values, digits)
    return mean if mean == both else f"{mean}\N{NO-BREAK SPACE}({both})"


def percent(share: float) -> str:
    """Write a share in percent, with what does not break a line."""
    return say("{number} %", number=figure(100 * share, 0)).replace(" ", "\N{NO-BREAK SPACE}")


def count(number: int, one: str, many: str, **more: object) -> str:
    """Say a number with its noun.

    Args:
        number: which stands for ``{count}``.
        one: what is said of one.
        many: what is said of several.
        more: what stands for further marks.
    """
    return say(one if number == 1 else many, count=number, **more)


def named(name: str, written: str) -> str:
    """Set figures behind the name of what they are of."""
    return say("{name} {values}", name=name, values=written)
