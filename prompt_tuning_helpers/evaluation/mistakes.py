"""Mistakes: the rows that a model gets wrong, to read and to learn from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..i18n import say
from .scores import read_labels

if TYPE_CHECKING:
    import pandas as pd


def mistakes(rows: "pd.DataFrame", answers: Sequence[object], labels: Sequence[str] | None = None) -> "pd.DataFrame":
    """Show the rows that a model gets wrong, with what it answered.

    Look at training and validation rows only. Whoever looks at the mistakes in the test rows and then changes something
    has begun to tune on them.

    Args:
        rows: with ``input`` and ``output``.
        answers: what the model answered, row by row.
        labels: the labels; when omitted, those of the rows. See :func:`evaluate`.

    Returns:
        The wrong rows with their numbers in ``rows``, in the order of their true labels and of what was answered: the
        input, the true label, and the label that was answered, or the answer itself where it has none.

    Raises:
        ValueError: if the rows do not fit together; see :func:`evaluate`.
    """
    import pandas as pd

    (read,) = read_labels(rows["output"].tolist(), labels, [answers])
    table = pd.DataFrame(
        {
            "input": rows["input"].tolist(),
            say("true label"): read.right,
            say("answered"): [
                repr(answer) if label is None else label for label, answer in zip(read.given, answers, strict=True)
            ],
        },
        index=rows.index,
    )
    wrong = table[[not right for right in read.correct]]
    return wrong.sort_values([say("true label"), say("answered")], kind="stable")
