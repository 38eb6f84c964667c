"""Plot of how sure a model is: each row a dot between the two labels, before and after tuning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluation.labels import true_label
from ..i18n import paragraph, say
from .card import CARD
from .style import LINES, PAGE_WIDTH, PLAIN, QUIET, finished, new_figure, shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Multiples of these, modulo 1, fill a square evenly however many there are: the R2 sequence of M. Roberts (2018,
# https://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/).
ACROSS, UP = 0.5698402909980532, 0.7548776662466927
# Parts of a lane: how much of it its dots take up, and how far from its middle theirs is, since "wrong side" stands
# beside them, at the outer edge.
LANE, ASIDE = 0.6, 0.12
STRIP = (1.07, 1.19)  # where rows stand that have neither label
WRONG, ON_WRONG = "#f3e3d8", "#6b5546"  # behind the half that is wrong, and text there, in a contrast of 5.6:1


@dataclass(frozen=True)
class _Shares:
    """One model's rows.

    Args:
        shares: the positive label's part of the probability that both labels have; ``None`` where neither has any.
        positive: whether that is the true label, for each row.
    """

    shares: Sequence[float | None]
    positive: Sequence[bool]

    def counts(self) -> tuple[int, int, int]:
        """Count the rows on the side of their true label, on the other or in the middle, and those with neither."""
        known = [(share, up) for share, up in zip(self.shares, self.positive, strict=True) if share is not None]
        right = sum(share > 0.5 if up else share < 0.5 for share, up in known)
        return right, len(known) - right, len(self.shares) - len(known)


def plot_probabilities(
    truth: Sequence[object],
    before: "pd.DataFrame",
    after: "pd.DataFrame",
    names: Mapping[str, str] | None = None,
) -> "Figure":
    """Plot how sure a model is of each row, before and after tuning.

    Each row is a dot. Its place from left to right is the last label's share of the probability that both labels have,
    where a label that is not among the five most likely tokens has none.
    Rows with that label stand in the upper half of a model's panel and those with the other one in the lower half,
    each with its own colour and mark; the half where a dot is on the wrong side is shaded. Rows for which neither label
    is among the five most likely tokens have no place: they stand apart, at the right.

    Args:
        truth: the true label of each row.
        before: what ``label_probabilities`` gives before tuning, with a column for each of the two labels.
        after: the same after it.
        names: what to call the labels, such as ``{"0": "not satisfied", "1": "satisfied"}``; themselves by default.

    Returns:
        The figure; as the last value of a cell it is shown.

    Raises:
        ValueError: if there are not two labels, if both tables do not have them and a row for each of ``truth``, or if
            a row has another label.
    """
    labels = _labels(truth, before, after)
    positive = _positive(truth, labels)
    models = [_Shares(_shares(table, labels), positive) for table in (before, after)]
    called = [shown((names or {}).get(label, label)) for label in labels]
    figure, axes = new_figure(2, (PAGE_WIDTH, 6.0), stacked=True, share_x=True)
    apart = any(model.counts()[2] for model in models)
    said = []
    for ax, model, name in zip(axes, models, (say("before tuning"), say("after tuning")), strict=True):
        right, wrong, neither = model.counts()
        heading = say("{model}: {right} of {n} on the right side", model=name, right=right, n=len(truth))
        if neither:
            heading = say("{heading}, {neither} with neither label", heading=heading, neither=neither)
        said.append(
            say(
                "{model}: {right} on the side of their true label, {wrong} not, {neither} with neither label.",
                model=name,
                right=right,
                wrong=wrong,
                neither=neither,
            )
        )
        _draw(ax, model, called, apart)
        ax.set_title(heading[0].upper() + heading[1:], loc="left", fontsize=11, **PLAIN)
    _axis(axes[-1], called, apart)
    about = say(
        'Each of {n} rows is a dot between "{negative}" and "{positive}".',
        n=len(truth),
        negative=called[0],
        positive=called[1],
    )
    return finished(figure, paragraph(about, *said))


def _labels(truth: Sequence[object], before: "pd.DataFrame", after: "pd.DataFrame") -> tuple[str, str]:
    """Check that everything fits together, and give the two labels."""
    labels = [str(label) for label in before.columns]
    if len(labels) != 2:
        raise ValueError(
            f"This picture shows two labels, and here are {len(labels)}: {', '.join(labels)}. Ask label_probabilities "
            "for two of them, or look at its table."
        )
    if labels != [str(label) for label in after.columns]:
        raise ValueError(f"before has the labels {labels}, and after {[*after.columns]}: ask both for the same.")
    if not len(truth) == len(before) == len(after) or not len(truth):
        raise ValueError(
            f"There are {len(truth)} true labels, {len(before)} rows before and {len(after)} after: give the same rows."
        )
    return labels[0], labels[1]


def _positive(truth: Sequence[object], labels: tuple[str, str]) -> list[bool]:
    read = [true_label(value, labels) for value in truth]
    for row, (value, label) in enumerate(zip(truth, read, strict=True)):
        if label is None:
            raise ValueError(f"Row {row} has the label {value!r}, which is neither {labels[0]!r} nor {labels[1]!r}.")
    return [label == labels[1] for label in read]


def _shares(table: "pd.DataFrame", labels: tuple[str, str]) -> list[float | None]:
    """Give the share of the last label; one that is not among the likely tokens counts for nothing."""
    found = table.fillna(0.0)
    pairs = zip(found[labels[0]].tolist(), found[labels[1]].tolist(), strict=True)
    return [up / (down + up) if down + up > 0 else None for down, up in pairs]


def _draw(ax: "Axes", model: _Shares, called: Sequence[str], apart: bool) -> None:
    """Draw a model's rows in two lanes: the last label above, the first below."""
    for height, (colour, marker) in enumerate((LINES[1], LINES[0])):
        is_positive = bool(height)
        left = 0 if is_positive else 0.5
        ax.axvspan(left, left + 0.5, height / 2, (height + 1) / 2, color=WRONG, linewidth=0)
        corner, side = ((0.01, height + 0.95), "left") if is_positive else ((0.99, height + 0.05), "right")
        ax.text(*corner, say("wrong side"), ha=side, va="top" if is_positive else "bottom", color=ON_WRONG, fontsize=9)
        shares = [share for share, up in zip(model.shares, model.positive, strict=True) if up == is_positive]
        known = sorted(share for share in shares if share is not None)
        strip = [STRIP[0] + (STRIP[1] - STRIP[0]) * _spread(place, ACROSS) for place in range(len(shares) - len(known))]
        middle = height + 0.5 + (-ASIDE if is_positive else ASIDE)
        for places in (known, strip):
            heights = [middle + LANE * (_spread(place, UP) - 0.5) for place in range(len(places))]
            ax.plot(places, heights, marker, color=colour, markersize=6, markeredgecolor=CARD, markeredgewidth=0.6)
    ax.axvline(0.5, color=QUIET, linewidth=1)
    ax.axhline(1, color=CARD, linewidth=3)
    if apart:
        ax.axvspan(STRIP[0] - 0.02, STRIP[1] + 0.02, color="#eeeeee", linewidth=0, zorder=0)
    ax.set_ylim(0, 2)
    ax.set_yticks([0.5, 1.5], [say("true label:\n{label}", label=name) for name in called], **PLAIN)
    for tick, (colour, _) in zip(ax.get_yticklabels(), (LINES[1], LINES[0]), strict=True):
        tick.set_color(colour)
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)


def _axis(ax: "Axes", called: Sequence[str], apart: bool) -> None:
    ticks = {0.0: f"0\n{called[0]}", 0.25: "0.25", 0.5: "0.5", 0.75: "0.75", 1.0: f"1\n{called[1]}"}
    if apart:
        # Lower than the labels' names, which may be long.
        ticks[sum(STRIP) / 2] = "\n\n" + say("neither\nlabel")
    ax.set_xticks(list(ticks), list(ticks.values()), **PLAIN)
    ax.set_xlim(-0.03, STRIP[1] + 0.03 if apart else 1.03)
    ax.set_xlabel(say('share of "{label}" in the probability of both labels', label=called[1]), **PLAIN)


def _spread(place: int, step: float) -> float:
    """Spread things that are numbered from 0 evenly between 0 and 1, neighbours far apart, and always the same way."""
    return (0.5 + place * step) % 1.0
