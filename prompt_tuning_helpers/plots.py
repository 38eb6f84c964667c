"""Plots: the learning curve, tuned against base model, several models, confusion matrices, a search for settings."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from ._metrics import metrics_of
from .engine.search_plan import Trial
from .evaluation.overview import check_comparable
from .fonts import show_chinese
from .i18n import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .evaluation import Comparison, Scores, TextComparison, TextScores
    from .evaluation.measures import Measure
    from .search import SettingsSearch

# Okabe and Ito's palette: told apart by readers with any colour vision.
TUNED, BASE, QUIET = "#0072B2", "#E69F00", "#707070"
EDGE = "#333333"  # around what is light itself, and of what is compared with
# Of the same palette, darkened where need be to a contrast of 4.5:1 with white, since the text beside a line has its
# colour; and told apart by their markers, too.
LINES = (("#0072B2", "o"), ("#A85000", "s"), ("#00785A", "^"), ("#A0507D", "D"), ("#333333", "v"), ("#6A51A3", "P"))

LONGER = 10  # points, the size of the mark of a longer run
LABEL_LENGTH = 30  # characters, from which on a label is cut off
# A name or label is the user's text: a $ or a \ in it is no mathematics
PLAIN: dict[str, Any] = {"parse_math": False, "usetex": False}

# Sizes in confusion matrices, in inches.
PAGE_WIDTH = 8.2
CHARACTER_WIDTH = 0.0875
CELL_WIDTH, CELL_HEIGHT = 0.5, 0.36
LEAST_WIDTH, LEAST_HEIGHT = 2.2, 1.6
MARGIN = 0.7  # for the axis' name and the title


def plot_loss(details: Mapping[str, Any]) -> "Figure":
    """Plot the loss of a run, step by step, with its mean per epoch.

    Args:
        details: of the run, with its metrics: what ``watch`` returns.

    Returns:
        The figure; as the last value of a cell it is shown.

    Raises:
        ValueError: if the run has no metrics with an epoch and a loss; those that lack one are ignored.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    metrics = metrics_of(details)
    points = [(each.epoch, each.loss) for each in metrics if each.epoch is not None and each.loss is not None]
    if not points:
        what = "none of them has both an epoch and a loss" if metrics else "there are none"
        raise ValueError(f"This run has no metrics to plot: {what}.")
    epochs = sorted({epoch for epoch, _ in points})
    by_epoch = {epoch: [loss for other, loss in points if other == epoch] for epoch in epochs}
    # A record knows its epoch but not its place in it: records of an epoch are spread evenly over it.
    steps = [epoch + (place + 0.5) / len(by_epoch[epoch]) for epoch in epochs for place in range(len(by_epoch[epoch]))]
    losses = [loss for epoch in epochs for loss in by_epoch[epoch]]
    means = [sum(by_epoch[epoch]) / len(by_epoch[epoch]) for epoch in epochs]

    figure, axes = new_figure(1, (7.0, 3.6))
    ax = axes[0]
    ax.plot(steps, losses, color=QUIET, linewidth=1, alpha=0.8, label=say("each report"))
    ax.plot([epoch + 0.5 for epoch in epochs], means, "o-", color=TUNED, linewidth=2, label=say("mean of the epoch"))
    for epoch, mean in zip(epochs, means, strict=True):
        ax.annotate(f"{mean:.2f}", (epoch + 0.5, mean), textcoords="offset points", xytext=(0, 8), ha="center")
    ax.set_xticks([epoch + 0.5 for epoch in epochs], [str(epoch + 1) for epoch in epochs])
    ax.set_xlabel(say("Epoch"))
    ax.set_ylabel(say("Loss"))
    # The first losses can be a hundred times the last, and what matters happens among the last.
    if min(losses) > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_title(say("Learning curve"))
    ax.legend(frameon=False)
    return finished(figure)


