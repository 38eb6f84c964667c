"""Tables of accuracies side by side: method against method, by what makes a review hard, and by file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .differences import Way, difference, hits_of, reviews_needed, verdict
from .intervals import Interval, mean_interval, unpaired_interval
from .language import say
from .plan import TEST_FILES
from .results import Comparison, Measured
from .tables import NONE

if TYPE_CHECKING:
    import pandas as pd

NO_BREAK = "\u00a0"  # a blank at which no line ends
JOINED = "\u2060"  # after a dash: no line ends there, either
PLAIN = "plain"  # of a review with nothing that makes it hard


def show_accuracy_against(
    comparison: Comparison, method: str, others: Sequence[str], rows: Sequence[int] = (), by: Way = "choosing"
) -> "pd.DataFrame":
    """Show how much more accurate one method is than others, and whether the test reviews can tell.

    Args:
        comparison: what ``load`` returns.
        method: the one.
        others: the others. Those that are not tuned are taken as they are, whatever the number of rows.
        rows: numbers of training rows; the most, if not given.
        by: how they answered: ``"choosing"`` between the labels, or ``"writing"`` freely.

    Returns:
        One row a number of training rows and other method.

    Raises:
        ValueError: if a method was not measured so.
    """
    import pandas as pd

    table = {}
    for count in rows or comparison.plan.rows[-1:]:
        first = find(comparison, method, count)
        for other in others:
            second = find(comparison, other, count)
            value, interval = difference(first, second, by)
            table[count, say(second.method.title)] = {
                say("difference in points"): points(value),
                say("95 % interval"): points_interval(interval),
                say("verdict"): say(verdict(first, second, by)),
                say("reviews it would take"): reviews_needed(first, second, by),
            }
    index = pd.MultiIndex.from_tuples(table, names=[say("training rows"), say("against")])
    return pd.DataFrame(table.values(), index=index)


def show_phenomena(comparison: Comparison, methods: Sequence[str], by: Way = "choosing") -> "pd.DataFrame":
    """Show accuracy by what makes a review hard, each with its 95 % interval over seeds and reviews.

    Args:
        comparison: what ``load`` returns.
        methods: their names.
        by: see ``show_accuracy_against``.

    Returns:
        One row a phenomenon, the plain reviews first and all hard ones together last; the number of reviews, and a
        column a method.
    """
    import pandas as pd

    of_review = np.array([review["phenomenon"] for review in comparison.reviews])
    groups = {say(PLAIN): of_review == PLAIN}
    groups |= {say(name): of_review == name for name in sorted(set(of_review.tolist()) - {PLAIN})}
    groups[say("all but plain")] = of_review != PLAIN
    found = [find(comparison, method) for method in methods]
    rows = {
        name: {say("reviews"): int(inside.sum())}
        | {say(each.method.title): _scored(hits_of(each, by)[:, inside]) for each in found}
        for name, inside in groups.items()
        if inside.any()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(say("phenomenon"))


def show_files(comparison: Comparison, methods: Sequence[str], by: Way = "choosing") -> "pd.DataFrame":
    """Show accuracy on the lesson's test reviews and on those of the holdout file, and how it differs.

    The difference is that of other reviews, so nothing is paired: those of each file are resampled by themselves.

    Args:
        comparison: what ``load`` returns.
        methods: their names.
        by: see ``show_accuracy_against``.

    Returns:
        One row a method; a dash where no review of a file was asked about.
    """
    import pandas as pd

    files = np.array([review["file"] for review in comparison.reviews])
    old, new = (files == name for name in TEST_FILES)
    rows = {}
    for method in methods:
        found = find(comparison, method)
        hits = hits_of(found, by)
        cells = {
            say("the lesson's {reviews}", reviews=old.sum()): _scored(hits[:, old]),
            say("holdout, {reviews}", reviews=new.sum()): _scored(hits[:, new]),
            say("difference in points"): NONE,
            say("95 % interval"): NONE,
        }
        if old.any() and new.any():
            cells[say("difference in points")] = points(hits[:, new].mean() - hits[:, old].mean())
            cells[say("95 % interval")] = points_interval(unpaired_interval(hits[:, new], hits[:, old]))
        rows[say(found.method.title)] = cells
    return pd.DataFrame.from_dict(rows, orient="index")


def find(comparison: Comparison, name: str, rows: int | None = None) -> Measured:
    """Find what one method gave on so many rows; one that is not tuned is the same for any.

    Args:
        comparison: what ``load`` returns.
        name: of the method.
        rows: training rows; the most, if not given.

    Raises:
        ValueError: if it was not measured.
    """
    names = [method.name for method in comparison.plan.methods]
    if name not in names:
        raise ValueError(f"There is no method {name!r}. There are: {', '.join(names)}.")
    method = comparison.plan.method(name)
    known = comparison.plan.rows_of(method)
    if rows is None or (not method.is_tuned and rows in comparison.plan.rows):
        rows = known[-1]
    if rows not in known:
        raise ValueError(
            f"{name!r} was not measured with {rows} training rows, but with {' or '.join(map(str, known))}."
        )
    return comparison.of(name, rows)


def points(value: float) -> str:
    """Write a difference of accuracies in points, with its sign: that of a small one tells on which side of 0 it is."""
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}") if value else "0.0"


def points_interval(interval: Interval) -> str:
    """Write an interval of differences in points, on one line."""
    low, high = map(points, interval)
    return say("{low} to {high}", low=low, high=high).replace(" ", NO_BREAK)


def points_with_interval(value: float, interval: Interval) -> str:
    """Write a difference in points with its interval, on one line."""
    return f"{points(value)}{NO_BREAK}({points_interval(interval)})"


def _scored(hits: Any) -> str:
    """Write an accuracy with its interval, on one line; a dash where there are no reviews."""
    if hits.size == 0:
        return NONE
    low, high = mean_interval(hits)
    dash = "–" + JOINED  # noqa: RUF001 an en dash, as between numbers
    return f"{hits.mean():.3f}{NO_BREAK}({low:.3f}{dash}{high:.3f})"
