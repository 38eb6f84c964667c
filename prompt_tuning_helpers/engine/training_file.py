"""The reader of training files, JSON lists or JSON Lines of rows, for the engine and for everything that feeds it.

It is strict: what one program would read in one way and another program in another way is refused. What is wrong with
a file is told as a ``Problem``, from which a message can be made in any language. Needs neither torch nor a model.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import TrainingDataError

FIELDS = ("input", "output")

# What can be wrong, by kind; the marks stand for the values of a problem.
TEXTS = {
    "encoding": "this is not UTF-8 text (byte {byte}); save it as UTF-8.",
    "syntax": "not valid JSON ({why}); expected a list of rows, [...], or one row a line.",
    "depth": "nested too deeply; expected a flat list of rows.",
    "no rows": "there are no rows.",
    "no object": 'expected an object such as {{"input": "...", "output": "1"}}.',
    "repeated": 'the field "{field}" is there twice; keep one of the two.',
    "constant": 'the field "{field}" holds {value}, which JSON does not have; put it in quotes, or take it out.',
    "too large": 'the field "{field}" holds a number that is too large, {value}; put it in quotes.',
    "surrogate": 'the field "{field}" holds half a character (a lone surrogate); repair the text.',
    "missing": 'the field "{field}" is missing; there is: {names}.',
    "null": 'the field "{field}" is null; fill it in, or leave the row out.',
    "no text": 'the field "{field}" is not text but of type {kind}; make it a string.',
    "empty": 'the field "{field}" is empty; fill it in, or leave the row out.',
}

NAMES_SHOWN = 10
CHARACTERS_SHOWN = 30
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a training file, and where.

    Args:
        kind: a key of ``TEXTS``.
        row: the number of the row concerned, the first being 1.
        line: of a syntax error, the first being 1.
        column: of a syntax error, the first being 1.
        values: for the marks of the text, among them the name of the field.
    """

    kind: str
    row: int | None = None
    line: int | None = None
    column: int | None = None
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What is wrong, in English and with its marks, which is also the key to translations."""
        return TEXTS[self.kind]


class TrainingFileError(TrainingDataError):
    """A training file that cannot be used.

    Args:
        problem: what is wrong, and where.
    """

    def __init__(self, problem: Problem) -> None:
        where = ""
        if problem.row is not None:
            where = f", row {problem.row}"
        elif problem.line is not None:
            where = f", line {problem.line}, column {problem.column}"
        super().__init__(f"The training data{where}: {problem.text.format(**problem.values)}")
        self.problem = problem


def decode(content: bytes) -> str:
    """Decode a file in UTF-8, with or without a byte order mark.

    Args:
        content: all of the file. One with zero bytes is no text but, for instance, UTF-16.

    Raises:
        TrainingFileError: with the first byte that is not text.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TrainingFileError(Problem("encoding", values={"byte": error.start + 1})) from None
    if "\0" in text:
        raise TrainingFileError(Problem("encoding", values={"byte": content.index(0) + 1}))
    return text.removeprefix("\ufeff")


def parse_rows(content: bytes, fields: Sequence[str] = FIELDS) -> list[dict[str, Any]]:
    """Read a JSON list, or JSON Lines, of objects with ``input`` and ``output``.

    Args:
        content: all of the file.
        fields: what these two are called in it.

    Returns:
        The rows with all of their fields. Numbers are the text that they are written as, so that a label 1 is ``"1"``
        and 1.0 is ``"1.0"``.

    Raises:
        TrainingFileError: with the first row that cannot be used.
    """
    # within a JSON string a line cannot end, so all line ends may become one
    entries = _parse(decode(content).replace("\r\n", "\n").replace("\r", "\n"))
    if not entries:
        raise TrainingFileError(Problem("no rows"))
    for number, entry in enumerate(entries, start=1):
        problem = problem_of(entry, fields)
        if problem:
            raise TrainingFileError(replace(problem, row=number))
    return entries


def problem_of(row: Any, fields: Sequence[str] = FIELDS) -> Problem | None:
    """Find what makes a row unusable.

    Args:
        row: should be an object with text in ``input`` and ``output``.
        fields: what these two are called in it.
    """
    if isinstance(row, Problem) and row.kind == "repeated":
        return row
    if not isinstance(row, dict) or not row:
        return Problem("no object")
    for name, value in row.items():
        for leaf in _leaves([name, value]):
            if isinstance(leaf, Problem):
                return replace(leaf, values={"field": shown(name), **leaf.values})
            if isinstance(leaf, str) and _SURROGATE.search(leaf):
                return Problem("surrogate", values={"field": shown(name)})
    return next(filter(None, (_problem_of_field(row, name) for name in fields)), None)


def _problem_of_field(row: dict[Any, Any], name: str) -> Problem | None:
    if name not in row:
        more = ", ..." if len(row) > NAMES_SHOWN else ""
        names = ", ".join(f'"{shown(other)}"' for other in [*row][:NAMES_SHOWN]) + more
        return Problem("missing", values={"field": shown(name), "names": names})
    value = row[name]
    if value is None:
        return Problem("null", values={"field": shown(name)})
    if not isinstance(value, str):
        return Problem("no text", values={"field": shown(name), "kind": type(value).__name__})
    return None if value.strip() else Problem("empty", values={"field": shown(name)})


def _leaves(value: Any) -> Iterator[Any]:
    """Walk through all that is nested in a value; without recursion, since JSON nests more deeply than Python calls."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        else:
            yield value


def shown(text: object) -> str:
    """Cut a name or a value for a message, and write out what cannot be encoded.

    Args:
        text: what the file holds.
    """
    whole = str(text).encode("utf-8", "backslashreplace").decode()
    return whole if len(whole) <= CHARACTERS_SHOWN else whole[: CHARACTERS_SHOWN - 1] + "…"


def _parse(text: str) -> list[Any]:
    try:
        whole = _load(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return _parse_lines(text, error)
    return whole if isinstance(whole, list) else [whole]


def _parse_lines(text: str, whole_error: Exception) -> list[Any]:
    """Parse JSON Lines; a text whose first line is no JSON by itself is taken for one that is broken as a whole."""
    entries: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines would also split at U+2028 inside a text
        if not line.strip():
            continue
        try:
            entries.append(_load(line))
        except (json.JSONDecodeError, RecursionError) as error:
            problem = _problem_of_syntax(error, number) if entries else _problem_of_syntax(whole_error, 1)
            raise TrainingFileError(problem) from None
    return entries


def _problem_of_syntax(error: Exception, first_line: int) -> Problem:
    if isinstance(error, json.JSONDecodeError):
        line = first_line + error.lineno - 1
        return Problem("syntax", line=line, column=error.colno, values={"why": error.msg})
    return Problem("depth")


def _load(text: str) -> Any:
    """Parse JSON; in place of what only some programs would take stands a ``Problem``, which its row is refused for."""
    return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_constant, object_pairs_hook=_object)


def _number(text: str) -> str | Problem:
    return Problem("too large", values={"value": shown(text)}) if math.isinf(float(text)) else text


def _constant(name: str) -> Problem:
    return Problem("constant", values={"value": name})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Problem:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            return Problem("repeated", values={"field": shown(name)})
        found[name] = value
    return found
