"""Training data: read a file, wrap its inputs by the verbalizer, turn them into token ids."""

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
        TrainingFileError: with the first row that cannot be used, counted from 1, and what is wrong with it.
    """
    return [TrainingRow(row["input"], row["output"]) for row in parse_rows(path.read_bytes())]


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
