"""Plots of confusion matrices: what each model answered for each true label."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ..i18n import say
from .style import PAGE_WIDTH, PLAIN, finished, new_figure, shown, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..evaluation import Comparison, Scores

# Sizes in inches.
CHARACTER_WIDTH = 0.0875
CELL_WIDTH, CELL_HEIGHT = 0.5, 0.36
LEAST_WIDTH, LEAST_HEIGHT = 2.2, 1.6
MARGIN = 0.7  # for the axis' name and the title


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
    models = ((comparison.base, shown(comparison.base_name)), (comparison.tuned, say("tuned model")))
    if not all(hasattr(scores, "confusion") for scores, _ in models):
        raise ValueError("A confusion matrix takes labels; these are scores of texts.")
    labels = [shown(label) for label in comparison.tuned.labels]
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
    return finished(figure, "; ".join(_describe(scores, title) for scores, title in models))


def _describe(scores: "Scores", title: str) -> str:
    """Say how many rows of each label were answered rightly, and what happened most often to the others."""
    said = []
    names = [*map(shown, scores.labels), say("unusable")]
    for place, counts in enumerate(scores.confusion):
        said.append(say("{right} of {n} rows of {label} right", right=counts[place], n=sum(counts), label=names[place]))
        wrong = {column: count for column, count in enumerate(counts) if count and column != place}
        if wrong:
            most = max(wrong, key=lambda column: wrong[column])
            said[-1] += say(" ({wrong} answered as {other})", wrong=wrong[most], other=names[most])
    return f"{title}: {', '.join(said)}"


def _confusion(ax: "Axes", scores: "Scores", title: str, upright: bool) -> None:
    """Draw one confusion matrix; the column of unusable answers only where there are any."""
    import matplotlib.pyplot as plt

    labels = [shown(label) for label in scores.labels]
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
                    color=readable_on(colours(shares[row][column])),
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


def readable_on(colour: tuple[float, ...]) -> str:
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
    return CHARACTER_WIDTH * width_of(text)
