"""The check that looks through data before anything is tuned on it."""

import math
import os
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ..i18n import say
from .finders import find_between, find_too_long, find_within
from .report import Finding, Part, Report, listed, quoted
from .rows import DatasetError
from .split import Split

if TYPE_CHECKING:
    import pandas as pd


def check(
    train: "str | os.PathLike[str] | pd.DataFrame",
    test: "str | os.PathLike[str] | pd.DataFrame | None" = None,
    *,
    count_tokens: Callable[[str], int] | None = None,
    max_input_tokens: int | None = None,
    labels: Collection[str] | None = None,
) -> Report:
    """Look through data before anything is tuned on it.

    Args:
        train: the training data, a file for :func:`load_rows` or its rows.
        test: the test data, if there are any.
        count_tokens: counts the tokens of a text as the base model does. Without it they are estimated.
        max_input_tokens: length from which the tuning cuts inputs off.
        labels: the outputs that there may be; any by default.

    Returns:
        The report. Its findings are things that are merely unwise.

    Raises:
        DatasetError: if the data cannot be used: the row and what is wrong with it are named.
    """
    tokens = count_tokens or estimate_tokens
    first = Split.read("training", train)
    others = [] if test is None else [Split.read("test", test, around=first.prompt)]
    splits = [first, *others]
    if labels is not None:
        for split in splits:
            _require_known(split, labels)
    if len(set(first.outputs)) < 2:
        raise DatasetError(
            say(
                "{name}: every row has the output {label}; to learn a difference takes rows of at least two.",
                name=first.source,
                label=quoted(first.outputs[0]),
            )
        )
    parts = tuple(
        Part(s.name, len(s.inputs), dict(sorted(Counter(s.outputs).items())), max(map(tokens, s.inputs)))
        for s in splits
    )
    findings: list[Finding] = []
    for split in splits:
        findings += find_within(split)
        if max_input_tokens is not None:
            findings += find_too_long(split, tokens, max_input_tokens, estimated=count_tokens is None)
    for other in others:
        findings += find_between(first, other)
    return Report(parts, tuple(findings), estimated=count_tokens is None)


def _require_known(split: Split, labels: Collection[str]) -> None:
    """Refuse rows with an output that nobody has named; blanks and case do not count."""
    named = [str(label) for label in labels]  # what reads labels out of answers says itself that they must be text
    known = {label.strip().casefold() for label in named}
    for row in split.rows:
        if row.output.strip().casefold() not in known:
            raise DatasetError(
                say(
                    "{name}, row {row}: the output {label} is none of the labels: {labels}. Add it to them, or correct "
                    "the row.",
                    name=split.source,
                    row=row.number,
                    label=quoted(row.output),
                    labels=listed(map(quoted, named)),
                )
            )


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has, without a tokenizer.

    Args:
        text: any text.

    Returns:
        Four tokens for three words, or one for four bytes of UTF-8, whichever is more.
    """
    return math.ceil(max(len(text.split()) * 4 / 3, len(text.encode()) / 4))
