"""The look that the pictures of the controls share: titles, and names beside lines."""

from collections.abc import Sequence
from textwrap import fill, wrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

DARK = "#333333"
TITLE_WIDTH = 92  # characters


def head(chart: "Figure", finding: str, note: str = "") -> None:
    """Put what a picture shows above it, from its left edge on, and a note below that."""
    fewest = len(wrap(finding, TITLE_WIDTH))
    widths = range(len(finding) // fewest, TITLE_WIDTH + 1)  # the least that takes no further line
    text = next(fill(finding, width) for width in widths if len(wrap(finding, width)) == fewest)
    look: dict[str, Any] = {"x": 0.01, "ha": "left", "color": DARK, "parse_math": False}
    chart.suptitle(text, fontsize=11, fontweight="bold", **look)
    if note:
        chart.axes[0].set_title(note, fontsize=9.5, loc="left", color=DARK)


def beside(ax: "Axes", text: str, height: float, end: float, colour: str, marker: Any) -> None:
    """Name a line at the right of the axes, in its colour, and show its marker.

    Args:
        ax: to write beside.
        text: the name.
        height: of the text, in data.
        end: of the line, likewise.
        colour: of the line.
        marker: of the line; none if empty.
    """
    from matplotlib.transforms import offset_copy

    def right(points: float) -> "Transform":
        return offset_copy(ax.get_yaxis_transform(), ax.get_figure(root=True), x=points, units="points")

    ax.annotate(
        text,
        (1.0, end),
        xytext=(1.0, height),
        xycoords=right(1),
        textcoords=right(23),
        va="center",
        color=colour,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": (0, 0.5)},
        annotation_clip=False,
    )
    if marker:
        ax.plot(1.0, height, marker, color=colour, transform=right(17), clip_on=False, markersize=5)


def spread(places: Sequence[float], distance: float) -> list[float]:
    """Move places apart until neighbours are so far from each other; all together as little as possible."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(places, kind="stable")
    steps = distance * np.arange(len(places))
    apart = np.empty(len(places))
    apart[order] = isotonic_regression(np.array(places)[order] - steps) + steps
    return [float(place) for place in apart]
