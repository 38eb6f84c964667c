"""The rows of one split, training or test, ready for the finders of a check."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..i18n import say
from .report import Finding
from .rows import load_rows, require_usable_frame
from .similarity import PROMPT_INPUTS, Prompt, normalised, prompt_around

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        number: its place among the rows of its split, the first row being 1.
        input: what it asks.
        output: what it is to be answered with.
        text: what it is compared by: the words of the input, without the prompt around them.
    """

    number: int
    input: str
    output: str
    text: str


@dataclass(frozen=True)
class Split:
    """Training or test rows, ready for the finders.

    Args:
        name: ``"training"`` or ``"test"``.
        source: what to call the rows in an error.
        prompt: what is around the text in the inputs.
        rows: all of them, in order.
    """

    name: str
    source: str
    prompt: Prompt
    rows: tuple[Row, ...]

    @classmethod
    def read(cls, name: str, data: "str | os.PathLike[str] | pd.DataFrame", around: Prompt | None = None) -> "Split":
        """Take the rows from a file or a frame.

        Args:
            name: ``"training"`` or ``"test"``.
            data: a file for :func:`load_rows`, or its rows.
            around: the prompt of the rows that these are compared with, for rows that are too few to tell their own.

        Raises:
            DatasetError: if a row cannot be used.
        """
        if isinstance(data, str | os.PathLike):
            source, frame = Path(data).name, load_rows(data)
        else:
            source, frame = say("the {name} data", name=say(name)), data
            require_usable_frame(frame, source)
        prompt = prompt_around(frame["input"])
        if around is not None and frame["input"].nunique() < PROMPT_INPUTS:
            prompt = around
        rows = (
            Row(number, text, output, normalised(prompt.inside(text)))
            for number, (text, output) in enumerate(zip(frame["input"], frame["output"], strict=True), start=1)
        )
        return cls(name, source, prompt, tuple(rows))

    @cached_property
    def inputs(self) -> list[str]:
        """The input of every row."""
        return [row.input for row in self.rows]

    @cached_property
    def outputs(self) -> list[str]:
        """The output of every row."""
        return [row.output for row in self.rows]

    @cached_property
    def texts(self) -> list[str]:
        """What the rows are compared by."""
        return [row.text for row in self.rows]

    @cached_property
    def rows_of(self) -> dict[str, list[Row]]:
        """The rows in which each text stands."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.text, []).append(row)
        return found

    def finding(self, kind: str, rows: Iterable[Row], text: str) -> Finding:
        """Make a finding about rows of this split.

        Args:
            kind: as in :class:`Finding`.
            rows: those concerned.
            text: as in :class:`Finding`.
        """
        of_rows = numbers(rows)
        return Finding(kind, text, train=of_rows) if self.name == "training" else Finding(kind, text, test=of_rows)


def numbers(rows: Iterable[Row]) -> tuple[int, ...]:
    """Give the numbers of rows, each once and in order.

    Args:
        rows: of one split.
    """
    return tuple(sorted({row.number for row in rows}))
