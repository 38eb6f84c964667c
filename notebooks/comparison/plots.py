"""Plots of the comparison: accuracy against trained parameters, learning from little data, cost, the opened prompt."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from prompt_tuning_helpers.plots import BASE, QUIET, TUNED, finished, new_figure

from .methods import FullFineTuning, HardPrompt, LoRA, Method, PrefixTuning, PromptTuning, StartingText, TfIdf
from .results import Comparison, Cost, Measured
from .tables import memory, milliseconds, quote, seconds, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette again, and a marker each, so that colour is never all there is to go by.
STYLES: dict[type[Method], tuple[str, str]] = {
    HardPrompt: (BASE, "s"),
    StartingText: ("#56B4E9", "v"),
    PromptTuning: (TUNED, "o"),
    PrefixTuning: ("#CC79A7", "^"),
    LoRA: ("#009E73", "D"),
    FullFineTuning: ("#D55E00", "P"),
    TfIdf: ("#555555", "X"),
}
GUESSING = 0.5  # accuracy of guessing, since half of the reviews have each label
LINE = 0.21  # powers of ten of trained parameters that a line of text takes up
BELOW_TRAINED = 0.8  # powers of ten between the fewest trained parameters and none


def plot_accuracy(comparison: Comparison) -> "Figure":
    """Plot accuracy, with its interval, against the number of trained parameters.

    Args:
        comparison: what ``load`` returns.
    """
    shown = comparison.with_all_rows
    parameters = [comparison.cost(found.method.name).trained_parameters for found in shown]
    powers = [np.log10(number) for number in parameters if number]
    nothing = min(powers) - BELOW_TRAINED
    # Methods with as many parameters as each other stand side by side.
    places = _spread([np.log10(number) if number else nothing for number in parameters], LINE)
    figure, (ax,) = new_figure(1, (8.6, 4.8))
    for found, place in zip(shown, places, strict=True):
        _draw_score(ax, found, found.accuracy, place, "x")
        _label(ax, found.method, place)
    untrained, trained = (
        [place for number, place in zip(parameters, places, strict=True) if bool(number) == is_trained]
        for is_trained in (False, True)
    )
    ax.axhline((max(untrained, default=nothing) + min(trained)) / 2, color=QUIET, linewidth=0.8)
    ax.axvline(GUESSING, color=QUIET, linewidth=1, linestyle=":")
    ax.annotate("guessing", (GUESSING, max(places)), textcoords="offset points", xytext=(4, 0), color=QUIET)
    powers_shown = range(int(np.ceil(min(powers))), int(max(powers)) + 1)
    ticks = {nothing: "none"} | {power: _parameters(10**power) for power in powers_shown}
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set_ylabel("Trained parameters")
    ax.set_xlabel("Accuracy, with its 95 % interval")
    ax.grid(axis="x", color="#dddddd", linewidth=0.8)
    ax.set_title(f"Accuracy and trained parameters, {comparison.plan.rows[-1]} training rows")
    return finished(figure, "TODO")


def plot_little_data(comparison: Comparison) -> "Figure":
    """Plot how accuracy grows with the number of training rows; hard prompts, which learn nothing, are level lines.

    Args:
        comparison: what ``load`` returns.
    """
    figure, (ax,) = new_figure(1, (8.6, 4.6))
    rows = comparison.plan.rows
    learning = [method for method in comparison.plan.methods if method.learns_from_little]
    level = [method for method in comparison.plan.methods if isinstance(method, HardPrompt)]
    for number, method in enumerate(learning):
        colour, _ = STYLES[type(method)]
        aside = 1.05 ** (number - (len(learning) - 1) / 2)  # so that intervals do not hide each other
        found = [comparison.of(method.name, count) for count in rows]
        ax.plot([count * aside for count in rows], [m.accuracy for m in found], color=colour, linewidth=1.5)
        for measured in found:
            _draw_score(ax, measured, measured.rows * aside, measured.accuracy, "y")
    for method, dashes in zip(level, cycle(("--", "-.")), strict=False):
        ax.axhline(comparison.of(method.name).accuracy, color=STYLES[type(method)][0], linewidth=1.5, linestyle=dashes)
    ax.axhline(GUESSING, color=QUIET, linewidth=1, linestyle=":")
    ax.set_xscale("log")
    ax.set_xticks(rows, [str(count) for count in rows], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlim(rows[0] / 1.3, rows[-1] * 1.3)
    low, high = ax.get_ylim()
    ends = [comparison.of(method.name).accuracy for method in (*learning, *level)]
    labels = _spread([*ends, GUESSING], 0.045 * (high - low))
    for method, end, label in zip((*learning, *level), ends, labels[:-1], strict=True):
        _label(ax, method, label, joined_to=end)
    ax.annotate("guessing", (1.06, labels[-1]), xycoords=ax.get_yaxis_transform(), va="center", color=QUIET)
    ax.set_xlabel("Training rows")
    ax.set_ylabel("Accuracy, with its 95 % interval")
    ax.set_title("Learning from little data")
    return finished(figure, "TODO")


def plot_cost(comparison: Comparison) -> "Figure":
    """Plot what each method costs: time to tune, memory, time to answer, and what has to be kept.

    Args:
        comparison: what ``load`` returns.
    """
    shown = comparison.with_all_rows
    costs = [comparison.cost(found.method.name) for found in shown]
    panels: tuple[tuple[str, Callable[[Cost], float | None], Callable[[Any], str], bool], ...] = (
        ("Tuning time\n(one core)", lambda cost: cost.tuning_seconds, seconds, False),
        ("Peak memory\nof tuning", lambda cost: cost.tuning_memory_mb, memory, False),
        ("Time per review\n(one core)", lambda cost: cost.scoring_ms, milliseconds, False),
        ("Saved size\n(logarithmic)", lambda cost: cost.saved_bytes, size, True),
    )
    figure, axes = new_figure(len(panels), (9.2, 4.2))
    for ax, (title, measure, write, is_logarithmic) in zip(axes, panels, strict=True):
        _bars(ax, [STYLES[type(found.method)][0] for found in shown], [measure(cost) for cost in costs], write)
        if is_logarithmic:
            sizes = [measure(cost) or 0 for cost in costs]
            ax.set_xscale("log")
            ax.set_xlim(min(sizes) / 3, max(sizes) * 300)
        ax.set_xticks([])
        ax.set_xticks([], minor=True)
        ax.set_yticks(range(len(shown)), [""] * len(shown))
        ax.spines["bottom"].set_visible(False)
        ax.set_title(title, fontsize=10)
    axes[0].set_yticks(range(len(shown)), [_short(found.method) for found in shown])
    return finished(figure, "TODO")


def plot_virtual_tokens(comparison: Comparison) -> "Figure":
    """Plot how far each virtual token moved while it was tuned, and what the prompt is worth without it.

    Args:
        comparison: what ``load`` returns.
    """
    opened: dict[str, Any] = comparison.opened
    tokens = opened["tokens"]
    lost = [100 * (opened["accuracy"] - token["accuracy_without"]) for token in tokens]
    figure, (moved, worth) = new_figure(2, (8.6, 0.9 + 0.21 * len(tokens)))
    _bars(moved, [TUNED] * len(tokens), [token["moved"] for token in tokens], lambda value: f"{value:.2f}")
    _bars(worth, [BASE] * len(tokens), lost, lambda value: f"{value:+.1f}" if value else "0")
    moved.set_title("How far it moved\n(1: the length of a typical word's embedding)", fontsize=10)
    worth.set_title("Points of accuracy lost without it\n(below 0: gained)", fontsize=10)
    worth.axvline(0, color=QUIET, linewidth=0.8)
    for ax in (moved, worth):
        ax.set_xticks([])
        ax.spines[["bottom", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_yticks(range(len(tokens)), [""] * len(tokens))
    names = [f"{quote(token['before'][0]['token'])}  {number}" for number, token in enumerate(tokens, start=1)]
    moved.set_yticks(range(len(tokens)), names, parse_math=False)
    return finished(figure, "TODO")


def _draw_score(ax: "Axes", found: Measured, x: float, y: float, along: str) -> None:
    """Draw a point, and its interval along an axis."""
    colour, marker = STYLES[type(found.method)]
    low, high = found.accuracy_interval
    # An interval of rounding noise must not give a negative length.
    lengths = [[max(0.0, found.accuracy - low)], [max(0.0, high - found.accuracy)]]
    across, up = (lengths, None) if along == "x" else (None, lengths)
    ax.errorbar(x, y, xerr=across, yerr=up, fmt=marker, color=colour, capsize=3, elinewidth=1.2)


def _label(ax: "Axes", method: Method, height: float, joined_to: float | None = None) -> None:
    """Name a method at the right of the axes, in its colour."""
    colour, marker = STYLES[type(method)]
    line = None if joined_to is None else {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": (0, 0.5)}
    end = (1.06, height) if joined_to is None else (1.0, joined_to)
    ax.annotate(
        _short(method),
        end,
        xytext=(1.06, height),
        xycoords=ax.get_yaxis_transform(),
        textcoords=ax.get_yaxis_transform(),
        va="center",
        color=colour,
        arrowprops=line,
    )
    if joined_to is None:
        ax.plot(1.03, height, marker, color=colour, transform=ax.get_yaxis_transform(), clip_on=False)


def _bars(ax: "Axes", colours: Sequence[str], values: Sequence[float | None], write: Callable[[Any], str]) -> None:
    """Draw bars from top to bottom, each with its value at its end; no bar where there is no value."""
    lengths = [value or 0.0 for value in values]
    ax.barh(range(len(values)), lengths, color=colours, height=0.7)
    for place, (value, length) in enumerate(zip(values, lengths, strict=True)):
        ax.annotate(
            write(value), (max(length, 0), place), textcoords="offset points", xytext=(3, 0), va="center", fontsize=8
        )
    ax.set_xlim(min(0.0, *lengths), 1.5 * max(*lengths, 1e-9))  # room for the text
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.grid(visible=False)


def _spread(places: Sequence[float], distance: float) -> list[float]:
    """Move places apart until neighbours are so far from each other; all together as little as possible."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(places, kind="stable")
    steps = distance * np.arange(len(places))
    apart = np.empty(len(places))
    apart[order] = isotonic_regression(np.array(places)[order] - steps) + steps
    return [float(place) for place in apart]


def _short(method: Method) -> str:
    return method.title.replace("virtual tokens", "tokens")


def _parameters(number: int) -> str:
    for unit, factor in ((" million", 1_000_000), (",000", 1_000)):
        if number >= factor:
            return f"{number // factor}{unit}"
    return str(number)
