"""Plots: the learning curve, tuned model against base model, and confusion matrices."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._metrics import metrics_of
from .fonts import show_chinese
from .i18n import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .evaluation import Comparison, Scores

# Okabe and Ito's palette: told apart by readers with any colour vision.
TUNED, BASE, QUIET = "#0072B2", "#E69F00", "#888888"

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
