"""Tables of accuracies side by side."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import comparison as shown
from comparison.against import find, points, points_interval
from comparison.plan import FULL, SMALL, TEST_FILES
from comparison.results import Comparison
from comparison.tables import NONE

from .made_up import PLANS, comparison, first_right, measured

COLUMNS = ["difference in points", "95 % interval", "verdict", "reviews it would take"]
ACCURACIES = {"zero-shot": 0.5, "prompt-100": 0.95, "full": 0.951, "lora-8": 0.95}


@pytest.fixture(scope="module")
def full() -> Comparison:
    return comparison(FULL, ACCURACIES, {"zero-shot": 0.9})


def test_a_difference_says_whether_the_reviews_can_show_it(full: Comparison) -> None:
    table = shown.show_accuracy_against(full, "prompt-100", ["zero-shot", "full", "lora-8"], rows=[20, 320])
    assert list(table.columns) == COLUMNS
    assert list(table.index.names) == ["training rows", "against"]
    assert list(table.index) == [
        (rows, title)
        for rows in (20, 320)
        for title in ("hard prompt, no examples", "full fine-tuning", "LoRA, rank 8")
    ]
    assert table["difference in points"].tolist() == ["+45.0", "\u22120.1", "0.0"] * 2
    assert table["verdict"].tolist() == ["better", "cannot be told", "the same answers"] * 2
    needed = table["reviews it would take"].tolist()
    assert [needed[0], needed[2]] == [NONE, NONE]
    assert needed[1].startswith("about ")
    low, high = (float(end) for end in table["95 % interval"].iloc[0].split("\u00a0to\u00a0"))
    assert 40 < low < 45 < high < 50
    turned = shown.show_accuracy_against(full, "zero-shot", ["prompt-100"])
    assert turned["verdict"].tolist() == ["worse"]


def test_methods_are_compared_in_either_way_of_answering(full: Comparison) -> None:
    table = shown.show_accuracy_against(full, "zero-shot", ["prompt-100"], by="writing")
    assert table["difference in points"].tolist() == ["+10.0"]
    assert table["verdict"].tolist() == ["better"]
    for show in (shown.show_phenomena, shown.show_files):
        assert show(full, ["zero-shot"], by="writing").to_dict() != show(full, ["zero-shot"]).to_dict()


@pytest.mark.parametrize("what", PLANS.values(), ids=PLANS)
def test_what_stands_in_a_cell_has_no_place_to_break(what: Any) -> None:
    made = comparison(what, ACCURACIES)
    tables = [
        shown.show_accuracy_against(made, "full", ["prompt-100", "zero-shot", "tf-idf"])[COLUMNS[:2]],
        shown.show_phenomena(made, ["full", "tf-idf"]).drop(columns="reviews"),
        shown.show_files(made, ["full", "tf-idf"]),
    ]
    for cell in (cell for table in tables for cell in table.to_numpy().ravel()):
        assert not {" ", "-"} & set(cell), cell  # such a hyphen is no minus sign, and a line could end there
        assert "\N{EN DASH}" not in cell.replace("\N{EN DASH}\N{WORD JOINER}", "").removesuffix(NONE)


def test_what_was_not_measured_is_named_with_what_there_is(full: Comparison) -> None:
    with pytest.raises(ValueError, match=r"There is no method 'prompt-50'\. There are: instruction, zero-shot"):
        shown.show_accuracy_against(full, "prompt-50", ["full"])
    with pytest.raises(ValueError, match="'prompt-20' was not measured with 20 training rows, but with 320"):
        shown.show_accuracy_against(full, "full", ["prompt-20"], rows=[20])
    with pytest.raises(ValueError, match="'full' was not measured with 40 training rows, but with 20 or 80 or 320"):
        find(full, "full", 40)
    with pytest.raises(ValueError, match="'zero-shot' was not measured with 40"):
        find(full, "zero-shot", 40)
    assert find(full, "zero-shot", 20) is find(full, "zero-shot")  # learns nothing from rows


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (0.123, "+12.3"), (-0.123, "\u221212.3"), (0.0001, "+0.0"), (-0.0001, "\u22120.0"), (1.0, "+100.0")],
)
def test_points_have_a_sign(value: float, text: str) -> None:
    assert points(value) == text


def test_an_interval_is_written_with_its_signs() -> None:
    assert points_interval((-0.029, 0.006)) == "\u22122.9\u00a0to\u00a0+0.6"


def test_phenomena_have_their_reviews_and_accuracies() -> None:
    made = comparison(FULL)
    plain = np.array([review["phenomenon"] == "plain" for review in made.reviews])
    irony = np.array([review["phenomenon"] == "irony" for review in made.reviews])
    hits = np.tile(~irony, (5, 1))
    hits[0, plain] = False  # a seed that gets all plain reviews wrong
    found = measured(hits, name="full")
    made = replace(made, measured=tuple(found if each.method == found.method else each for each in made.measured))
    table = shown.show_phenomena(made, ["full", "tf-idf"])
    known = Counter(review["phenomenon"] for review in made.reviews)
    assert table.index.name == "phenomenon"
    assert list(table.index) == ["plain", *sorted(set(known) - {"plain"}), "all but plain"]
    assert list(table.columns) == ["reviews", "full fine-tuning", "TF-IDF, logistic regression"]
    assert table["reviews"].tolist() == [known["plain"], *[30] * 6, 180]
    column = table["full fine-tuning"]
    assert column["irony"].startswith("0.000\u00a0(0.000")
    assert column["mixed"].startswith("1.000\u00a0(1.000")
    assert column["plain"].startswith("0.800\u00a0(0.4")  # by the seeds alone: two of five samples lack it, or more
    assert column["all but plain"].startswith("0.833\u00a0(0.77")


def test_files_differ_by_what_their_own_reviews_show() -> None:
    made = comparison(FULL)
    lesson = np.array([review["file"] == TEST_FILES[0] for review in made.reviews])
    assert lesson.sum() == 120
    hits = first_right(FULL, 1.0)
    hits[:, np.flatnonzero(lesson)[:12]] = False
    hits[:, np.flatnonzero(~lesson)[:150]] = False
    found = measured(hits, name="lora-8")
    made = replace(made, measured=tuple(found if each.method == found.method else each for each in made.measured))
    (row,) = shown.show_files(made, ["lora-8"]).to_dict("records")
    assert list(row) == ["the lesson's 120", "holdout, 600", "difference in points", "95 % interval"]
    assert row["the lesson's 120"].startswith("0.900")
    assert row["holdout, 600"].startswith("0.750")
    assert row["difference in points"] == "\u221215.0"
    low, high = (float(end.replace("\u2212", "-")) for end in row["95 % interval"].split("\u00a0to\u00a0"))
    half = 100 * 1.96 * (0.9 * 0.1 / 120 + 0.75 * 0.25 / 600) ** 0.5
    assert (low, high) == pytest.approx((-15 - half, -15 + half), abs=1)


def test_a_plan_without_holdout_reviews_shows_a_dash() -> None:
    made = comparison(SMALL, ACCURACIES)
    (row,) = shown.show_files(made, ["full"]).to_dict("records")
    assert list(row.values())[1:] == [NONE] * 3
    table = shown.show_phenomena(made, ["full"])
    assert table["reviews"].sum() == SMALL.test_rows + table["reviews"].iloc[-1]
