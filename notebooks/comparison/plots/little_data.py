"""The plot of learning from little data: accuracy by the number of training rows."""

from itertools import cycle
from typing import TYPE_CHECKING, Any

from prompt_tuning_helpers.evaluation import with_interval
from prompt_tuning_helpers.plots import QUIET, new_figure

from ..differences import difference
from ..language import listed, paragraph, say
from ..methods import HardPrompt, Method
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
    short,
    size_of,
    spread,
    told,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ASIDE = 1.08  # by which neighbouring marks' numbers of rows differ, so that intervals do not hide each other
DASHES = ("--", "-.", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)))
LABELS = 1.09  # where they begin, in widths of the axes


def plot_little_data(comparison: Comparison) -> "Figure":
    """Plot how accuracy grows with the number of training rows; hard prompts, which learn nothing, are level lines.

    Accuracy is that of choosing between the labels. Hard prompts that were chosen by what they write are left out.

    Args:
        comparison: what ``load`` returns.
    """
    methods = comparison.plan.methods
    learning = [method for method in methods if method.learns_from_little]
    level = [
        comparison.of(method.name)
        for method in methods
        if isinstance(method, HardPrompt) and not method.judged_by_writing
    ]
    rows = comparison.plan.rows
    figure, (ax,) = new_figure(1, (WIDTH, 6))
    for number, method in enumerate(learning):
        _draw_line(ax, [comparison.of(method.name, count) for count in rows], _aside(number, len(learning)))
    start, end = rows[0] * _aside(-1, len(learning)), rows[-1] * _aside(len(learning) - 1, len(learning))
    dashes = dict(zip([found.method.name for found in level], cycle(DASHES), strict=False))
    for number, found in enumerate(level):
        colour, _ = STYLES[type(found.method)]
        ax.axhline(found.accuracy, color=colour, linewidth=1.2, linestyle=dashes[found.method.name], zorder=1)
        place = start / ASIDE ** (number + 1)
        draw_score(ax, found.method, (place, found.accuracy), found.accuracy_interval, along="y")
    draw_guessing(ax, "y")
    ax.set_xscale("log")
    ax.set_xticks(rows, [str(count) for count in rows], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlim(start / ASIDE ** (len(level) + 2), end * ASIDE)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, GUESSING - 0.06 * (high - low)), high)  # guessing is not to fall on the axis
    last = {method: comparison.of(method.name).accuracy for method in learning}
    last |= {found.method: found.accuracy for found in level}
    ends = {method: rows[-1] * _aside(number, len(learning)) for number, method in enumerate(learning)}
    _label_lines(ax, last, ends, dashes)
    ax.set_xlabel(say("Training rows (logarithmic)"))
    ax.set_ylabel(say("Accuracy of choosing, with its 95 % interval"))
    finding, note = _finding(comparison, learning, level)
    head(figure, finding)
    foot(figure, note)
    said = [
        say(
            "{name}: {values}",
            name=in_sentence(method),
            values=listed([_describe(comparison.of(method.name, count)) for count in rows]),
        )
        for method in learning
    ]
    said += [
        say(
            "level line of {method}: {score}",
            method=in_sentence(found.method),
            score=with_interval(found.accuracy, found.accuracy_interval),
        )
        for found in level
    ]
    scores = say("Accuracy of choosing, with its 95 % interval: {scores}.", scores=clauses(said))
    return described(figure, paragraph(told([finding]), scores))


def _aside(number: int, count: int) -> float:
    """Give a factor that moves the marks of one of several methods aside, on a logarithmic axis."""
    return float(ASIDE ** (number - (count - 1) / 2))


def _draw_line(ax: "Axes", found: list[Measured], aside: float) -> None:
    colour, _ = STYLES[type(found[0].method)]
    ax.plot([each.rows * aside for each in found], [each.accuracy for each in found], color=colour, linewidth=1.5)
    for each in found:
        draw_score(ax, each.method, (each.rows * aside, each.accuracy), each.accuracy_interval, along="y")


def _label_lines(ax: "Axes", last: dict[Method, float], ends: dict[Method, float], dashes: dict[str, Any]) -> None:
    """Name the lines at the right of the axes, in dark text beside a mark of each, joined to where the line ends."""
    low, high = ax.get_ylim()
    heights = [*last.values(), GUESSING]
    places = spread(heights, 0.05 * (high - low))
    beside: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "clip_on": False}
    for method, height, place in zip([*last, None], heights, places, strict=True):
        colour, marker = (QUIET, "") if method is None else STYLES[type(method)]
        line = ":" if method is None else dashes.get(method.name, "-")
        ax.annotate(
            "",
            (ax.get_xlim()[1] if method is None else ends.get(method, ax.get_xlim()[1]), height),
            xytext=(1.03, place),
            textcoords=ax.get_yaxis_transform(),
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )
        ax.plot([1.03, LABELS - 0.015], [place] * 2, color=colour, linewidth=1.2, linestyle=line, **beside)
        ax.plot([(1.03 + LABELS - 0.015) / 2], [place], marker, color=colour, markersize=size_of(marker), **beside)
        name = say("guessing") if method is None else short(method)
        ax.annotate(
            name,
            (LABELS, place),
            xytext=(0, -3),
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            va="baseline",
            fontsize=9.5,
            color=TEXT,
        )


def _finding(comparison: Comparison, learning: list[Method], level: list[Measured]) -> tuple[str, str]:
    """Say how many methods beat the best hard prompt with how many rows, and what that means."""
    best = max(level, key=lambda found: found.accuracy)
    counts = []
    for rows in comparison.plan.rows:
        better = [method for method in learning if difference(comparison.of(method.name, rows), best)[1][0] > 0]
        counts.append(
            say("{methods} with {rows}", methods=len(better), rows=rows)
            if better
            else say("none with {rows}", rows=rows)
        )
    return (
        say(
            "of {methods} methods that learn, so many are shown to beat the best hard prompt: {counts} training rows",
            methods=len(learning),
            counts=listed(counts),
        ),
        say(
            "The best hard prompt is {best}. A method beats it if the 95 % interval of the difference, review by "
            "review, lies above 0.",
            best=in_sentence(best.method),
        ),
    )


def _describe(found: Measured) -> str:
    score = with_interval(found.accuracy, found.accuracy_interval)
    return say("{score} with {rows} rows", score=score, rows=found.rows)
