"""Splitting one file of rows into those to tune on, those to choose by, and those that are held back to the end."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ..engine.search_plan import stratified_order
from ..i18n import say
from .report import quoted
from .rows import DatasetError
from .split import Row, Split

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 3  # of an output: one in each part
MOST_HELD_BACK = 0.9


def split_rows(
    rows: "pd.DataFrame", *, validation: float = 0.15, test: float = 0.25, seed: int = 0
) -> tuple["pd.DataFrame", "pd.DataFrame", "pd.DataFrame"]:
    """Split rows at random so that each output has about the same share in every part.

    Rows with the same text, but for case and punctuation, stay together: else a part would be tested on what another
    one has taught.

    Args:
        rows: as ``load_rows`` gives them.
        validation: share of the rows to choose by, prompts and settings for instance.
        test: share of the rows that is held back until everything is chosen.
        seed: decides which.

    Returns:
        Training, validation and test rows, each in a random order and numbered anew.

    Raises:
        DatasetError: if a row cannot be used, if all have the same output, or if an output has too few rows to be in
            all three parts.
        ValueError: if the shares are not above 0, or leave less than a tenth for training.
    """
    if not (0 < validation < 1 and 0 < test < 1 and validation + test <= MOST_HELD_BACK):
        raise ValueError(
            f"validation={validation} and test={test} must be shares above 0 that leave at least a tenth for training."
        )
    read = Split.read("training", rows)
    # One row stands for all that have its text; the others follow it.
    firsts = [group[0] for group in read.rows_of.values()]
    _require_enough(firsts)
    outputs = [row.output for row in firsts]
    order = stratified_order(outputs, seed)
    places = dict.fromkeys(range(len(firsts)), 0)
    by_output: dict[str, list[int]] = defaultdict(list)
    for index in order:
        by_output[outputs[index]].append(index)
    for of_output in by_output.values():
        count = len(of_output)
        tested = min(max(1, round(test * count)), count - 2)
        validated = min(max(1, round(validation * count)), count - tested - 1)
        places |= dict.fromkeys(of_output[:tested], 2)
        places |= dict.fromkeys(of_output[tested : tested + validated], 1)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for index in order:
        parts[places[index]].extend(row.number - 1 for row in read.rows_of[firsts[index].text])
    train, validated_on, held_back = (rows.iloc[part].reset_index(drop=True) for part in parts)
    return train, validated_on, held_back


def _require_enough(rows: list[Row]) -> None:
    """Refuse rows of one output alone, and outputs that cannot be in each part."""
    counts = Counter(row.output for row in rows)
    name = say("the data")
    (label, _), *others = counts.most_common()
    if not others:
        raise DatasetError(
            say(
                "{name}: every row has the output {label}; to learn a difference takes rows of at least two.",
                name=name,
                label=quoted(label),
            )
        )
    few = {label: count for label, count in counts.items() if count < LEAST_ROWS}
    if few:
        raise DatasetError(
            say(
                "{name}: to be trained on and tested, an output needs at least {least} different rows; these have "
                "fewer: {labels}. Add rows, or leave these out.",
                name=name,
                least=LEAST_ROWS,
                labels=", ".join(f"{quoted(label)} ({count})" for label, count in few.items()),
            )
        )
