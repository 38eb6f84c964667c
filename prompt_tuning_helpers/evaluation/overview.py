"""Several models side by side: their scores in one table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..i18n import say
from .intervals import with_interval
from .scores import Scores
from .texts import TextScores

if TYPE_CHECKING:
    import pandas as pd


def score_table(models: Mapping[str, Scores | TextScores]) -> "pd.DataFrame":
    """Set the scores of several models side by side.

    Args:
        models: their names, and what :func:`evaluate` or a baseline returns for each on the same rows.

    Returns:
        For each model, its measures with 95 % intervals.

    Raises:
        ValueError: if the scores are not of the same rows and of the same kind.
    """
    import pandas as pd

    check_comparable(models)
    cells = {
        name: {each.heading: with_interval(each.value, each.interval) for each in scores.measures}
        for name, scores in models.items()
    }
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis(say("model"))


def check_comparable(models: Mapping[str, Scores | TextScores]) -> None:
    """Check that scores can stand side by side.

    Args:
        models: names and scores.

    Raises:
        ValueError: if there are none, or if they are not of the same number of rows and of the same measures.
    """
    if not models:
        raise ValueError("There are no scores to show.")
    first, *others = models.values()
    for scores in others:
        if scores.n != first.n:
            raise ValueError(f"These scores are of {first.n} and of {scores.n} rows: compare scores of the same rows.")
        if [each.name for each in scores.measures] != [each.name for each in first.measures]:
            raise ValueError("These scores have different measures: compare scores of one task and the same labels.")
