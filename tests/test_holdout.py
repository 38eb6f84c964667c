"""Holds the held-back reviews to their datasheet: frozen, balanced, and unlike all other reviews."""

import hashlib
import json
from collections import Counter

from prompt_tuning_helpers.datasets import similar_pairs
from prompt_tuning_helpers.lesson import reviews_path
from tests.test_data import DATASHEET, HEAD, PHENOMENA, TAIL, all_reviews

HOLDOUT = DATASHEET.with_name("dog_grooming_reviews_holdout_data.json")
SIMILAR = 0.25  # as the datasheet says


def rows() -> list[dict[str, str]]:
    read: list[dict[str, str]] = json.loads(HOLDOUT.read_text(encoding="utf-8"))
    return read


def test_the_file_is_the_frozen_one_in_the_form_of_the_test_file() -> None:
    assert hashlib.sha256(HOLDOUT.read_bytes()).hexdigest() in DATASHEET.read_text(encoding="utf-8").splitlines()
    assert all(row["input"].startswith(HEAD) and row["input"].endswith(TAIL) for row in rows())
    assert Counter(row["output"] for row in rows()) == {"0": 300, "1": 300}


def test_a_quarter_is_hard_and_each_kind_occurs_25_times_under_both_outputs() -> None:
    counts = Counter(row["phenomenon"] for row in rows())
    assert counts == dict.fromkeys(PHENOMENA, 25) | {"plain": 450}
    by_output = Counter((row["phenomenon"], row["output"]) for row in rows())
    assert all(by_output[kind, output] in (12, 13, 225) for kind in PHENOMENA for output in "01")


def test_none_is_nearly_another_of_these_or_of_the_first_440() -> None:
    texts = [row["input"].removeprefix(HEAD).removesuffix(TAIL) for row in rows()]
    old = [review.text for review in all_reviews()]
    assert len(set(texts + old)) == len(texts) + len(old)
    assert list(similar_pairs(texts + old, limit=SIMILAR)) == []


def test_lesson_and_wheel_keep_to_the_two_first_files() -> None:
    """What is held back is for measuring, and does not ship."""
    assert {reviews_path("train").name, reviews_path("test").name} == {
        "dog_grooming_reviews_train_data.json",
        "dog_grooming_reviews_test_data.json",
    }
