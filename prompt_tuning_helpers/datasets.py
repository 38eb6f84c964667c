"""The data of the lesson: load, check, describe, fetch and upload rows of ``input`` and ``output``."""

import contextlib
import csv
import hashlib
import html
import http.client
import io
import json
import math
import os
import re
import socket
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit

from .words import say

if TYPE_CHECKING:
    import pandas as pd
    from ibm_watsonx_ai import APIClient

FIELDS = ("input", "output")
SHINGLE = 5  # characters
NEARLY_SAME = 0.7  # the share of common shingles from which two inputs count as nearly the same
IMBALANCE = 2  # times as many rows of one label as of another
FRAME_ROWS = 5  # distinct inputs, from which what they all share is taken to be the prompt and not the text
ROWS_NAMED = 10  # in the message of a finding; its fields hold all of them
PATIENCE_SECONDS = 60.0  # without a byte, after which a download is given up


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
    installed = Path(__file__).with_name("data") / name
    return installed if installed.exists() else Path(__file__).parents[1] / "data" / name


REVIEWS_TRAIN = reviews_path("train")
REVIEWS_TEST = reviews_path("test")


# --- load ---------------------------------------------------------------------------------------------------------


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
    _require_usable(rows, path.name)
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


def _require_usable(rows: Sequence[dict[Hashable, Any]] | Sequence[dict[str, Any]], name: str) -> None:
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


