"""Plots: the learning curve, tuned model against base model, confusion matrices, and a search for settings."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ._metrics import metrics_of
from .engine.search_plan import Trial
from .fonts import show_chinese
from .i18n import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .evaluation import Comparison, Scores
    from .search import SettingsSearch

# Okabe and Ito's palette: told apart by readers with any colour vision.
TUNED, BASE, QUIET = "#0072B2", "#E69F00", "#888888"
# Of the same palette, darkened where need be to a contrast of 4.5:1 with white, since the text beside a line has its
# colour; and told apart by their markers, too.
LINES = (("#0072B2", "o"), ("#A85000", "s"), ("#00785A", "^"), ("#A0507D", "D"), ("#333333", "v"), ("#6A51A3", "P"))

LONGER = 10  # points, the size of the mark of a longer run
LABEL_LENGTH = 30  # characters, from which on a label is cut off
CHARACTERS_ABREAST = 40  # that fit under one of the matrices; labels with more of them are set upright


def plot_loss(details: Mapping[str, Any]) -> "Figure":
    """Plot the loss of a run, step by step, with its mean per epoch.

    Args:
        details: of the run, with its metrics: what ``watch`` returns.

    Returns:
        The figure; as the last value of a cell it is shown.

    Raises:
        ValueError: if the run has no metrics with an epoch and a loss; those that lack one are ignored.
    """
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
        ax.yaxis.set_major_formatter("{x:g}")
    ax.set_title(say("Learning curve"))
    ax.legend(frameon=False)
    return finished(figure)


def plot_comparison(comparison: "Comparison") -> "Figure":
    """Plot accuracy and F1 of both models with their 95 % intervals.

    Args:
        comparison: what ``compare`` returns.
    """
    figure, axes = new_figure(1, (6.4, 3.8))
    ax = axes[0]
    width = 0.36
    models = ((comparison.base, BASE, "//", say("base model")), (comparison.tuned, TUNED, "", say("tuned model")))
    for side, (scores, colour, hatch, name) in zip((-0.5, 0.5), models, strict=True):
        places = [group + side * (width + 0.04) for group in (0, 1)]
        values = [scores.accuracy, scores.f1]
        intervals = [scores.accuracy_interval, scores.f1_interval]
        # An interval of rounding noise must not give a negative length.
        below = [max(0.0, value - low) for value, (low, _) in zip(values, intervals, strict=True)]
        above = [max(0.0, high - value) for value, (_, high) in zip(values, intervals, strict=True)]
        ax.bar(places, values, width, color=colour, hatch=hatch, edgecolor="white", label=name)
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
    ax.set_xticks([0, 1], [say("Accuracy"), say("F1")])
    ax.set_ylim(0, 1.12)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_title(say("Scores on {n} test reviews, with 95 % intervals", n=comparison.tuned.n))
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    return finished(figure)


def plot_confusion(comparison: "Comparison") -> "Figure":
    """Plot what each model answered for each true label.

    Args:
        comparison: what ``compare`` returns.
    """
    figure, axes = new_figure(2, (8.2, 3.6))
    _confusion(axes[0], comparison.base, say("base model"))
    _confusion(axes[1], comparison.tuned, say("tuned model"))
    return finished(figure)


def _confusion(ax: "Axes", scores: "Scores", title: str) -> None:
    """Draw one confusion matrix; the column of unusable answers only where there are any."""
    labels = [_shown(label) for label in scores.labels]
    answers = [*labels, say("unusable")] if scores.unusable else labels
    counts = [list(row[: len(answers)]) for row in scores.confusion]
    most = max(max(sum(row) for row in counts), 1)
    ax.imshow(counts, cmap="Blues", vmin=0, vmax=most, aspect="auto")
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            ax.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                fontsize=14,
                color="white" if count > most / 2 else "black",
                fontweight="bold" if row == column else "normal",
            )
    # a label is the user's text: a $ or a \\ in it is no mathematics
    plain = {"parse_math": False, "usetex": False}
    upright = sum(map(len, answers)) > CHARACTERS_ABREAST
    ax.set_xticks(range(len(answers)), answers, rotation="vertical" if upright else "horizontal", **plain)
    ax.set_yticks(range(len(labels)), labels, **plain)
    ax.set_xlabel(say("answered"))
    ax.set_ylabel(say("true label"))
    ax.set_title(title)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _shown(label: str) -> str:
    """Give a label in one line, cut off if it is long."""
    line = " ".join(label.split())
    return line if len(line) <= LABEL_LENGTH else f"{line[: LABEL_LENGTH - 1].rstrip()}…"


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


def new_figure(columns: int, size: tuple[float, float]) -> tuple["Figure", list["Axes"]]:
    """Make a figure with axes side by side, all in the same plain style.

    Args:
        columns: how many axes.
        size: of the figure, width and height in inches.

    Returns:
        The figure and its axes, from left to right.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#dddddd", linewidth=0.8)
        ax.set_axisbelow(True)
    return figure, list(axes[0])


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