def plot_comparison(comparison: "Comparison | TextComparison") -> "Figure":
    """Plot accuracy and F1 of both models, or exact match and token F1 of texts, with their 95 % intervals.

    Args:
        comparison: what ``compare`` returns.
    """
    figure, axes = new_figure(1, (6.4, 3.8))
    ax = axes[0]
    width = 0.36
    models = (
        (comparison.base, BASE, "//", _shown(comparison.base_name)),
        (comparison.tuned, TUNED, "", say("tuned model")),
    )
    for side, (scores, colour, hatch, name) in zip((-0.5, 0.5), models, strict=True):
        places = [group + side * (width + 0.04) for group in (0, 1)]
        values = [each.value for each in scores.measures]
        below, above = _lengths(scores.measures)
        ax.bar(places, values, width, color=colour, hatch=hatch, edgecolor=EDGE, label=name)
        ax.errorbar(places, values, yerr=[below, above], fmt="none", ecolor="black", capsize=4)
        for place, value, more in zip(places, values, above, strict=True):
            ax.annotate(
                f"{value:.3f}",
                (place, value + more),
                textcoords="offset points",
                xytext=(0, 4),
                ha="center",
                fontweight="bold",
            )
    ax.set_xticks([0, 1], [each.name for each in comparison.tuned.measures])
    ax.set_ylim(0, 1.12)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_title(say("Scores on {n} test rows, with 95 % intervals", n=comparison.tuned.n))
    legend = ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    for text in legend.get_texts():
        text.set(**PLAIN)
    return finished(figure)


def plot_scores(models: "Mapping[str, Scores | TextScores]") -> "Figure":
    """Plot the scores of several models, a tuned one and baselines for instance, with their 95 % intervals.

    Args:
        models: their names, and what ``evaluate`` or a baseline returns for each on the same rows; the first one is
            drawn in the colour of a tuned model.

    Raises:
        ValueError: if there are none, or if they are not of the same rows and of the same kind.
    """
    check_comparable(models)
    scores = list(models.values())
    names = [_shown(name) for name in models]
    figure, axes = new_figure(2, (8.2, 1.4 + 0.42 * len(models)))
    for number, ax in enumerate(axes):
        measures = [each.measures[number] for each in scores]
        below, above = _lengths(measures)
        for place, (each, less, more) in enumerate(zip(measures, below, above, strict=True)):
            colour, marker = (TUNED, "o") if place == 0 else (EDGE, "s")
            ax.errorbar(each.value, place, xerr=[[less], [more]], fmt=marker, color=colour, capsize=4, elinewidth=1.5)
            ax.annotate(
                f"{each.value:.3f}", (each.value, place), textcoords="offset points", xytext=(0, 6), ha="center"
            )
        ax.set_title(measures[0].name)
        ax.set_xlim(-0.12, 1.12)  # room for a value at either end
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
        ax.set_ylim(len(scores) - 0.5, -0.75)  # the first at the top, and room for its value
        ax.set_yticks(range(len(scores)), names if number == 0 else [""] * len(scores), **PLAIN)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color="#dddddd", linewidth=0.8)
        ax.grid(visible=False, axis="y")
    figure.suptitle(say("Scores on {n} test rows, with 95 % intervals", n=scores[0].n))
    return finished(figure)


def _lengths(measures: "Sequence[Measure]") -> tuple[list[float], list[float]]:
    """Give how far the intervals reach below and above; rounding noise must not make a length negative."""
    below = [max(0.0, each.value - each.interval[0]) for each in measures]
    above = [max(0.0, each.interval[1] - each.value) for each in measures]
    return below, above


def plot_confusion(comparison: "Comparison") -> "Figure":
    """Plot what each model answered for each true label.

    The colour says which share of a true label's rows was answered so: labels with few rows are seen, too. With more
    than two labels, what never happened is an empty cell. Matrices that are too wide to stand side by side stand one
    above the other.

    Args:
        comparison: what ``compare`` returns for a classification.

    Raises:
        ValueError: if texts were compared, which have no labels.
    """
    models = ((comparison.base, _shown(comparison.base_name)), (comparison.tuned, say("tuned model")))
    if not all(hasattr(scores, "confusion") for scores, _ in models):
        raise ValueError("A confusion matrix takes labels; these are scores of texts.")
    labels = [_shown(label) for label in comparison.tuned.labels]
    columns = len(labels) + any(scores.unusable for scores, _ in models)
    names = max(map(_inches, labels))
    width, height = max(LEAST_WIDTH, CELL_WIDTH * columns), max(LEAST_HEIGHT, CELL_HEIGHT * len(labels))
    abreast = 2 * (names + width + MARGIN) <= PAGE_WIDTH
    answers = [*labels, say("unusable")]
    roomy = PAGE_WIDTH / (2 if abreast else 1) - names - MARGIN
    upright = _crowded(answers, roomy / columns)
    if abreast or not upright:
        width = roomy
    tall = height + MARGIN + max(1.0, names if upright else 0.0) + 0.2
    size = (PAGE_WIDTH, max(3.6, tall)) if abreast else (names + width + MARGIN, 2 * tall)
    figure, axes = new_figure(2, size, stacked=not abreast)
    for ax, (scores, title) in zip(axes, models, strict=True):
        _confusion(ax, scores, title, upright)
    return finished(figure)