# --- check --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """Something that makes data less useful than it could be.

    Args:
        kind: ``"duplicate"``, ``"near-duplicate"``, ``"conflict"``, ``"leak"``, ``"near-leak"``, ``"prompt"``,
            ``"label"``, ``"imbalance"`` or ``"too long"``.
        text: what was found and why it matters.
        train: numbers of the training rows concerned, the first row being 1.
        test: numbers of the test rows concerned.
    """

    kind: str
    text: str
    train: tuple[int, ...] = ()
    test: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """The figures of the training or of the test data.

    Args:
        name: ``"training"`` or ``"test"``.
        rows: how many there are.
        labels: rows for each output.
        longest: tokens of the longest input.
    """

    name: str
    rows: int
    labels: dict[str, int]
    longest: int


@dataclass(frozen=True)
class Report:
    """What :func:`check` found; it prints itself, as text or as HTML.

    Args:
        parts: figures of the training data, and of the test data if there are any.
        findings: all that is unwise; none for data without a flaw.
        estimated: whether tokens were estimated, since no counter was given.
    """

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]
    estimated: bool

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Pick the findings of one kind.

        Args:
            kind: as in :class:`Finding`.
        """
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def _table(self) -> list[list[str]]:
        about = say("longest input, in tokens (estimated)") if self.estimated else say("longest input, in tokens")
        head = ["", say("rows"), say("rows per output"), about]
        body = [
            [
                say(part.name),
                str(part.rows),
                ", ".join(f"{_short(label)}: {count}" for label, count in part.labels.items()),
                str(part.longest),
            ]
            for part in self.parts
        ]
        return [head, *body]

    def _summary(self) -> str:
        if self.ok:
            return say("Nothing to complain about.")
        return say("To look at before you go on:")

    def __str__(self) -> str:
        """Set the report as plain text."""
        table = self._table()
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join([*lines, "", self._summary(), *(f"- {finding.text}" for finding in self.findings)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._table()
        rows = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
        rows += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body]
        table = "".join(f"<tr>{row}</tr>" for row in rows)
        items = "".join(f"<li>{html.escape(finding.text)}</li>" for finding in self.findings)
        found = f"<ul>{items}</ul>" if items else ""
        return f"<table>{table}</table><p>{html.escape(self._summary())}</p>{found}"


def check(
    train: "str | os.PathLike[str] | pd.DataFrame",
    test: "str | os.PathLike[str] | pd.DataFrame | None" = None,
    *,
    count_tokens: Callable[[str], int] | None = None,
    max_input_tokens: int | None = None,
) -> Report:
    """Look through data before anything is tuned on it.

    Args:
        train: the training data, a file for :func:`load_rows` or its rows.
        test: the test data, if there are any.
        count_tokens: counts the tokens of a text as the base model does. Without it they are estimated.
        max_input_tokens: length from which the tuning cuts inputs off.

    Returns:
        The report. Its findings are things that are merely unwise.

    Raises:
        DatasetError: if the data cannot be used: the row and what is wrong with it are named.
    """
    tokens = count_tokens or estimate_tokens
    first = _Split.read("training", train)
    others = [] if test is None else [_Split.read("test", test, around=(first.head, first.tail))]
    splits = [first, *others]
    if len(set(first.outputs)) < 2:
        raise DatasetError(
            say(
                "{name}: every row has the output {label}; to learn a difference takes rows of at least two.",
                name=first.source,
                label=_quoted(first.outputs[0]),
            )
        )
    parts = tuple(
        Part(s.name, len(s.inputs), dict(sorted(Counter(s.outputs).items())), max(map(tokens, s.inputs)))
        for s in splits
    )
    findings: list[Finding] = []
    for split in splits:
        findings += _find_repeats(split)
        findings += _find_conflicts(split)
        findings += _find_label_trouble(split)
        if max_input_tokens is not None:
            findings += _find_too_long(split, tokens, max_input_tokens, estimated=count_tokens is None)
    for other in others:
        findings += _find_leaks(first, other)
        findings += _find_strange_prompts(first, other)
    return Report(parts, tuple(findings), estimated=count_tokens is None)


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has, without a tokenizer.

    Args:
        text: any text.

    Returns:
        Four tokens for three words, or one for four bytes of UTF-8, whichever is more.
    """
    return math.ceil(max(len(text.split()) * 4 / 3, len(text.encode()) / 4))


@dataclass(frozen=True)
class _Split:
    """Training or test rows, ready for the checks; ``head`` and ``tail`` are the prompt around the texts."""

    name: str
    source: str
    inputs: list[str]
    outputs: list[str]
    head: str
    tail: str
    texts: list[str]  # the words of each input, without the prompt around them

    @classmethod
    def read(
        cls, name: str, data: "str | os.PathLike[str] | pd.DataFrame", around: tuple[str, str] = ("", "")
    ) -> "_Split":
        if isinstance(data, str | os.PathLike):
            source, frame = Path(data).name, load_rows(data)
        else:
            source, frame = say("the {name} data", name=say(name)), data
            _require_usable(frame.to_dict("records"), source)
        inputs, outputs = list(frame["input"]), list(frame["output"])
        # too few rows to tell their own prompt are taken to have the one they are compared with
        head, tail = around if len(set(inputs)) < FRAME_ROWS else prompt_around(inputs)
        return cls(name, source, inputs, outputs, head, tail, [_words(_inside(text, head, tail)) for text in inputs])


def prompt_around(inputs: Iterable[str]) -> tuple[str, str]:
    """Find the prompt that inputs share, so that they can be compared by what is in it.

    Args:
        inputs: all inputs of a file.

    Returns:
        What all of them begin with, up to a colon or the end of a line, and the lines that all of them end with. Both
        are empty for fewer than five different inputs, where anything may be shared by chance.
    """
    texts = set(inputs)
    if len(texts) < FRAME_ROWS:
        return "", ""
    head = _shared_start(texts)
    head = head[: max(head.rfind(":"), head.rfind("\n")) + 1]
    tail = _shared_start(text[len(head) :][::-1] for text in texts)[::-1]
    return head, tail[tail.find("\n") :] if "\n" in tail else ""


def _shared_start(texts: Iterable[str]) -> str:
    # what the first and the last in alphabetical order share, all between them share too
    texts = sorted(texts)
    pairs = enumerate(zip(texts[0], texts[-1], strict=False))
    return texts[0][: next((i for i, (a, b) in pairs if a != b), len(texts[0]))]


def _inside(text: str, head: str, tail: str) -> str:
    return text.removeprefix(head).removesuffix(tail)


def _words(text: str) -> str:
    # a text without a word, such as a row of emoji, is compared as it is
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def shingles(text: str) -> list[str]:
    """Cut a text into overlapping pieces of five characters; case and punctuation do not count.

    Args:
        text: any text.
    """
    words = f" {_words(text)} "
    return [words[i : i + SHINGLE] for i in range(max(1, len(words) - SHINGLE + 1))]


def similar_pairs(
    left: Sequence[str], right: Sequence[str] | None = None, limit: float = NEARLY_SAME
) -> Iterator[tuple[int, int, float]]:
    """Find texts that are nearly the same.

    Args:
        left: texts.
        right: texts to compare them with. When left out, those before each text in ``left``.
        limit: from 0 to 1, the least similarity to report: shared shingles by all shingles (Jaccard).

    Yields:
        Position on the left, position on the right, similarity.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not left or (right is not None and not right):
        return
    vectorizer = CountVectorizer(analyzer=shingles, binary=True, dtype="int32")
    vectorizer.fit([*left, *(right or [])])
    rows = vectorizer.transform(left)
    columns = rows if right is None else vectorizer.transform(right)
    row_sizes, column_sizes = rows.sum(axis=1).A1, columns.sum(axis=1).A1
    step = 256  # rows at a time: all pairs at once would not fit into memory for thousands of rows
    for start in range(0, len(left), step):
        end = min(start + step, len(left))
        shared = (rows[start:end] @ columns[: end if right is None else None].T).tocoo()
        i, j = shared.row + start, shared.col
        similarity = shared.data / (row_sizes[i] + column_sizes[j] - shared.data)
        found = similarity >= limit if right is not None else (similarity >= limit) & (j < i)
        yield from zip(i[found].tolist(), j[found].tolist(), similarity[found].tolist(), strict=True)


def _positions(texts: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts, start=1):
        found[text].append(number)
    return found


def _find_repeats(split: _Split) -> Iterator[Finding]:
    again = {n: rows[0] for rows in _positions(split.texts).values() for n in rows[1:]}
    if again:
        yield _finding(
            "duplicate",
            split,
            again,
            say(
                "{count} of {all} {name} rows repeat an earlier row: {rows}.",
                count=len(again),
                all=len(split.texts),
                name=say(split.name),
                rows=_listed(f"{n} (= {first})" for n, first in sorted(again.items())),
            ),
        )
    distinct = [n for n in range(1, len(split.texts) + 1) if n not in again]
    nearly: dict[int, tuple[int, float]] = {}
    for i, j, similarity in similar_pairs([split.texts[n - 1] for n in distinct]):
        _keep_nearest(nearly, distinct[i], distinct[j], similarity)
    if nearly:
        yield _finding(
            "near-duplicate",
            split,
            nearly,
            say(
                "{count} of {all} {name} rows are nearly an earlier row: {rows}.",
                count=len(nearly),
                all=len(split.texts),
                name=say(split.name),
                rows=_listed(f"{n} (≈ {other}, {like:.0%})" for n, (other, like) in sorted(nearly.items())),
            ),
        )


def _keep_nearest(nearly: dict[int, tuple[int, float]], row: int, other: int, similarity: float) -> None:
    # of equally near rows the first, so that a report does not depend on the order in which pairs were found
    nearly[row] = min(nearly.get(row, (other, similarity)), (other, similarity), key=lambda near: (-near[1], near[0]))


def _find_conflicts(split: _Split) -> Iterator[Finding]:
    groups = [
        rows for rows in _positions(split.texts).values() if len({split.outputs[n - 1].strip() for n in rows}) > 1
    ]
    if groups:
        yield _finding(
            "conflict",
            split,
            [n for rows in groups for n in rows],
            say(
                "The same input has different outputs in {name} rows {rows}: decide which is right.",
                name=say(split.name),
                rows=_listed(" / ".join(map(str, rows)) for rows in groups),
            ),
        )


def _find_label_trouble(split: _Split) -> Iterator[Finding]:
    counts = Counter(split.outputs)
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        spellings[label.strip().casefold()].append(label)
    for same in spellings.values():
        if len(same) > 1:
            yield _finding(
                "label",
                split,
                [n for n, label in enumerate(split.outputs, start=1) if label in same],
                say(
                    "Outputs of the {name} rows that differ only in blanks or case: {labels}.",
                    name=say(split.name),
                    labels=", ".join(map(_quoted, same)),
                ),
            )
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    if len(counts) == 1:
        text = say("All {name} rows have the output {label}.", name=say(split.name), label=_quoted(most))
        yield Finding("imbalance", text)
    elif many > IMBALANCE * few:
        text = say(
            "The {name} rows are out of balance: {many} for {most}, but {few} for {least}.",
            name=say(split.name),
            many=many,
            most=_quoted(most),
            few=few,
            least=_quoted(least),
        )
        yield Finding("imbalance", text)


def _find_too_long(split: _Split, tokens: Callable[[str], int], most: int, *, estimated: bool) -> Iterator[Finding]:
    long = {n: size for n, text in enumerate(split.inputs, start=1) if (size := tokens(text)) > most}
    if long:
        text = say(
            "{count} of {all} {name} rows are longer than {most} tokens, and would be cut off: {rows}.",
            count=len(long),
            all=len(split.inputs),
            name=say(split.name),
            most=most,
            rows=_listed(f"{n} ({size})" for n, size in long.items()),
        )
        if estimated:
            text += " " + say("These lengths are estimates.")
        yield _finding("too long", split, long, text)


def _find_leaks(train: _Split, test: _Split) -> Iterator[Finding]:
    known = _positions(train.texts)
    same = {n: known[text][0] for n, text in enumerate(test.texts, start=1) if text in known}
    if same:
        yield Finding(
            "leak",
            say(
                "{count} of {all} test rows are also in the training data, so the test tells less than it seems to: "
                "{rows}.",
                count=len(same),
                all=len(test.texts),
                rows=_listed(f"{n} (= {first})" for n, first in same.items()),
            ),
            train=tuple(sorted({n for text in set(test.texts) for n in known.get(text, ())})),
            test=tuple(same),
        )
    opposed = {n: first for n, first in same.items() if test.outputs[n - 1].strip() != train.outputs[first - 1].strip()}
    if opposed:
        yield Finding(
            "conflict",
            say(
                "The same input has different outputs in test and training rows {rows}: decide which is right.",
                rows=_listed(f"{n} / {first}" for n, first in opposed.items()),
            ),
            train=tuple(sorted(set(opposed.values()))),
            test=tuple(opposed),
        )
    nearly: dict[int, tuple[int, float]] = {}
    for i, j, similarity in similar_pairs(test.texts, train.texts):
        if i + 1 not in same:
            _keep_nearest(nearly, i + 1, j + 1, similarity)
    if nearly:
        yield Finding(
            "near-leak",
            say(
                "{count} of {all} test rows are nearly a training row: {rows}.",
                count=len(nearly),
                all=len(test.texts),
                rows=_listed(f"{n} (≈ {other}, {like:.0%})" for n, (other, like) in sorted(nearly.items())),
            ),
            train=tuple(sorted({other for other, _ in nearly.values()})),
            test=tuple(sorted(nearly)),
        )


def _find_strange_prompts(train: _Split, test: _Split) -> Iterator[Finding]:
    fits = all(text.startswith(train.head) and text.endswith(train.tail) for text in test.inputs)
    if not fits or (test.head, test.tail) != (train.head, train.tail):
        yield Finding(
            "prompt",
            say(
                "Training and test inputs do not have the same instruction around them; a prompt tuned on one shape "
                "may fail on the other."
            ),
        )
    unknown = sorted(set(test.outputs) - set(train.outputs))
    if unknown:
        yield Finding(
            "label",
            say("Test outputs that no training row has: {labels}.", labels=_listed(map(_quoted, unknown))),
            test=tuple(n for n, label in enumerate(test.outputs, start=1) if label in unknown),
        )


def _finding(kind: str, split: _Split, rows: Iterable[int], text: str) -> Finding:
    numbers = tuple(sorted(rows))
    return Finding(kind, text, train=numbers) if split.name == "training" else Finding(kind, text, test=numbers)


def _listed(items: Iterable[str]) -> str:
    names = list(items)
    if len(names) <= ROWS_NAMED:
        return ", ".join(names)
    return say("{some} and {count} more", some=", ".join(names[:ROWS_NAMED]), count=len(names) - ROWS_NAMED)


def _short(label: str) -> str:
    return label if len(label) <= 30 else label[:29] + "…"


def _quoted(label: str) -> str:
    return json.dumps(_short(label), ensure_ascii=False)


def describe(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Count rows, and the words of their texts, for each output.

    Args:
        frame: rows as :func:`load_rows` gives them.

    Returns:
        A row for each output and one for all: how many rows, and the fewest, median, mean and most words. The
        instruction that all inputs share is not counted.
    """
    import pandas as pd

    head, tail = prompt_around(frame["input"])
    words = frame["input"].map(lambda text: len(_inside(text, head, tail).split()))
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


# --- fetch and upload ---------------------------------------------------------------------------------------------


def fetch(url: str, folder: str | os.PathLike[str] = "data", sha256: str | None = None) -> Path:
    """Download a file with ``wget``, unless it is already there.

    The file appears under its name only when it is complete and its hash is right. One that is there with another
    hash than the one asked for is replaced.

    Args:
        url: an http or https address that ends in the name of a file.
        folder: where to put it; made if need be.
        sha256: what the file should hash to, in hexadecimal.

    Returns:
        The file.

    Raises:
        DatasetError: if it cannot be downloaded, or what came does not have the hash.
    """
    import wget

    parts = urlsplit(url)
    # the last part of the address names the file; it must not lead out of the folder
    name = unquote(parts.path).replace("\\", "/").rsplit("/", 1)[-1]
    if parts.scheme not in ("http", "https") or name in ("", ".", ".."):
        raise DatasetError(say("{url} is not an http or https address of a file.", url=url))
    folder = Path(folder).resolve()
    target = folder / name
    if target.exists() and (sha256 is None or _sha256(target) == sha256.lower()):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    # wget leaves its temporary file behind when it fails, so give it a folder that goes away in any case
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        part = Path(temporary) / name
        # wget quotes the path itself, and would quote a quoted one again
        unquoted = urlunsplit(parts._replace(path=unquote(parts.path)))
        try:
            with _impatient():
                wget.download(unquoted, out=str(part), bar=lambda now, total, width: _progress(name, now, total))
        except HTTPError as error:
            why = say("the server answered {code} {reason}", code=error.code, reason=error.reason)
            raise DatasetError(say("{url} cannot be downloaded: {why}.", url=url, why=why)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DatasetError(say("{url} cannot be downloaded: {why}.", url=url, why=error)) from error
        finally:
            print()  # ends the line of the progress
        found = _sha256(part)
        if sha256 is not None and found != sha256.lower():
            raise DatasetError(
                say(
                    "{url} is not the file that was expected: its SHA-256 is {found} and not {sha256}.",
                    url=url,
                    found=found,
                    sha256=sha256.lower(),
                )
            )
        part.replace(target)
    return target


def _progress(name: str, now: int, total: int) -> str:
    # without a Content-Length there is no total, and nothing to say but that it goes on
    if total <= 0:
        return f"{name} ..."
    return f"{name} {now / total:4.0%} of {total / 1000:,.1f} kB"


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    # urllib, which wget uses, would wait for a silent server for ever
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload(client: "APIClient", path: str | os.PathLike[str], name: str | None = None) -> str:
    """Store a file of rows as a data asset of the client's project.

    The service takes a JSON list and uses nothing but ``input`` and ``output``: so that is what is sent, whatever
    format and further columns the file has.

    Args:
        client: an ``APIClient`` with a default project.
        path: a file for :func:`load_rows`.
        name: what to call the asset; the file's own name, ending in ``.json``, when left out.

    Returns:
        The id of the data asset.

    Raises:
        DatasetError: if the file cannot be used.
    """
    rows = load_rows(path)[list(FIELDS)].to_dict("records")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(path).stem}.json"
        file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        details = client.data_assets.create(name=name or file.name, file_path=str(file))
    return str(client.data_assets.get_id(details))
