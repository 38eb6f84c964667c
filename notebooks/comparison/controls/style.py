"""The look that the pictures of the controls share: titles, and names beside lines."""

from typing import TYPE_CHECKING, Any

from ..plots.style import balanced, embolden

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

DARK = "#333333"
TITLE_WIDTH = 92  # characters


def head(chart: "Figure", finding: str, note: str = "") -> None:
    """Put what a picture shows above it, from its left edge on, and a note below that."""
    text = "\n".join(balanced(finding, TITLE_WIDTH))
    chart.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold", color=DARK, parse_math=False)
    embolden(chart)
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