def _confusion(ax: "Axes", scores: "Scores", title: str, upright: bool) -> None:
    """Draw one confusion matrix; the column of unusable answers only where there are any."""
    import matplotlib.pyplot as plt

    labels = [_shown(label) for label in scores.labels]
    answers = [*labels, say("unusable")] if scores.unusable else labels
    counts = [list(row[: len(answers)]) for row in scores.confusion]
    shares = [[count / max(1, sum(row)) for count in row] for row in scores.confusion]
    colours = plt.get_cmap("Blues")
    ax.imshow([row[: len(answers)] for row in shares], cmap=colours, vmin=0, vmax=1, aspect="auto")
    many = len(labels) > 2
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            if count or not many:
                ax.text(
                    column,
                    row,
                    str(count),
                    ha="center",
                    va="center",
                    fontsize=10 if many else 14,
                    color=_readable_on(colours(shares[row][column])),
                    fontweight="bold" if row == column else "normal",
                )
    ax.set_xticks(range(len(answers)), answers, rotation="vertical" if upright else "horizontal", **PLAIN)
    ax.set_yticks(range(len(labels)), labels, **PLAIN)
    ax.set_xlabel(say("answered"))
    ax.set_ylabel(say("true label"))
    ax.set_title(title, **PLAIN)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    if many:  # lines to follow from a label to its cells
        ax.set_xticks([column - 0.5 for column in range(len(answers) + 1)], minor=True)
        ax.set_yticks([row - 0.5 for row in range(len(labels) + 1)], minor=True)
        ax.grid(which="minor", color="#cccccc", linewidth=0.8)
        ax.tick_params(which="minor", length=0)
        ax.set_axisbelow(False)


def _readable_on(colour: tuple[float, ...]) -> str:
    """Choose black or white, whichever contrasts more with a colour: by at least 4.5 to 1 (WCAG 2.1, 1.4.3).

    Args:
        colour: red, green and blue from 0 to 1, and more.
    """
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "white"


def _crowded(names: Sequence[str], width: float) -> bool:
    """Tell whether names side by side would run into each other.

    Args:
        names: in their order.
        width: of the place that each has, in inches.
    """
    return any((_inches(one) + _inches(other)) / 2 + 0.1 > width for one, other in pairwise(names))


def _inches(text: str) -> float:
    """Estimate how wide a text is in the size of labels."""
    return CHARACTER_WIDTH * _half_widths(text)


