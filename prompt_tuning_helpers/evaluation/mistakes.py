"""Mistakes: the rows that a model gets wrong, to read and to learn from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..i18n import say
from .scores import read_labels

if TYPE_CHECKING:
    import pandas as pd


def mistakes(
    rows: "pd.DataFrame",
    answers: Sequence[object],
    labels: Sequence[str] | None = None,
    probabilities: "pd.DataFrame | None" = None,
) -> "pd.DataFrame":
    """Show the rows that a model gets wrong, with what it answered.

    Look at training and validation rows only. Whoever looks at the mistakes in the test rows and then changes something
    has begun to tune on them.

    Args:
        rows: with ``input`` and ``output``.
        answers: what the model answered, row by row.
        labels: the labels; when omitted, those of the rows. See :func:`evaluate`.
        probabilities: what ``label_probabilities`` gives for these rows, to show how sure the model was.

    Returns:
        The wrong rows with their numbers in ``rows``: the true label, the label that was answered, or the answer itself
        where it has none, and the input. They are in the order of their true labels and of what was answered; with
        ``probabilities``, the probability of the label that was answered stands beside it, and the surest mistakes come
        first. Where it is not known, among others where no label was answered, it is empty, and these come last.

    Raises:
        ValueError: if the rows do not fit together; see :func:`evaluate`.
    """
    from .reading import ReadingTable

    (read,) = read_labels(rows["output"].tolist(), labels, [answers])
    given = [repr(answer) if label is None else label for label, answer in zip(read.given, answers, strict=True)]
    table = ReadingTable({say("true label"): read.right, say("answered"): given}, index=rows.index)
    order, falling = [say("true label"), say("answered")], False
    if probabilities is not None:
        table[say("probability")] = _of_answers(probabilities, read.given)
        order, falling = [say("probability")], True
    table[say("input")] = rows["input"].tolist()
    wrong: pd.DataFrame = table[[not right for right in read.correct]]
    return wrong.sort_values(order, ascending=not falling, kind="stable")


def _of_answers(probabilities: "pd.DataFrame", given: Sequence[str | None]) -> list[float]:
    """Give the probability of each label that was answered."""
    if len(probabilities) != len(given):
        raise ValueError(f"There are {len(given)} rows but probabilities of {len(probabilities)}: give the same rows.")
    missing = sorted({label for label in given if label is not None} - {*probabilities.columns})
    if missing:
        raise ValueError(
            f"probabilities has no column for the label {missing[0]!r}: ask label_probabilities for it, too."
        )
    by_row = probabilities.to_dict("records")
    return [float("nan") if label is None else row[label] for row, label in zip(by_row, given, strict=True)]
