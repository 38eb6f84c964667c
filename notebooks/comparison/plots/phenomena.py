"""The plot of what makes a review hard: accuracy by phenomenon."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prompt_tuning_helpers.evaluation import with_interval
from prompt_tuning_helpers.plots import new_figure

from ..against import PLAIN, find
from ..intervals import Interval, mean_interval
from ..language import paragraph, say
from ..methods import Method
from ..results import Comparison, Measured
from .style import (
    GUESSING,
    STYLES,
    TEXT,
    WIDTH,
    clauses,
    described,
    draw_guessing,
    draw_score,
    foot,
    head,
    in_sentence,
    rows_from_the_top,
    series,
    short,
    size_of,
    told,
    write_beside,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILLED_ROW = 0.74  # the part of a row that its marks take up

Score = tuple[float, Interval]


def plot_phenomena(comparison: Comparison, methods: Sequence[str]) -> "Figure":
    """Plot how accurate methods are on the reviews of each phenomenon, with intervals.

    Plain reviews come first, then the phenomena, from the one that is answered best to the one that is answered worst.

    Args:
        comparison: what ``load`` returns.
        methods: the names of those to show.

    Raises:
        ValueError: if a method was not measured.
    """
    shown = [find(comparison, method) for method in methods]
    phenomena = np.array([review["phenomenon"] or PLAIN for review in comparison.reviews])
    scores = {name: [_score(found, phenomena == name) for found in shown] for name in dict.fromkeys(phenomena.tolist())}
    means = {name: float(np.mean([value for value, _ in each])) for name, each in scores.items()}
    ordered = sorted(scores, key=lambda name: (name != PLAIN, -means[name]))
    labels = {
        name: say("{phenomenon} ({count} reviews)", phenomenon=say(name), count=(phenomena == name).sum())
        for name in ordered
    }
    figure, (ax,) = new_figure(1, (WIDTH, 2.4 + (0.12 + 0.11 * len(shown)) * len(ordered)))
    rows_from_the_top(ax, len(ordered), room=1)  # for the word "guessing"
    hollow = _hollow([found.method for found in shown])
    for row, name in enumerate(ordered):
        write_beside(ax, labels[name], row)
        for number, (found, (value, around)) in enumerate(zip(shown, scores[name], strict=True)):
            place = row + FILLED_ROW * ((number + 0.5) / len(shown) - 0.5)
            draw_score(ax, found.method, (value, place), around, is_hollow=hollow[number])
    for row in range(len(ordered) + 1):
        ax.axhline(row - 0.5, color="#dddddd", linewidth=0.8, zorder=0)
    ax.grid(visible=False, axis="y")
    draw_guessing(ax, "x")
    ax.annotate(say("guessing"), (GUESSING, -0.75), xytext=(4, -3), textcoords="offset points", fontsize=9, color=TEXT)
    ax.set_xlabel(say("Accuracy of choosing, with its 95 % interval"))
    _add_legend(ax, shown, hollow)
    finding = _finding(ordered, means)
    head(figure, finding)
    notes = [say("The intervals hold what other seeds and other reviews like these would change.")]
    if any(low == high for each in scores.values() for _, (low, high) in each):
        notes.append(
            say("Where all answers are right, or all wrong, drawing them again changes nothing: no interval is seen.")
        )
    foot(figure, paragraph(*notes))
    said = []
    for name in ordered:
        values = [
            f"{in_sentence(found.method)} {with_interval(*score)}"
            for found, score in zip(shown, scores[name], strict=True)
        ]
        said.append(say("{name}: {values}", name=labels[name], values=series(values)))
    told_scores = say("Accuracy of choosing, with its 95 % interval: {scores}.", scores=clauses(said))
    return described(figure, paragraph(told([finding]), told_scores))


def _score(found: Measured, where: Any) -> Score:
    """Give the accuracy of all seeds together on some of the reviews, with its interval."""
    hits = np.array(found.hits)[:, where]
    return float(hits.mean()), mean_interval(hits)


def _hollow(methods: Sequence[Method]) -> list[bool]:
    """Tell whose marks are only outlined: the second of a kind, the fourth, and so on."""
    kinds = [type(method) for method in methods]
    return [kinds[:place].count(kind) % 2 == 1 for place, kind in enumerate(kinds)]


def _add_legend(ax: "Axes", shown: Sequence[Measured], hollow: Sequence[bool]) -> None:
    """Name the marks above the axes, in their order from top to bottom of a row."""
    from matplotlib.lines import Line2D

    marks = []
    for found, is_hollow in zip(shown, hollow, strict=True):
        colour, marker = STYLES[type(found.method)]
        face = "white" if is_hollow else colour
        marks.append(
            Line2D(
                [],
                [],
                linestyle="",
                marker=marker,
                markersize=size_of(marker),
                color=colour,
                markerfacecolor=face,
                label=short(found.method),
            )
        )
    ax.legend(
        handles=marks,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=TEXT,
        borderaxespad=0,
        handletextpad=0.1,
    )


def _finding(ordered: Sequence[str], means: dict[str, float]) -> str:
    """Say which phenomenon is answered worst, beside the plain reviews."""
    worst = min(ordered, key=lambda name: means[name])
    marks = {"worst": say(worst), "accuracy": f"{means[worst]:.2f}"}
    if PLAIN not in means or worst == PLAIN:
        return say('these methods are least accurate on reviews marked "{worst}", at {accuracy} on average', **marks)
    return say(
        'these methods are least accurate on reviews marked "{worst}", at {accuracy} on average, and at {plain} on '
        "plain ones",
        plain=f"{means[PLAIN]:.2f}",
        **marks,
    )