def _half_widths(text: str) -> int:
    """Count characters; those of Chinese and the like are two wide."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _shown(label: str) -> str:
    """Give a label in one line, cut off if it is long."""
    line = " ".join(label.split())
    if _half_widths(line) <= LABEL_LENGTH:
        return line
    widths = accumulate(map(_half_widths, line))
    fitting = sum(width < LABEL_LENGTH for width in widths)
    return f"{line[:fitting].rstrip()}…"


def plot_search(search: "SettingsSearch") -> "Figure":
    """Plot the score, and the loss at the end, of the runs of a search by their learning rate.

    There is a line for each length of the soft prompt and each start. It joins runs of the same round, which are
    equally long; those of a later round are longer and stand by themselves. The chosen run is ringed.

    Args:
        search: what ``search_settings`` returns.

    Raises:
        ValueError: if no run succeeded.
    """
    done = [trial for trial in search.trials if trial.score is not None]
    if not done:
        raise ValueError("This search has no runs to plot: all failed.")
    groups = list(dict.fromkeys((trial.num_virtual_tokens, trial.start) for trial in done))
    figure, axes = new_figure(2, (9.0, 3.9))
    panels: tuple[tuple[Axes, str, Callable[[Trial], float | None]], ...] = (
        (axes[0], say("Score on held-back rows, with 95 % intervals"), lambda trial: trial.score),
        (axes[1], say("Loss at the end of the run"), _loss_of),
    )
    first = min(trial.round for trial in done)
    for ax, title, value_of in panels:
        for place, (tokens, start) in enumerate(groups):
            runs = [trial for trial in done if (trial.num_virtual_tokens, trial.start) == (tokens, start)]
            known = [(trial, value) for trial in runs if (value := value_of(trial)) is not None]
            _search_line(ax, known, first, *LINES[place % len(LINES)], _line_name(tokens, start, len(search.starts)))
            if ax is axes[0]:
                _intervals(ax, runs, LINES[place % len(LINES)][0])
        if any(trial.round > first for trial in done):
            ax.plot([], [], "o", color=QUIET, markersize=LONGER, label=say("longer runs"))
        chosen = value_of(search.best)
        if chosen is not None:
            ax.plot(
                [search.best.learning_rate],
                [chosen],
                "o",
                markersize=18,
                markerfacecolor="none",
                markeredgecolor="black",
                markeredgewidth=1.5,
                linestyle="none",
                label=say("chosen"),
            )
        _rates_below(ax, sorted({trial.learning_rate for trial in done}))
        ax.set_title(title, fontsize=11)
    axes[0].set_ylim(0, 1.05)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=min(len(names), 4))
    return finished(figure)


def _search_line(ax: "Axes", runs: list[tuple[Trial, float]], first: int, colour: str, marker: str, name: str) -> None:
    """Draw the runs of one length and start: a line through those of the first round, larger marks for longer ones."""
    points = sorted((trial.learning_rate, value) for trial, value in runs if trial.round == first)
    ax.plot([rate for rate, _ in points], [value for _, value in points], marker=marker, color=colour, label=name)
    longer = [(trial.learning_rate, value) for trial, value in runs if trial.round > first]
    ax.plot([rate for rate, _ in longer], [value for _, value in longer], marker, color=colour, markersize=LONGER)


def _intervals(ax: "Axes", runs: list[Trial], colour: str) -> None:
    for trial in runs:
        if trial.interval is not None:
            ax.vlines(trial.learning_rate, *trial.interval, color=colour, linewidth=1, alpha=0.5)


def _rates_below(ax: "Axes", rates: list[float]) -> None:
    """Name the rates that were tried, on a logarithmic axis."""
    ax.set_xscale("log")
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates], rotation=45 if len(rates) > 5 else 0)
    ax.set_xticks([], minor=True)
    ax.set_xlabel(say("Learning rate"))


def _loss_of(trial: Trial) -> float | None:
    return trial.final_loss if trial.held_back_loss is None else trial.held_back_loss


def _line_name(tokens: int | None, start: int, starts: int) -> str:
    """Name a line by the length of its soft prompts, and by its start if there are several."""
    if tokens is None:
        return say("start {start}", start=start)
    if starts == 1:
        return say("{tokens} virtual tokens", tokens=tokens)
    return say("{tokens} virtual tokens, start {start}", tokens=tokens, start=start)


def new_figure(panels: int, size: tuple[float, float], *, stacked: bool = False) -> tuple["Figure", list["Axes"]]:
    """Make a figure with axes side by side or one above the other, all in the same plain style.

    Args:
        panels: how many axes.
        size: of the figure, width and height in inches.
        stacked: whether they stand one above the other.

    Returns:
        The figure and its axes, from left to right or from top to bottom.
    """
    import matplotlib.pyplot as plt

    rows, columns = (panels, 1) if stacked else (1, panels)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#dddddd", linewidth=0.8)
        ax.set_axisbelow(True)
    return figure, list(axes.flat)


def finished(figure: "Figure") -> "Figure":
    """Hand a figure over; closed, so that a notebook shows it once, as the value of its cell.

    Args:
        figure: the figure.

    Returns:
        The same figure.
    """
    import matplotlib.pyplot as plt

    show_chinese(figure)
    plt.close(figure)
    return figure
