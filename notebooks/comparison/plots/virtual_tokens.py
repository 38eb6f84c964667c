"""The plot of a soft prompt, one virtual token after the other."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prompt_tuning_helpers.plots import LINES, QUIET, TUNED, new_figure

from ..language import paragraph, say
from ..results import Comparison
from ..tables import quote, signed
from .style import TEXT, WIDTH, clauses, described, foot, head, told, write_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBER, WORD = -6, -28  # points, where the columns at the left end


def plot_virtual_tokens(comparison: Comparison) -> "Figure":
    """Plot how far each virtual token moved while it was tuned, and what the prompt is worth without it.

    Args:
        comparison: what ``load`` returns.
    """
    opened: dict[str, Any] = comparison.opened
    tokens = opened["tokens"]
    distances = [token["moved"] for token in tokens]
    lost = [100 * (opened["accuracy"] - token["accuracy_without"]) for token in tokens]
    words = [quote(token["before"][0]["token"]) for token in tokens]
    figure, (moved, worth) = new_figure(2, (WIDTH, 1.7 + 0.22 * len(tokens)))
    _draw_bars(moved, TUNED, distances, _length)
    _draw_bars(worth, LINES[1][0], lost, _points)
    moved.set_title(say("How far it moved\n(1: the length of a typical word's embedding)"), fontsize=9.5, color=TEXT)
    reviews = comparison.plan.opened_rows
    worth.set_title(
        say(
            "Points of accuracy lost without it\n(one of {reviews} reviews: {points:.1f} points)",
            reviews=reviews,
            points=100 / reviews,
        ),
        fontsize=9.5,
        color=TEXT,
    )
    worth.axvline(0, color=QUIET, linewidth=0.8)
    for row, word in enumerate(words):
        write_beside(moved, str(row + 1), row, xytext=(NUMBER, -3), fontsize=9)
        write_beside(moved, word, row, xytext=(WORD, -3), fontsize=9)
    finding = _finding(words, distances, lost)
    head(figure, finding)
    foot(figure, say("At the left: the word that each virtual token started as, and its place in the soft prompt."))
    said = [
        say(
            "{place}, {word}: moved {distance}, lost {points}",
            place=row + 1,
            word=word,
            distance=_length(distance),
            points=_points(points),
        )
        for row, (word, distance, points) in enumerate(zip(words, distances, lost, strict=True))
    ]
    told_tokens = say(
        "Each virtual token by the word that it started as, how far it moved in lengths of a typical word's embedding, "
        "and the points of accuracy lost without it: {tokens}.",
        tokens=clauses(said),
    )
    return described(figure, paragraph(told([finding]), told_tokens))


def _length(value: float) -> str:
    return f"{value:.2f}"


def _points(value: float) -> str:
    return signed(value) if round(value, 1) else "0"


def _finding(words: Sequence[str], moved: Sequence[float], lost: Sequence[float]) -> str:
    """Say what the token is worth that matters most, and what the one is worth that moved furthest."""
    worth, furthest = (max(range(len(values)), key=lambda place: values[place]) for values in (lost, moved))
    points = [_points(value).lstrip("+") for value in lost]
    marks: dict[str, object] = {"place": worth + 1, "word": words[worth], "points": points[worth]}
    if worth == furthest:
        return say("virtual token {place}, {word}, is worth most, {points} points, and moved furthest", **marks)
    return say(
        "virtual token {place}, {word}, is worth most, {points} points; the one that moved furthest, {furthest}, "
        "{other}, is worth {others_points}",
        furthest=furthest + 1,
        other=words[furthest],
        others_points=points[furthest],
        **marks,
    )


def _draw_bars(ax: "Axes", colour: str, values: Sequence[float], write: Callable[[float], str]) -> None:
    """Draw bars from top to bottom, each with its value at its end."""
    ax.barh(range(len(values)), values, color=colour, height=0.7)
    for row, value in enumerate(values):
        ax.annotate(
            write(value),
            (max(value, 0), row),
            textcoords="offset points",
            xytext=(4, -3),
            va="baseline",
            fontsize=9,
            color=TEXT,
        )
    ax.set_xlim(min(0.0, *values), 1.25 * max(*values, 1e-9))  # room for the text
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["bottom", "left"]].set_visible(False)
    ax.grid(visible=False)
