"""Training data: rows are read from a file, wrapped by the verbalizer and turned into token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import TrainingDataError
from .settings import FIELD, TuningSettings
from .training_file import parse_rows

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
        shared: the token ids that all rows begin with: the verbalizer's text and a common instruction.
        rows: for each row, the rest of its input (at least one token) and its output.
    """

    shared: list[int]
    rows: list[tuple[list[int], list[int]]]


def wrap(verbalizer: str, text: str) -> str:
    """Put an input into the verbalizer's ``{{input}}`` field; everything else in the verbalizer is literal text."""
    return verbalizer.replace(FIELD, text)


def read_rows(path: Path) -> list[TrainingRow]:
    """Read a JSON list, or JSON Lines, of objects with ``input`` and ``output``.

    Args:
        path: the file.

    Raises:
        TrainingFileError: naming the first row that cannot be used, counted from 1, and what is wrong with it.
    """
    return [TrainingRow(row["input"], row["output"]) for row in parse_rows(path.read_bytes())]


def encode_rows(rows: Sequence[TrainingRow], tokenizer: Any, settings: TuningSettings) -> EncodedRows:
    """Turn rows into token ids: the wrapped input, then the output and the end-of-text token.

    This is how caikit-nlp (https://github.com/caikit/caikit-nlp) tunes. Rows whose input is longer than
    ``max_input_tokens`` are omitted.

    Args:
        rows: the examples, at least one.
        tokenizer: the base model's tokenizer.
        settings: verbalizer and limits.

    Raises:
        TrainingDataError: if this omits all rows.
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
    shared = common_prefix([tuple(tokens[:-1]) for tokens, _ in examples])  # each row keeps a token of its own
    return EncodedRows(
        shared=examples[0][0][:shared],
        rows=[(tokens[shared:], output) for tokens, output in examples],
    )


def encode_inputs(texts: list[str], tokenizer: Any) -> list[list[int]]:
    """Return the token ids of wrapped inputs, the same in training and at inference."""
    encoded: list[list[int]] = []
    for start in range(0, len(texts), ENCODED_TOGETHER):
        encoded += tokenizer(texts[start : start + ENCODED_TOGETHER])["input_ids"]
    return encoded


def common_prefix(sequences: Sequence[tuple[int, ...]]) -> int:
    """Count the leading tokens that all sequences, at least one, share."""
    # What the least and the greatest share, all between them share too.
    first, last = min(sequences), max(sequences)
    shared = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        shared += 1
    return shared
