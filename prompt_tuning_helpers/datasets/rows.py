"""Rows of ``input`` and ``output``: reading files, refusing what cannot be used."""

import contextlib
import csv
import io
import math
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine.training_file import FIELDS, Problem, TrainingFileError, decode, parse_rows, problem_of, shown
from ..i18n import say
from .similarity import prompt_around

if TYPE_CHECKING:
    import pandas as pd


class DatasetError(ValueError):
    """A data file that cannot be used; the message says what is wrong, where, and what to do."""


def load_rows(
    path: str | os.PathLike[str], *, input_column: str = "input", output_column: str = "output"
) -> "pd.DataFrame":
    """Read a file of rows.

    Args:
        path: a JSON list of objects or one JSON object a line (``.json`` or ``.jsonl``), or a table with a header
            (``.csv``, separated by commas, semicolons or tabs); in UTF-8, with or without a byte order mark.
        input_column: what the file calls the ``input``.
        output_column: what the file calls the ``output``.

    Returns:
        The rows, in the order of the file: ``input``, ``output``, then any further columns, but for those whose name
        one of these two has taken. Values are the text that the file holds: ``"0"`` does not become a number, nor
        ``"NA"`` a missing value.

    Raises:
        DatasetError: if the file cannot be read, if both columns are the same, or if one of its rows has no usable
            ``input`` or ``output``.
    """
    import pandas as pd

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".json", ".jsonl", ".csv"):
        raise DatasetError(say("{file}: the name should end in .json, .jsonl or .csv.", file=path.name))
    fields = (input_column, output_column)
    if input_column == output_column:
        raise DatasetError(
            say('The column "{name}" cannot be both input and output; name two columns.', name=shown(input_column))
        )
    content = _read_file(path)
    try:
        rows = _parse_table(decode(content), path.name, fields) if suffix == ".csv" else parse_rows(content, fields)
    except TrainingFileError as error:
        raise _refused(path.name, error.problem) from None
    others = dict.fromkeys(name for row in rows for name in row if name not in {*fields, *FIELDS})
    columns = {**dict(zip(FIELDS, fields, strict=True)), **{name: name for name in others}}
    # dtype=object keeps pandas from guessing a type for a column
    return pd.DataFrame(
        {name: pd.Series([row.get(told) for row in rows], dtype=object) for name, told in columns.items()}
    )


def _read_file(path: Path) -> bytes:
    try:
        # a pipe or a device might never end
        content = path.read_bytes() if stat.S_ISREG(path.stat().st_mode) else None
    except (OSError, ValueError) as error:  # a ValueError if no file can have such a name
        why = getattr(error, "strerror", None) or error
        raise DatasetError(say("{file} cannot be read: {why}.", file=path, why=why)) from error
    if content is None:
        raise DatasetError(say("{file} is a folder or a device; give the name of a file.", file=path))
    return content


def _parse_table(text: str, file: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    with _fields_of_any_length(text):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, fields), strict=True)
        try:
            header, *records = [record for record in reader if record] or [[]]
        except csv.Error as error:
            raise DatasetError(
                say(
                    "{file}, line {line}: not a valid table ({why}); inside double quotes, write each quote twice.",
                    file=file,
                    line=reader.line_num,
                    why=error,
                )
            ) from error
    # spreadsheets leave columns without a name behind, which nobody misses
    _require_different(filter(None, header), file)
    for number, record in enumerate(records, start=1):
        if len(record) > len(header):
            raise DatasetError(
                say(
                    "{file}, row {row}: more values than the header has columns; put text that holds a separator in "
                    "double quotes.",
                    file=file,
                    row=number,
                )
            )
    rows: list[dict[str, Any]] = [dict(zip_longest(header, record)) for record in records]
    require_usable(rows, file, fields)
    return rows


def _require_different(names: Iterable[Any], file: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise _refused(file, Problem("repeated", values={"field": shown(name)}))


def _separator(text: str, fields: Sequence[str]) -> str:
    """Find the separator with which the header has both fields, or at least the most columns."""

    def columns(separator: str) -> tuple[bool, int]:
        header = next(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=separator)), [])
        return set(fields) <= set(header), len(header)

    return max(",;\t", key=columns)


@contextlib.contextmanager
def _fields_of_any_length(text: str) -> Iterator[None]:
    # the reader gives up at 131,072 characters, which the text of a whole page may have
    before = csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def require_usable(rows: Sequence[dict[Any, Any]], name: str, fields: Sequence[str] = FIELDS) -> None:
    """Refuse rows of which one lacks an ``input`` or ``output`` with something in it.

    Args:
        rows: the rows.
        name: what to call them in the error.
        fields: what ``input`` and ``output`` are called in them.

    Raises:
        DatasetError: if there is no row, or one that cannot be used.
    """
    if not rows:
        raise _refused(name, Problem("no rows"))
    for number, row in enumerate(rows, start=1):
        problem = problem_of({field: None if _is_null(value) else value for field, value in row.items()}, fields)
        if problem:
            raise _refused(name, replace(problem, row=number))


def require_usable_frame(frame: "pd.DataFrame", name: str) -> None:
    """Refuse a frame that :func:`load_rows` could not have given.

    Args:
        frame: the rows.
        name: what to call them in the error.

    Raises:
        DatasetError: if a column is there twice, if there is no row, or one that cannot be used.
    """
    _require_different(frame.columns, name)
    require_usable(frame.to_dict("records"), name)


def _refused(name: str, problem: Problem) -> DatasetError:
    """Say in the reader's language what is wrong with the rows of this name."""
    what = say(problem.text, **problem.values)
    if problem.row is not None:
        return DatasetError(say("{name}, row {row}: {problem}", name=name, row=problem.row, problem=what))
    if problem.line is not None:
        where = {"line": problem.line, "column": problem.column}
        return DatasetError(say("{name}, line {line}, column {column}: {problem}", name=name, problem=what, **where))
    return DatasetError(say("{name}: {problem}", name=name, problem=what))


def _is_null(value: Any) -> bool:
    # NaN, NaT and pandas' NA are what missing values become in a frame
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def describe(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Count rows, and the words of their texts, for each output.

    Args:
        frame: rows as :func:`load_rows` gives them.

    Returns:
        A row for each output and one for all: how many rows, and the fewest, median, mean and most words. The
        instruction that all inputs share is not counted.

    Raises:
        DatasetError: if there is no row, or one that cannot be used.
    """
    import pandas as pd

    require_usable_frame(frame, say("the data"))
    prompt = prompt_around(frame["input"])
    words = frame["input"].map(lambda text: len(prompt.inside(text).split()))
    groups = [*words.groupby(frame["output"]), (say("all"), words)]
    return pd.DataFrame(
        {
            say("rows"): [len(group) for _, group in groups],
            say("fewest words"): [int(group.min()) for _, group in groups],
            say("median"): [float(group.median()) for _, group in groups],
            say("mean"): [round(float(group.mean()), 1) for _, group in groups],
            say("most words"): [int(group.max()) for _, group in groups],
        },
        index=pd.Index([label for label, _ in groups], name="output"),
    )
