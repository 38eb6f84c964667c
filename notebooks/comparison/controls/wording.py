"""How names and figures are written in tables, pictures and sentences."""

from collections.abc import Sequence

import numpy as np

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
    dash = " to " if "−" in low + high else "–"  # noqa: RUF001
    return low if low == high else f"{low}{dash}{high}".replace(" ", "\N{NO-BREAK SPACE}")


def mean_and_reach(values: Sequence[float], digits: int = 2) -> str:
    """Write the mean of some numbers, and the least and the greatest in brackets."""
    mean, both = figure(float(np.mean(values)), digits), reach(values, digits)
    return mean if mean == both else f"{mean}\N{NO-BREAK SPACE}({both})"


def unbroken(text: str) -> str:
    """Write a short text of figures so that no line ends within it, in a narrow cell of a table for instance."""
    dash = "\N{EN DASH}"
    return text.replace(" ", "\N{NO-BREAK SPACE}").replace(dash, f"\N{WORD JOINER}{dash}\N{WORD JOINER}")


def percent(share: float) -> str:
    """Write a share in percent, with what does not break a line."""
    return f"{figure(100 * share, 0)}\N{NO-BREAK SPACE}%"


def listed(parts: Sequence[str]) -> str:
    """Join parts of a sentence."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def count(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
