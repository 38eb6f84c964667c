"""Rows of ``input`` and ``output``: the reviews of the lesson, reading files, refusing what cannot be used."""

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..words import say
from .similarity import prompt_around

if TYPE_CHECKING:
    import pandas as pd

FIELDS = ("input", "output")
PACKAGE = Path(__file__).parents[1]


class DatasetError(ValueError):
    """A data file that cannot be used; the message says what is wrong, where, and what to do."""


def reviews_path(split: str) -> Path:
    """Find one of the two files of reviews that come with the lesson.

    Args:
        split: ``"train"`` or ``"test"``.

    Returns:
        The file inside the installed package; in a checkout, the one in its ``data`` folder.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in ("train", "test"):
        raise ValueError(say('The reviews come in two parts, "train" and "test"; there is no "{split}".', split=split))
    name = f"dog_grooming_reviews_{split}_data.json"
    installed = PACKAGE / "data" / name
    return installed if installed.exists() else PACKAGE.parent / "data" / name


REVIEWS_TRAIN = reviews_path("train")
REVIEWS_TEST = reviews_path("test")


def load_rows(path: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read a file of rows.

    Args:
        path: a JSON list of objects (``.json``), one JSON object a line (``.jsonl``, or also ``.json``), or a table
            with a header (``.csv``, separated by commas, semicolons or tabs); in UTF-8, with or without a byte order
            mark.

    Returns:
        The rows, in the order of the file: ``input``, ``output``, then any further columns. Values are the text that
        the file holds: ``"0"`` does not become a number, nor ``"NA"`` a missing value.

    Raises:
        DatasetError: if the file cannot be read, or one of its rows has no usable ``input`` or ``output``.
    """
    import pandas as pd

    path = Path(path)
    readers = {".csv": _read_csv, ".jsonl": _read_json_lines, ".json": _read_json}
    if path.suffix.lower() not in readers:
        raise DatasetError(say("{file}: the name should end in .json, .jsonl or .csv.", file=path.name))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(say("{file} cannot be read: {why}.", file=path, why=error.strerror or error)) from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            say("{file} is not UTF-8 text (byte {byte}); save it as UTF-8.", file=path.name, byte=error.start + 1)
        ) from error
    rows = readers[path.suffix.lower()](text, path.name)
    require_usable(rows, path.name)
    columns = list(dict.fromkeys([*FIELDS, *(name for row in rows for name in row)]))
    # dtype=object keeps pandas from guessing a type for a column
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in columns})


def _read_csv(text: str, file: str) -> list[dict[str, Any]]:
    header = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=separator, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise DatasetError(say("{file}, line {line}: {why}.", file=file, line=reader.line_num, why=error)) from error
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise DatasetError(
                say(
                    "{file}, row {row}: more values than the header has columns; put text that holds a separator in "
                    "double quotes.",
                    file=file,
                    row=number,
                )
            )
    return rows


def _read_json(text: str, file: str) -> list[dict[str, Any]]:
    start = text.lstrip()[:1]
    if start != "[":
        return _read_json_lines(text, file)
    rows = _parse(text, file)
    assert isinstance(rows, list)
    for number, row in enumerate(rows, start=1):
        _require_object(row, say("{file}, row {row}", file=file, row=number))
    return rows


def _read_json_lines(text: str, file: str) -> list[dict[str, Any]]:
    # not splitlines(): inside a JSON string it would also split at characters such as U+2028
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(lines) > 1 and lines[0][1].strip() == "{":
        raise DatasetError(
            say("{file}: expected a list of rows, [...], or one row a line; this is one object over lines.", file=file)
        )
    rows = []
    for number, line in lines:
        row = _parse(line, file, line=number)
        _require_object(row, say("{file}, line {line}", file=file, line=number))
        rows.append(row)
    return rows


def _parse(text: str, file: str, line: int = 1) -> Any:
    try:
        # a number stays the text it is written as, so that a label 1 is "1" and 1.0 is "1.0"
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=lambda name: None)
    except json.JSONDecodeError as error:
        raise DatasetError(
            say(
                "{file}, line {line}, column {column}: not valid JSON ({why}).",
                file=file,
                line=line + error.lineno - 1,
                column=error.colno,
                why=error.msg,
            )
        ) from error
    except RecursionError as error:
        raise DatasetError(say("{file}: nested too deeply; expected a flat list of rows.", file=file)) from error


def _require_object(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise DatasetError(say('{where}: expected an object such as {{"input": "...", "output": "1"}}.', where=where))


def require_usable(rows: Sequence[dict[Any, Any]], name: str) -> None:
    """Refuse rows of which one lacks an ``input`` or ``output`` with something in it.

    Args:
        rows: the rows.
        name: what to call them in the error.

    Raises:
        DatasetError: if there is no row, or one that cannot be used.
    """
    if not rows:
        raise DatasetError(say("{name}: there are no rows.", name=name))
    for number, row in enumerate(rows, start=1):
        for field in FIELDS:
            problem = _problem(row, field)
            if problem:
                raise DatasetError(say("{name}, row {row}: {problem}", name=name, row=number, problem=problem))


def _problem(row: Any, field: str) -> str | None:
    if field not in row:
        names = ", ".join(f'"{name}"' for name in row) or say("nothing")
        return say('the field "{field}" is missing; there is: {names}.', field=field, names=names)
    value = row[field]
    if _is_null(value):
        return say('the field "{field}" is null; fill it in, or leave the row out.', field=field)
    if not isinstance(value, str):
        kind = type(value).__name__
        return say('the field "{field}" is not text but of type {kind}; make it a string.', field=field, kind=kind)
    if not value.strip():
        return say('the field "{field}" is empty; fill it in, or leave the row out.', field=field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return say('the field "{field}" holds half a character (a lone surrogate); repair the text.', field=field)
    return None


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
    """
    import pandas as pd

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
