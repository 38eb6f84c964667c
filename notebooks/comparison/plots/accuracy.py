"""The plot that opens the notebook: how accurate each method is, in both ways of answering."""

from typing import TYPE_CHECKING, Any

from prompt_tuning_helpers.evaluation import with_interval
from prompt_tuning_helpers.plots import new_figure

from ..differences import difference
from ..language import listed, paragraph, say, whole
from ..results import Comparison, Measured
from .style import (
    GUESSING,
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
    short,
    told,
    write_beside,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 0.16  # rows between the middle of a row and each of its marks
NAMED = 3  # so many methods are named in the title; more are counted


def plot_accuracy(comparison: Comparison) -> "Figure":
    """Plot the accuracy of each method, with its interval, in both ways of answering.

    From the methods that train nothing to the one that trains all weights, and last what has no language model.

    Args:
        comparison: what ``load`` returns.
    """
    shown = sorted(
        comparison.with_all_rows,
        key=lambda found: (not found.method.has_base_model, comparison.cost(found.method.name).trained_parameters),
    )
    best = max(shown, key=lambda found: found.accuracy)
    equals = [found for found in shown if found is not best and difference(best, found)[1][0] <= 0]
    figure, (ax,) = new_figure(1, (WIDTH, 2.0 + 0.4 * len(shown)))
    rows_from_the_top(ax, len(shown), room=1.2)  # for the word "guessing"
    for row, found in enumerate(shown):
        parameters = comparison.cost(found.method.name).trained_parameters
        weight = "bold" if found is best or found in equals else "normal"
        write_beside(ax, short(found.method), row, xytext=(-8, 1), fontweight=weight)
        write_beside(ax, _trained(found, parameters), row, xytext=(-8, -9), fontsize=8, color="#555555")
        _draw(ax, found, row)
    draw_guessing(ax, "x")
    ax.annotate(say("guessing"), (GUESSING, -0.8), xytext=(4, -3), textcoords="offset points", fontsize=9, color=TEXT)
    _add_legend(ax)
    ax.set_xlabel(say("Accuracy on {reviews} test reviews, with its 95 % interval", reviews=len(best.hits[0])))
    findings = [_about_the_best(best, equals, len(shown) - 1), *_about_writing(shown)]
    head(figure, *findings)
    foot(
        figure,
        say(
            "Bold: the most accurate when choosing between the labels, and those that cannot be told from it: the 95 % "
            "interval of the difference, review by review, holds 0."
        ),
    )
    scores = clauses([_describe(found, comparison) for found in shown])
    return described(
        figure, paragraph(told(findings), say("Accuracy with its 95 % interval: {scores}.", scores=scores))
    )


def _trained(found: Measured, parameters: int) -> str:
    """Say what is trained."""
    trained = say("nothing is trained")
    if parameters:
        trained = say("{parameters} trained parameters", parameters=whole(parameters))
    return trained if found.method.has_base_model else say("{trained}, no language model", trained=trained)


def _draw(ax: "Axes", found: Measured, row: int) -> None:
    """Draw both ways of answering, with the figures at the right; without a language model, nothing writes freely."""
    beside: dict[str, Any] = {"x": 1, "ha": "left", "fontsize": 8}
    if not found.method.has_base_model:
        draw_score(ax, found.method, (found.accuracy, row), found.accuracy_interval)
        write_beside(ax, f"{found.accuracy:.3f}", row, xytext=(8, -3), **beside)
        return
    draw_score(ax, found.method, (found.accuracy, row - APART), found.accuracy_interval)
    write_beside(ax, f"{found.accuracy:.3f}", row, xytext=(8, 2), **beside)
    draw_score(ax, found.method, (found.written_accuracy, row + APART), found.written_interval, is_hollow=True)
    write_beside(ax, f"{found.written_accuracy:.3f}", row, xytext=(8, -8), **beside)


def _add_legend(ax: "Axes") -> None:
    from matplotlib.lines import Line2D

    ways = {say("choosing between the two labels"): TEXT, say("writing freely"): "white"}
    marks = [
        Line2D([], [], linestyle="", marker="o", color=TEXT, markerfacecolor=face, label=way)
        for way, face in ways.items()
    ]
    ax.legend(
        handles=marks,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=TEXT,
        borderaxespad=0,
        handletextpad=0.1,
    )


def _about_the_best(best: Measured, equals: list[Measured], others: int) -> str:
    marks = {"best": in_sentence(best.method), "accuracy": f"{best.accuracy:.3f}"}
    if not equals:
        return say("{best} is the most accurate, at {accuracy}; all others are less accurate", **marks)
    if len(equals) <= NAMED:
        return say(
            "{best} is the most accurate, at {accuracy}; {equals} cannot be told from it",
            equals=listed([in_sentence(found.method) for found in equals]),
            **marks,
        )
    return say(
        "{best} is the most accurate, at {accuracy}; {count} of the {others} others cannot be told from it",
        count=len(equals),
        others=others,
        **marks,
    )


def _about_writing(shown: list[Measured]) -> list[str]:
    """Say what it costs to write freely instead of choosing, if there are methods of both kinds."""
    untrained, trained = (
        [
            100 * (found.accuracy - found.written_accuracy)
            for found in shown
            if found.method.has_base_model and found.method.is_tuned == is_tuned
        ]
        for is_tuned in (False, True)
    )
    if not (untrained and trained):
        return []
    lost, lost_by_trained = (max(0.0, *points) for points in (untrained, trained))
    if not round(lost_by_trained, 1):
        return [
            say(
                "writing freely costs up to {lost:.1f} points where nothing is trained, nothing elsewhere",
                lost=lost,
            )
        ]
    return [
        say(
            "writing freely costs up to {lost:.1f} points where nothing is trained, up to {elsewhere:.1f} elsewhere",
            lost=lost,
            elsewhere=lost_by_trained,
        )
    ]


def _describe(found: Measured, comparison: Comparison) -> str:
    marks = {
        "method": in_sentence(found.method),
        "parameters": whole(comparison.cost(found.method.name).trained_parameters),
        "chosen": with_interval(found.accuracy, found.accuracy_interval),
    }
    if not found.method.has_base_model:
        return say("{method}, {parameters} trained parameters, choosing {chosen}", **marks)
    return say(
        "{method}, {parameters} trained parameters, choosing {chosen}, writing {written}",
        written=with_interval(found.written_accuracy, found.written_interval),
        **marks,
    )
