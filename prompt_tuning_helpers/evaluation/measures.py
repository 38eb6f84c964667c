"""What scores of all tasks have in common: rows that fit together, and measures with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One measure of how good a model's answers are, as tables and plots show it.

    Args:
        name: in the language of the lesson.
        heading: the name, and that the interval stands beside the value.
        value: from 0 to 1.
        interval: 95 % interval of the value.
    """

    name: str
    heading: str
    value: float
    interval: tuple[float, float]


def check_rows(truth: Sequence[object], models: Sequence[Sequence[object]], what: str) -> None:
    """Check that there is something to score, and an answer for each row.

    Args:
        truth: the right output of each row.
        models: the answers of each model.
        what: what the outputs are.

    Raises:
        ValueError: if there are no rows, or if the numbers of rows differ.
    """
    for answers in models:
        if len(truth) != len(answers):
            raise ValueError(f"There are {len(truth)} true {what} but {len(answers)} answers.")
    if len(truth) == 0:
        raise ValueError("There is nothing to score: no rows.")
