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
class Split:
    """Training or test rows, ready for the finders.

    Args:
        name: ``"training"`` or ``"test"``.
        source: what to call the rows in an error.
        inputs: of every row.
        outputs: of every row.
        prompt: what is around the text in the inputs.
    """

    name: str
    source: str
    inputs: list[str]
    outputs: list[str]
    prompt: Prompt

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
        inputs, outputs = list(frame["input"]), list(frame["output"])
        prompt = prompt_around(inputs)
        if around is not None and len(set(inputs)) < PROMPT_INPUTS:
            prompt = around
        return cls(name, source, inputs, outputs, prompt)

    @cached_property
    def texts(self) -> list[str]:
        """What the rows are compared by: the words of each input, without the prompt around them."""
        return [normalised(self.prompt.inside(text)) for text in self.inputs]

    @cached_property
    def rows_of(self) -> dict[str, list[int]]:
        """The numbers of the rows in which each text stands."""
        found: dict[str, list[int]] = {}
        for number, text in enumerate(self.texts, start=1):
            found.setdefault(text, []).append(number)
        return found

    def finding(self, kind: str, rows: Iterable[int], text: str) -> Finding:
        """Make a finding about rows of this split.

        Args:
            kind: as in :class:`Finding`.
            rows: their numbers.
            text: as in :class:`Finding`.
        """
        numbers = tuple(sorted(rows))
        return Finding(kind, text, train=numbers) if self.name == "training" else Finding(kind, text, test=numbers)
