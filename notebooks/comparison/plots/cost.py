"""The plot of what each method costs: time, memory, and what has to be kept."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prompt_tuning_helpers.plots import new_grid

from ..language import paragraph, say
from ..results import Comparison, Cost, Measured
from ..tables import memory, milliseconds, seconds, size, two_digits, unbroken
from .style import (
    STYLES,
    TEXT,
    WIDTH,
    described,
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

ROW = 0.28  # inches
BELOW = 0.34  # rows between a mark and the dots of the single measurements, which it would hide


@dataclass(frozen=True)
class _Panel:
    """One cost of several methods.

    Args:
        title: with the unit, in English.
        measure: gives the cost, if a method has it.
        write: writes it.
        each: gives the single measurements that it is the mean of.
        second: gives another cost in the same unit, for a hollow mark.
        is_logarithmic: whether the axis is.
    """

    title: str
    measure: Callable[[Measured], float | None]
    write: Callable[[Any], str] = two_digits
    each: Callable[[Measured], Sequence[float]] = lambda found: ()
    second: Callable[[Measured], float | None] = lambda found: None
    is_logarithmic: bool = False


TUNING = (
    _Panel("One pass over the rows,\nseconds", lambda found: found.pass_seconds, each=lambda found: found.each_pass),
    _Panel("Passes that the search\nchose", lambda found: found.passes, str),
    _Panel(
        "The whole tuning,\nseconds",
        lambda found: _cost(found).tuning_seconds,
        each=lambda found: _cost(found).each_tuning_seconds,
    ),
)
ANSWERING = (
    _Panel(
        "Memory, MiB: answering\n(hollow) / tuning (filled)",
        lambda found: _cost(found).tuning_memory_mb,
        second=lambda found: _cost(found).answering_memory_mb,
    ),
    _Panel(
        "Time per review,\nmilliseconds",
        lambda found: _cost(found).scoring_ms,
        each=lambda found: [1000 * each for each in _cost(found).review_seconds],
    ),
    _Panel("Saved size\n(logarithmic)", lambda found: _cost(found).saved_bytes, size, is_logarithmic=True),
)


def plot_cost(comparison: Comparison) -> "Figure":
    """Plot what each method costs: time to tune, memory, time to answer, and what has to be kept.

    Args:
        comparison: what ``load`` returns.
    """
    answering = comparison.with_all_rows
    tuned = [found for found in answering if found.method.is_tuned]
    inches = WIDTH, 2.9 + ROW * (len(tuned) + len(answering))
    figure, axes = new_grid(2, 3, inches, height_ratios=(len(tuned), len(answering)))
    for panels, shown, row in zip((TUNING, ANSWERING), (tuned, answering), axes, strict=True):
        for panel, ax in zip(panels, row, strict=True):
            _draw(ax, panel, shown)
        for place, found in enumerate(shown):
            write_beside(row[0], short(found.method), place, fontsize=9)
    findings = _findings([found for found in tuned if found.method.has_base_model])
    head(figure, *findings)
    foot(
        figure,
        paragraph(
            say("Large marks are means; small dots are the single measurements."),
            say("Times are those of one processor core."),
            say("Memory is the most that the whole program takes, with Python, its libraries and the base model."),
            say("Saved is what has to be kept for the task beside the base model."),
        ),
    )
    return described(figure, paragraph(told(findings), *map(_describe, answering)))


def _cost(found: Measured) -> Cost:
    assert found.cost is not None
    return found.cost


def _draw(ax: "Axes", panel: _Panel, shown: list[Measured]) -> None:
    """Draw a dot a method, with its value beside it, and the single measurements below it."""
    if panel.is_logarithmic:
        ax.set_xscale("log")
    rows_from_the_top(ax, len(shown))
    everything = []
    for row, found in enumerate(shown):
        colour, marker = STYLES[type(found.method)]
        each, marks = panel.each(found), [(panel.second(found), "white"), (panel.measure(found), colour)]
        ax.plot(each, [row + BELOW] * len(each), "o", color=colour, markersize=2.4, alpha=0.6, markeredgewidth=0)
        drawn = [(value, face) for value, face in marks if value is not None]
        for value, face in drawn:
            ax.plot(value, row, marker, color=colour, markerfacecolor=face, markersize=size_of(marker), clip_on=False)
        values = [value for value, _ in drawn]
        _write_value(ax, " / ".join(map(panel.write, values)) or say("none"), max([*values, *each], default=None), row)
        everything += [*values, *each]
    if panel.is_logarithmic:
        ax.set_xlim(min(everything) / 3, max(everything) * 1000)
        powers = range(math.ceil(math.log10(min(everything))), math.ceil(math.log10(max(everything))), 3)
        ax.set_xticks([10**power for power in powers], [size(10**power).replace(".0", "") for power in powers])
        ax.set_xticks([], minor=True)
    else:
        ax.set_xlim(0, 1.9 * max(everything, default=1))  # room for the text
        ax.locator_params(axis="x", nbins=3)
    ax.tick_params(axis="x", labelsize=8)
    ax.set_title(say(panel.title), fontsize=9.5, color=TEXT)


def _write_value(ax: "Axes", text: str, value: float | None, row: int) -> None:
    """Write at the right of the marks; at the axis where there are none."""
    ax.annotate(
        text,
        (0 if value is None else value, row),
        xycoords=ax.get_yaxis_transform() if value is None else "data",
        xytext=(6, -3),
        textcoords="offset points",
        va="baseline",
        fontsize=8,
        color=TEXT,
    )


def _findings(tuned: list[Measured]) -> tuple[str, str]:
    """Say between which methods that tune the language model time and room lie furthest apart."""
    fastest, slowest = (pick(tuned, key=lambda found: _cost(found).tuning_seconds) for pick in (min, max))
    least, most = (pick(tuned, key=lambda found: _cost(found).saved_bytes) for pick in (min, max))
    return (
        say(
            "tuning the model takes from {least} with {fastest} to {most} with {slowest}",
            least=unbroken(seconds(_cost(fastest).tuning_seconds)),
            fastest=in_sentence(fastest.method),
            most=unbroken(seconds(_cost(slowest).tuning_seconds)),
            slowest=in_sentence(slowest.method),
        ),
        say(
            "what tuning it saves takes from {least} with {smallest} to {most} with {largest}",
            least=unbroken(size(_cost(least).saved_bytes)),
            smallest=in_sentence(least.method),
            most=unbroken(size(_cost(most).saved_bytes)),
            largest=in_sentence(most.method),
        ),
    )


def _describe(found: Measured) -> str:
    cost = _cost(found)
    said = []
    if found.passes:
        said.append(say("{passes} passes of {time}", passes=found.passes, time=seconds(found.pass_seconds or 0)))
    if cost.updates:
        low, high = min(cost.each_tuning_seconds), max(cost.each_tuning_seconds)
        said += [
            say(
                "tuning {time}, by single measurements {low} to {high}",
                time=seconds(cost.tuning_seconds),
                low=seconds(low),
                high=seconds(high),
            ),
            say("memory of tuning {memory}", memory=memory(cost.tuning_memory_mb)),
        ]
    said += [
        say("memory of answering {memory}", memory=memory(cost.answering_memory_mb)),
        say("{time} per review", time=milliseconds(cost.scoring_ms)),
        say("{size} saved", size=size(cost.saved_bytes)),
    ]
    return say("{name}: {values}.", name=in_sentence(found.method), values=series(said))
