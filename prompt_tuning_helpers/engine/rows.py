"""Training data: read and check a file, wrap its inputs by the verbalizer, turn them into token ids."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import TrainingDataError
from .settings import FIELD, TuningSettings

# Beside its ids, the tokenizer notes where each token stands in the text, for all texts that it is given at once.
ENCODED_TOGETHER = 256


@dataclass(frozen=True)
class TrainingRow:
    """One example as text."""

    input: str
    output: str


@dataclass(frozen=True)
class EncodedRows:
    """Examples as token ids.

    Args:
        shared: the token ids that all rows begin with, verbalizer text and common instruction.
        rows: for each row, the rest of its input (one token at least) and its output.
        left_out: how many rows were longer than ``max_input_tokens``.
    """

    shared: list[int]
    rows: list[tuple[list[int], list[int]]]
    left_out: int


def wrap(verbalizer: str, text: str) -> str:
    """Put an input into the verbalizer's ``{{input}}`` field; everything else in the verbalizer is literal text."""
    return verbalizer.replace(FIELD, text)


def read_rows(path: Path) -> list[TrainingRow]:
    """Read a JSON list, or JSON Lines, of objects with ``input`` and ``output``.

    Args:
        path: the file.

    Raises:
        TrainingDataError: with the first row that cannot be used, counted from 1, and what is wrong with it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrainingDataError(
            f"The training data is not UTF-8 text (byte {error.start}). Save it as a JSON file in UTF-8."
        ) from error
    entries = _parse(text)
    if not entries:
        raise TrainingDataError("The training data has no rows. Add objects with 'input' and 'output'.")
    return [_read_row(entry, number) for number, entry in enumerate(entries, start=1)]


def encode_rows(rows: Sequence[TrainingRow], tokenizer: Any, settings: TuningSettings) -> EncodedRows:
    """Turn rows into token ids as caikit-nlp does: wrapped input, then the output and the end-of-text token.

    Args:
        rows: the examples.
        tokenizer: the base model's tokenizer.
        settings: verbalizer and limits.

    Raises:
        TrainingDataError: if no row is left under ``max_input_tokens``.
    """
    inputs = encode_inputs([wrap(settings.verbalizer, row.input) for row in rows], tokenizer)
    outputs = tokenizer([row.output for row in rows], add_special_tokens=False)["input_ids"]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    examples = [
        (tokens, [*output, *end][: settings.max_output_tokens])
        for tokens, output in zip(inputs, outputs, strict=True)
        if 0 < len(tokens) <= settings.max_input_tokens and (output or end)
    ]
    if not examples:
        shortest = min(len(tokens) for tokens in inputs)
        raise TrainingDataError(
            f"No row is left under max_input_tokens={settings.max_input_tokens}: the shortest of {len(rows)} rows, "
            f"row {[len(tokens) for tokens in inputs].index(shortest) + 1}, has {shortest} tokens with the verbalizer. "
            "Raise max_input_tokens or shorten the inputs."
        )
    shared = common_prefix([tokens for tokens, _ in examples])
    return EncodedRows(
        shared=examples[0][0][:shared],
        rows=[(tokens[shared:], output) for tokens, output in examples],
        left_out=len(rows) - len(examples),
    )


def encode_inputs(texts: list[str], tokenizer: Any) -> list[list[int]]:
    """Token ids of wrapped inputs, the same in training and at inference."""
    encoded: list[list[int]] = []
    for start in range(0, len(texts), ENCODED_TOGETHER):
        encoded += tokenizer(texts[start : start + ENCODED_TOGETHER])["input_ids"]
    return encoded


def common_prefix(sequences: Sequence[list[int]]) -> int:
    """How many leading tokens all sequences share, leaving each at least one of its own."""
    first, last = min(sequences), max(sequences)
    limit = min(map(len, sequences)) - 1
    shared = 0
    while shared < limit and first[shared] == last[shared]:
        shared += 1
    return shared


def _parse(text: str) -> list[Any]:
    try:
        entries = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return _parse_lines(text, error)
    if isinstance(entries, dict):
        return [entries]
    if not isinstance(entries, list):
        raise TrainingDataError(
            f"The training data is a JSON {type(entries).__name__}, not a list. It must be a JSON list of objects "
            "with 'input' and 'output'."
        )
    return entries


def _parse_lines(text: str, whole_error: Exception) -> list[Any]:
    """JSON Lines; a text whose first line is no JSON by itself is taken for one that is broken as a whole."""
    entries: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines would also split at U+2028 inside a text
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as line_error:
            error, first = (line_error, number) if entries else (whole_error, getattr(whole_error, "lineno", number))
            reason = getattr(error, "msg", "nested too deeply")
            raise TrainingDataError(
                f"The training data is not JSON: line {first}: {reason}. It must be a JSON list of objects with "
                "'input' and 'output', or one such object a line."
            ) from None
    if not entries:
        raise TrainingDataError("The training data is empty. Upload a JSON list of rows.")
    return entries


def _read_row(entry: Any, number: int) -> TrainingRow:
    if not isinstance(entry, dict):
        raise TrainingDataError(f"Row {number} is not an object. Each row needs the fields 'input' and 'output'.")
    fields = {}
    for name in ("input", "output"):
        if name not in entry:
            raise TrainingDataError(f"Row {number} has no '{name}'. Each row needs the fields 'input' and 'output'.")
        value = entry[name]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            kind = "null" if value is None else type(value).__name__
            raise TrainingDataError(f"Row {number}: '{name}' is {kind}, not text. Put the text in quotes.")
        if not str(value).strip():
            raise TrainingDataError(f"Row {number}: '{name}' is empty. Fill it in or drop the row.")
        if any("\ud800" <= character <= "\udfff" for character in str(value)):
            raise TrainingDataError(f"Row {number}: '{name}' holds half a character (a lone surrogate). Remove it.")
        fields[name] = str(value)
    return TrainingRow(**fields)
