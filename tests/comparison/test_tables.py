"""The comparison's tables and sentences carry the figures, and none breaks where it should not."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import comparison as shown
from comparison import tables
from comparison.methods import Candidate
from comparison.plan import FULL
from comparison.results import Comparison, Searched
from comparison.search import DIVERGED, Score
from tests.comparison.made_up_methods import GPU, LORA, MACHINE, made_up

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def comparison() -> Comparison:
    return made_up(FULL)


def with_joiners(text: str) -> str:
    """As it stands in a table, where it is not to break."""
    return text.replace(" ", "\u00a0").replace("–", "\u2060–\u2060")  # noqa: RUF001


def test_what_the_notebook_needs_comes_without_torch() -> None:
    code = "import sys, comparison as c; c.show_wordings(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=NOTEBOOKS, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- tables ---


def test_the_main_table_has_a_row_for_each_method(comparison: Comparison) -> None:
    table = shown.show_methods(comparison)
    assert list(table.index) == [method.title for method in FULL.methods]
    assert table.loc["prompt tuning, 100 virtual tokens"].to_dict() == {
        "trained parameters": "57,600",
        "share of the model": with_joiners("0.043 %"),
        "accuracy, choosing": with_joiners("0.950 (0.900–1.000)"),  # noqa: RUF001
        "accuracy, writing freely": with_joiners("0.500 (0.400–0.600)"),  # noqa: RUF001
        "F1, choosing": with_joiners("0.950 (0.890–1.000)"),  # noqa: RUF001
    }
    assert table["share of the model"].tolist()[-2:] == [with_joiners("100 %"), "–"]  # noqa: RUF001
    assert table.loc["TF-IDF, logistic regression", "accuracy, writing freely"] == "–"  # noqa: RUF001


def test_the_table_of_costs_has_no_more_digits_than_their_noise_allows(comparison: Comparison) -> None:
    table = shown.show_costs(comparison)
    assert list(table.index) == [method.title for method in FULL.methods]
    assert table.loc["prompt tuning, 100 virtual tokens"].to_dict() == {
        "passes": "4",
        "one pass": with_joiners("15 s"),
        "whole tuning": with_joiners("60 s"),
        "memory of tuning": with_joiners("1,200 MiB"),
        "memory of answering": with_joiners("620 MiB"),
        "time per review": with_joiners("40 ms"),
        "saved": with_joiners("230 kB"),
    }
    instruction = table.loc["the lesson's instruction alone"]
    assert instruction.tolist()[:4] == ["–", "–", "none", "–"]  # noqa: RUF001
    assert table.loc["TF-IDF, logistic regression"].tolist()[:3] == ["–", "–", with_joiners("0.021 s")]  # noqa: RUF001


def test_no_figure_breaks_in_a_cell(comparison: Comparison) -> None:
    tables_of_figures = [
        shown.show_methods(comparison),
        shown.show_costs(comparison),
        shown.show_little_data(comparison),
    ]
    cells = [cell for table in tables_of_figures for row in table.to_numpy().tolist() for cell in row]
    assert not [cell for cell in cells if " " in cell]
    assert not [cell for cell in cells if len(cell) > 1 and re.search("[^\u2060]–|–[^\u2060]", cell)]  # noqa: RUF001


def test_the_table_of_little_data_has_those_that_were_measured_on_it(comparison: Comparison) -> None:
    table = shown.show_little_data(comparison)
    assert list(table.index) == [method.title for method in FULL.methods if method.learns_from_little]
    assert list(table.columns) == ["20 rows", "80 rows", "320 rows"]
    assert [text[:5] for text in table.loc["full fine-tuning"]] == ["0.900", "0.950", "1.000"]


def test_the_table_of_searches_shows_every_candidate(comparison: Comparison) -> None:
    table = shown.show_searches(comparison)
    assert len(table) == 2 + 3
    lora = table.loc[("LoRA, rank 8", 320)]
    assert lora["chosen"].tolist() == ["yes", "", ""]
    assert lora.index[0] == "learning rate 0.001, 2 passes, template feels"
    few = table.loc[("hard prompt, 4 or 8 examples", 320)]
    assert few.loc["instruction, 8 examples, draw 1"].to_dict() == {
        "accuracy, choosing": "0.600",
        "accuracy, writing freely": "0.250",
        "loss": "0.700",
        "chosen": "1 of 3 times",
    }


def test_a_candidate_that_diverged_is_shown_as_such(comparison: Comparison) -> None:
    scores: dict[Candidate, Score] = dict(
        zip(LORA, (Score(0.8, 0.5, 0.7), Score(0.9, 0.4, 0.7), DIVERGED), strict=True)
    )
    searched = Searched(FULL.method("lora-8"), 320, 0, scores, LORA[1])
    table = shown.show_searches(replace(comparison, searched=(searched,)))
    assert table.loc[("LoRA, rank 8", 320, LORA[2].describe())].tolist() == ["–", "–", "diverged", ""]  # noqa: RUF001
    assert table.loc[("LoRA, rank 8", 320, LORA[1].describe())].tolist() == ["0.900", "0.700", "0.400", "yes"]


def test_machines_are_named_apart_for_accuracies_and_costs(comparison: Comparison) -> None:
    assert shown.describe_machines(comparison) == (
        "Accuracies on test reviews: One, with 1 thread a job. Times and memory: One, with 1 thread a job."
    )
    mixed = replace(comparison, machines=((GPU, 60), (MACHINE, 3)))
    assert shown.describe_machines(mixed) == (
        "Accuracies on test reviews: A GPU, with 2 threads a job (60 results); One, with 1 thread a job (3 results). "
        "Times and memory: One, with 1 thread a job."
    )


def test_the_table_of_virtual_tokens_makes_blanks_visible(comparison: Comparison) -> None:
    table = shown.show_virtual_tokens(comparison)
    assert table.loc[2].to_dict() == {
        "started as": r"'\n'",
        "nearest words now": r"' so' 0.40, '\n' 0.30",
        "moved": "1.25",
        "accuracy without it": "0.950",
    }


def test_words_of_the_vocabulary_are_no_markup(comparison: Comparison) -> None:
    assert "<b>" not in shown.show_virtual_tokens(comparison).to_html()


def test_every_wording_is_shown() -> None:
    table = shown.show_wordings()
    assert table["question"].str.contains("{review}", regex=False).all()
    assert table.loc["sentiment", "not satisfied, satisfied"] == "negative / positive"


def test_every_template_is_shown() -> None:
    table = shown.show_templates()
    assert list(table.index) == ["none", "feels", "overall"]
    assert table["template"].str.contains("{{input}}", regex=False).all()


@pytest.mark.parametrize(
    ("amount", "text"),
    [(150, "150 B"), (1_900, "1.9 kB"), (230_400, "230 kB"), (1_850_000, "1.9 MB"), (538_060_032, "538 MB")],
)
def test_sizes_are_readable(amount: int, text: str) -> None:
    assert tables.size(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0.0, "none"), (0.0213, "0.021 s"), (9.96, "10 s"), (1234.5, "1,200 s"), (5, "5.0 s")]
)
def test_times_are_readable(amount: float, text: str) -> None:
    assert tables.seconds(amount) == text


@pytest.mark.parametrize(("value", "text"), [(1.25, "+1.2"), (-0.8, "−0.8"), (-12, "−12.0")])  # noqa: RUF001
def test_a_minus_is_no_hyphen(value: float, text: str) -> None:
    assert tables.signed(value) == text


# --- sentences ---


def test_sentences_carry_the_figures(comparison: Comparison) -> None:
    assert shown.describe_choice(comparison, "few-shot") == (
        "Chosen for hard prompt, 4 or 8 examples: question, 4 examples, draw 1; chat, 8 examples, draw 1."
    )
    opened = shown.describe_opened(comparison)
    assert "1 of 2 virtual tokens are still nearest" in opened
    assert "moved by 0.50 to 1.25" in opened
    assert "as tuned 0.900, and with each virtual token replaced by its nearest word 0.550" in opened
