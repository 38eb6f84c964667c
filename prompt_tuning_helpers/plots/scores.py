"""Plots of scores: a tuned model against its base model, and several models side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..evaluation.intervals import with_interval
from ..evaluation.overview import check_comparable
from ..i18n import say
from .style import BASE, EDGE, PAGE_WIDTH, PLAIN, TUNED, finished, lengths, new_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..evaluation import Comparison, Scores, TextComparison, TextScores


def plot_comparison(comparison: "Comparison | TextComparison") -> "Figure":
    """Plot accuracy and F1 of both models, or exact match and token F1 of texts, with their 95 % intervals.

    Args:
        comparison: what ``compare`` returns.
    """
    figure, axes = new_figure(1, (PAGE_WIDTH, 3.8))
    ax = axes[0]
    width = 0.36
    models = (
        (comparison.base, BASE, "//", shown(comparison.base_name)),
        (comparison.tuned, TUNED, "", say("tuned model")),
    )
    for side, (scores, colour, hatch, name) in zip((-0.5, 0.5), models, strict=True):
        places = [group + side * (width + 0.04) for group in (0, 1)]
        values = [each.value for each in scores.measures]
        below, above = lengths(scores.measures)
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
    return finished(figure, _describe({name: scores for scores, _, _, name in models}))


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
    names = [shown(name) for name in models]
    figure, axes = new_figure(2, (PAGE_WIDTH, 1.4 + 0.42 * len(models)))
    for number, ax in enumerate(axes):
        measures = [each.measures[number] for each in scores]
        below, above = lengths(measures)
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
    return finished(figure, _describe(models))


def _describe(models: "Mapping[str, Scores | TextScores]") -> str:
    """Say what the models reach."""
    said = [
        f"{name}: " + ", ".join(f"{each.name} {with_interval(each.value, each.interval)}" for each in scores.measures)
        for name, scores in models.items()
    ]
    n = next(iter(models.values())).n
    return say("Scores on {n} test rows, with 95 % intervals", n=n) + ": " + "; ".join(said)
