"""Plot of a tuning run: its loss, update by update, and what it could do on validation rows after each epoch."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from .._metrics import cost_of_guessing, metrics_of
from ..i18n import paragraph, say
from .style import EDGE, PAGE_WIDTH, QUIET, TUNED, finished, lengths, new_figure, outlined

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..evaluation import Scores, TextScores
    from ..evaluation.measures import Measure

MOST_NAMED = 8  # epochs whose values are written beside them; of more, the first, the best and the last
MOST_TICKS = 12


def plot_loss(details: Mapping[str, Any], validation: "Mapping[int, Scores | TextScores] | None" = None) -> "Figure":
    """Plot the loss of a run, update by update, with the median of each epoch and what guessing would cost.

    The first losses of a run are so much larger than the others that the mean of its first epoch lies above nearly all
    of them; the median lies among them.

    Args:
        details: of the run, with its metrics: what ``watch`` returns. Where they tell what guessing costs, as the local
            runtime's do for labels, it is drawn: the loss of giving each label as often as it occurs in the training
            rows, whatever the input. The loss is a mean over all tokens of the output, the end-of-text token included,
            so for two labels of one token in equal parts that is ``log(2) / 2 = 0.347``, not ``log(2)``.
        validation: what ``accuracy_by_epoch`` returns. It is drawn below the loss, with 95 % intervals; without it,
            and if it is empty, the loss stands alone.

    Returns:
        The figure; as the last value of a cell it is shown.

    Raises:
        ValueError: if the run has no metrics with an epoch and a loss; those that lack one are ignored.
    """
    by_epoch = _losses(details)
    figure, axes = new_figure(
        2 if validation else 1, (PAGE_WIDTH, 5.6 if validation else 3.4), stacked=True, share_x=bool(validation)
    )
    guessing = cost_of_guessing(details)
    _draw_loss(axes[0], by_epoch, guessing)
    text = _describe_loss(by_epoch, guessing)
    if validation:
        measures = {epoch: scores.measures[0] for epoch, scores in validation.items()}
        rows = next(iter(validation.values())).n
        _draw_validation(axes[1], measures, rows)
        text = paragraph(text, _describe_validation(measures, rows))
    first, last = min(by_epoch), max(max(by_epoch), max(validation or [0]) - 1)
    # An epoch's updates lie between two lines, and what it leaves behind on the second.
    for ax in axes:
        ax.set_xlim(first - 0.03 * (last + 1 - first), last + 1 + 0.03 * (last + 1 - first))
        ax.set_xticks(range(first, last + 2), [""] * (last + 2 - first))
        ax.tick_params(axis="x", which="minor", length=0)
        ax.grid(visible=True, axis="x", color="#eeeeee", linewidth=0.8)
    every = -(-(last + 1 - first) // MOST_TICKS)
    named = range(first, last + 1, every)
    axes[-1].set_xticks([epoch + 0.5 for epoch in named], [str(epoch + 1) for epoch in named], minor=True)
    axes[-1].set_xlabel(say("Epoch"))
    return finished(figure, text)


def _losses(details: Mapping[str, Any]) -> dict[int, list[float]]:
    """Collect the losses of each epoch, counted from 0, in their order."""
    metrics = metrics_of(details)
    points = [(each.epoch, each.loss) for each in metrics if each.epoch is not None and each.loss is not None]
    if not points:
        what = "none of them has both an epoch and a loss" if metrics else "there are none"
        raise ValueError(f"This run has no metrics to plot: {what}.")
    epochs = sorted({epoch for epoch, _ in points})
    return {epoch: [loss for other, loss in points if other == epoch] for epoch in epochs}


def _draw_loss(ax: "Axes", by_epoch: Mapping[int, Sequence[float]], guessing: float | None) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    # A record knows its epoch but not its place in it: records of an epoch are spread evenly over it.
    steps = [epoch + (place + 0.5) / len(losses) for epoch, losses in by_epoch.items() for place in range(len(losses))]
    losses = [loss for losses in by_epoch.values() for loss in losses]
    ax.plot(steps, losses, ".-", color=QUIET, linewidth=0.8, markersize=3, alpha=0.8, label=say("each update"))
    medians = {epoch: median(losses) for epoch, losses in by_epoch.items()}
    ax.hlines(
        list(medians.values()),
        list(medians),
        [epoch + 1 for epoch in medians],
        color=TUNED,
        linewidth=2.5,
        label=say("median of the epoch"),
    )
    for epoch in _named({epoch: -value for epoch, value in medians.items()}):
        _write(ax, f"{medians[epoch]:.2g}", (epoch + 0.5, medians[epoch]), TUNED)
    if guessing is not None:
        label = say("what guessing would cost: {loss:.2f}", loss=guessing)
        ax.axhline(guessing, color=EDGE, linewidth=1.2, linestyle="--", label=label)
    # The first losses can be a hundred times the last, and what matters happens among the last.
    if min(losses) > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_ylabel(say("Loss (logarithmic scale)"))
    else:
        ax.set_ylabel(say("Loss"))
    ax.set_title(say("Loss on the training rows, update by update"))
    ax.legend(frameon=False, loc="best")


def _draw_validation(ax: "Axes", measures: "Mapping[int, Measure]", rows: int) -> None:
    """Draw what the soft prompt of each epoch could do, at the end of the epoch."""
    epochs, found = list(measures), list(measures.values())
    values = [each.value for each in found]
    ax.errorbar(
        epochs,
        values,
        yerr=lengths(found),
        fmt="s-",
        color=TUNED,
        capsize=0 if len(epochs) > MOST_NAMED else 3,
        elinewidth=1,
        linewidth=1.5,
    )
    for epoch in _named(dict(zip(epochs, values, strict=True))):
        _write(ax, f"{measures[epoch].value:.3f}", (epoch, measures[epoch].interval[0]), TUNED, below=True)
    ax.set_ylim(-0.12, 1.06)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_ylabel(found[0].name)
    ax.set_title(say("{measure} on {n} validation rows after each epoch", measure=found[0].name, n=rows))


def _named(values: Mapping[int, float]) -> list[int]:
    """Choose the epochs whose values are written: all if they are few; otherwise the first, the best and the last."""
    epochs = list(values)
    if len(epochs) <= MOST_NAMED:
        return epochs
    return sorted({epochs[0], max(epochs, key=lambda epoch: values[epoch]), epochs[-1]})


def _write(ax: "Axes", text: str, place: tuple[float, float], colour: str, *, below: bool = False) -> None:
    """Write a value above its mark, or below, so that it can be read where it lies on other lines."""
    ax.annotate(
        text,
        place,
        textcoords="offset points",
        xytext=(0, -5 if below else 5),
        ha="center",
        va="top" if below else "bottom",
        color=colour,
        fontweight="bold",
        path_effects=outlined(),
    )


def _describe_loss(by_epoch: Mapping[int, Sequence[float]], guessing: float | None) -> str:
    losses = [loss for losses in by_epoch.values() for loss in losses]
    sentences = [
        say(
            "The loss on the training rows over {epochs} epochs: {first:.3f} at the first update, {last:.3f} at the "
            "last; the median of the first epoch is {start:.3f}, that of the last {end:.3f}.",
            epochs=len(by_epoch),
            first=losses[0],
            last=losses[-1],
            start=median(by_epoch[min(by_epoch)]),
            end=median(by_epoch[max(by_epoch)]),
        )
    ]
    if guessing is not None:
        sentences.append(say("A dashed line shows what guessing would cost: {loss:.2f}.", loss=guessing))
    return paragraph(*sentences)


def _describe_validation(measures: "Mapping[int, Measure]", rows: int) -> str:
    values = {epoch: each.value for epoch, each in measures.items()}
    listed = ", ".join(f"{epoch}: {values[epoch]:.3f}" for epoch in _named(values))
    return say(
        "Below, {measure} on {n} validation rows after the epochs, {values}.",
        measure=next(iter(measures.values())).name,
        n=rows,
        values=listed,
    )
