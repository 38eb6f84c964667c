"""Plot of a search for settings: the runs by their learning rate."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..engine.search_plan import Trial
from ..i18n import say
from .style import LINES, QUIET, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..search import SettingsSearch

LONGER = 10  # points, the size of the mark of a longer run


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
    return finished(figure, _describe(done, search.best))


def _describe(done: list[Trial], best: Trial) -> str:
    """Say what the runs reached, and which one was chosen."""
    scores = [trial.score for trial in done if trial.score is not None]
    return say(
        "Scores and losses of {count} runs by their learning rate, from {low:g} to {high:g}. The scores reach from "
        "{least:.3f} to {most:.3f}; the chosen run has the learning rate {rate:g} and the score {score:.3f}.",
        count=len(done),
        low=min(trial.learning_rate for trial in done),
        high=max(trial.learning_rate for trial in done),
        least=min(scores),
        most=max(scores),
        rate=best.learning_rate,
        score=best.score or 0.0,
    )


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
