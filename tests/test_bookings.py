"""Holds the bookings to their datasheet: frozen, in form, in the words of their messages, and without leaks."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from prompt_tuning_helpers.datasets import check, similar_pairs

DATA = Path(__file__).parents[1] / "data"
DATASHEET = (DATA / "BOOKINGS.md").read_text(encoding="utf-8").splitlines()
SPLITS = {"train": 120, "test": 60}
FIELDS = ("name", "breed", "service", "when")
SERVICES = ("puppy groom", "full groom", "de-shedding", "bath", "teeth", "nails")
HARD = ("two dogs", "change of mind", "indirect day", "described service", "name in signature")
NOT_SAID = "-"
ANY_DAY = "any"
SIMILAR = 0.15  # as the datasheet says


def path(split: str) -> Path:
    return DATA / f"dog_grooming_bookings_{split}_data.json"


def bookings(split: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(path(split).read_text(encoding="utf-8"))
    return rows


def fields(row: dict[str, str]) -> dict[str, str]:
    return dict(zip(FIELDS, row["output"].split("; "), strict=True))


def has_in_order(message: str, words: list[str]) -> bool:
    """Whether a message has these words, whole and in this order, with anything between them."""
    return (
        re.search(r"(?<!\w)" + r"(?!\w).*?(?<!\w)".join(map(re.escape, words)) + r"(?!\w)", message, re.DOTALL)
        is not None
    )


@pytest.mark.parametrize("split", SPLITS)
def test_each_file_is_the_one_that_the_datasheet_describes(split: str) -> None:
    assert f"{path(split).name:<39}{hashlib.sha256(path(split).read_bytes()).hexdigest()}" in DATASHEET
    read = [fields(row) for row in bookings(split)]
    not_said = [sum(line[field] == NOT_SAID for line in read) for field in FIELDS]
    assert len(read) == SPLITS[split]
    assert f"| `{path(split).name}` | {len(read)} | " + " | ".join(map(str, not_said)) + " |" in DATASHEET


def test_every_service_is_on_the_closed_list_as_often_as_the_datasheet_says() -> None:
    train, test = (Counter(fields(row)["service"] for row in bookings(split)) for split in SPLITS)
    assert set(train) == set(test) == {*SERVICES, NOT_SAID}
    for service in (*SERVICES, NOT_SAID):
        assert f"| `{service}` | {train[service]} | {test[service]} |" in DATASHEET


@pytest.mark.parametrize("split", SPLITS)
def test_a_message_is_10_to_60_words_and_a_line_is_clean(split: str) -> None:
    for row in bookings(split):
        assert 10 <= len(row["input"].split()) <= 60, row
        assert row["input"] == row["input"].strip()
        name, breed, service, when = fields(row).values()
        assert all(value and value == value.strip() for value in (name, breed, service, when)), row
        assert (breed, service, when) == (breed.lower(), service.lower(), when.lower()), row
        assert not re.search(r"[,;?!]", name + breed + when), row


@pytest.mark.parametrize("split", SPLITS)
def test_name_breed_and_when_are_in_the_words_of_the_message(split: str) -> None:
    for row in bookings(split):
        name, breed, _, when = fields(row).values()
        message = row["input"].lower()
        if name != NOT_SAID:
            assert has_in_order(row["input"], [name]), row
        if breed != NOT_SAID:
            assert has_in_order(message, [breed]), row
        if when not in (NOT_SAID, ANY_DAY):
            assert has_in_order(message, when.split()), row
            assert when.split()[0] not in ("on", "at", "for"), row


def test_a_quarter_of_the_test_file_is_hard_and_each_kind_occurs_equally_often() -> None:
    assert Counter(row["phenomenon"] for row in bookings("test")) == {"plain": 45} | dict.fromkeys(HARD, 3)
    assert all(row.keys() == {"input", "output"} for row in bookings("train"))


def test_a_name_in_the_signature_stands_nowhere_else() -> None:
    signed = [row for row in bookings("test") if row["phenomenon"] == "name in signature"]
    for row in signed:
        *body, signature = row["input"].splitlines()
        assert fields(row)["name"] in signature
        assert fields(row)["name"] not in " ".join(body)


def test_no_dog_occurs_twice_and_no_breed_in_both_files() -> None:
    train, test = ([fields(row) for row in bookings(split)] for split in SPLITS)
    names = [line["name"].lower() for line in train + test if line["name"] != NOT_SAID]
    assert len(set(names)) == len(names)
    assert {line["breed"] for line in train} & {line["breed"] for line in test} == {NOT_SAID}


def test_nothing_leaks_and_no_two_messages_are_nearly_the_same_within_a_file_or_across() -> None:
    # the one remark: no test line is among the training lines, as it should be where lines are copied from messages
    assert [finding.kind for finding in check(path("train"), path("test")).findings] == ["label"]
    texts = [row["input"] for split in SPLITS for row in bookings(split)]
    assert list(similar_pairs(texts, limit=SIMILAR)) == []
