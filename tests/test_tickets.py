"""Holds the support tickets to their datasheet: counts, hashes, no near duplicates, and a test file that is frozen."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from prompt_tuning_helpers.datasets import similar_pairs

DATA = Path(__file__).parents[1] / "data"
DATASHEET = (DATA / "SUPPORT_TICKETS.md").read_text(encoding="utf-8")
TEAMS = ("how_to", "bugs", "billing", "accounts", "sales")
SPLITS = {"train": (96, 81, 60, 42, 21), "validation": (32, 27, 20, 14, 7), "test": (96, 81, 60, 42, 21)}
HARD = ("two topics", "wrong words", "anger", "late question", "non-native")
SIMILAR = 0.25  # as the datasheet says


def path(split: str) -> Path:
    return DATA / f"support_tickets_{split}_data.json"


def tickets(split: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(path(split).read_text(encoding="utf-8"))
    return rows


@pytest.mark.parametrize("split", SPLITS)
def test_each_file_is_the_one_that_the_datasheet_describes(split: str) -> None:
    line = f"{path(split).name:<38}{hashlib.sha256(path(split).read_bytes()).hexdigest()}"
    assert line in DATASHEET.splitlines()
    counts = Counter(row["output"] for row in tickets(split))
    assert counts == dict(zip(TEAMS, SPLITS[split], strict=True))
    assert f"| `{path(split).name}` | {counts.total()} | " + " | ".join(map(str, SPLITS[split])) + " |" in DATASHEET


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_quarter_of_a_file_is_hard_and_each_kind_occurs_equally_often(split: str) -> None:
    counts = Counter(row["phenomenon"] for row in tickets(split))
    hard = counts.total() // 4
    assert counts == {"plain": counts.total() - hard} | dict.fromkeys(HARD, hard // len(HARD))


def test_no_two_tickets_are_nearly_the_same_within_a_file_or_across() -> None:
    texts = [row["input"] for split in SPLITS for row in tickets(split)]
    assert len(set(texts)) == len(texts)
    assert list(similar_pairs(texts, limit=SIMILAR)) == []


def test_the_exported_table_has_the_rows_of_the_training_and_the_validation_file() -> None:
    with (DATA / "support_tickets.csv").open(encoding="utf-8", newline="") as file:
        exported = [(row["message"], row["team"]) for row in csv.DictReader(file)]
    assert exported == [(row["input"], row["output"]) for split in ("train", "validation") for row in tickets(split)]
