"""The look that all plots share: colours, figures with alternative text, and labels of the user's."""

import unicodedata
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from ..fonts import show_chinese
from .card import CARD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect

    from ..evaluation.measures import Measure
    from .described import DescribedFigure

# Okabe and Ito's palette: told apart by readers with any colour vision.
TUNED, BASE, QUIET = "#0072B2", "#E69F00", "#707070"
EDGE = "#333333"  # around what is light itself, and of what is compared with
# Of the same palette, darkened where need be to a contrast of 4.5:1 with the card, since the text beside a line has its
# colour; and told apart by their markers, too.
LINES = (("#0072B2", "o"), ("#A85000", "s"), ("#00785A", "^"), ("#A0507D", "D"), ("#333333", "v"), ("#6A51A3", "P"))

PAGE_WIDTH = 6.4  # inches, of most figures: wider ones are shrunk on a phone until nobody can read their labels
LABEL_LENGTH = 30  # characters, from which on a label is cut off
# A name or label is the user's text: a $ or a \ in it is no mathematics
PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}


def new_figure(
    panels: int, size: tuple[float, float], *, stacked: bool = False, share_x: bool = False
) -> tuple["DescribedFigure", list["Axes"]]:
    """Make a figure with axes side by side or one above the other, all in the same plain style.

    Args:
        panels: how many axes.
        size: of the figure, width and height in inches.
        stacked: whether they stand one above the other.
        share_x: whether their x axes are one.

    Returns:
        The figure and its axes, from left to right or from top to bottom.
    """
    rows, columns = (panels, 1) if stacked else (1, panels)
    figure, axes = new_grid(rows, columns, size, sharex=share_x)
    return figure, list(axes.flat)


def new_grid(rows: int, columns: int, size: tuple[float, float], **more: Any) -> tuple["DescribedFigure", Any]:
    """Make a figure with rows of axes, in the style of ``new_figure``.

    Args:
        rows: how many.
        columns: axes in each row.
        size: of the figure, width and height in inches.
        more: for ``matplotlib.pyplot.subplots``.

    Returns:
        The figure and its axes, ``[rows, columns]``.
    """
    import matplotlib.pyplot as plt

    from .described import DescribedFigure

    figure, axes = plt.subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained", FigureClass=DescribedFigure, **more
    )
    figure.set_facecolor(CARD)
    for ax in axes.flat:
        ax.set_facecolor(CARD)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#dddddd", linewidth=0.8)
        ax.set_axisbelow(True)
    return cast(DescribedFigure, figure), axes


def finished(figure: "DescribedFigure", alternative_text: str) -> "DescribedFigure":
    """Hand a figure over; closed, so that a notebook shows it once, as the value of its cell.

    Args:
        figure: what ``new_figure`` made.
        alternative_text: what can be seen in it, with the numbers, for readers who cannot see it.

    Returns:
        The same figure.
    """
    import matplotlib.pyplot as plt

    figure.alternative_text = alternative_text
    show_chinese(figure)
    plt.close(figure)
    return figure


def lengths(measures: "Iterable[Measure]") -> tuple[list[float], list[float]]:
    """Give how far the intervals reach below and above; rounding noise must not make a length negative."""
    pairs = [(each.value - each.interval[0], each.interval[1] - each.value) for each in measures]
    return [max(0.0, below) for below, _ in pairs], [max(0.0, above) for _, above in pairs]


def outlined() -> "list[AbstractPathEffect]":
    """Give text an outline in the colour of the background, so that it can be read where it lies on lines."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground=CARD)]


def shown(label: str) -> str:
    """Give a label in one line, cut off if it is long."""
    line = " ".join(label.split())
    if width_of(line) <= LABEL_LENGTH:
        return line
    widths = accumulate(map(width_of, line))
    fitting = sum(width < LABEL_LENGTH for width in widths)
    return f"{line[:fitting].rstrip()}…"


def width_of(text: str) -> int:
    """Count characters; those of Chinese and the like are two wide."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
