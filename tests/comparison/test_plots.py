"""What the notebook shows of the comparison: tables, plots and sentences, from made-up results."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import comparison as shown
from comparison import tables
from comparison.methods import Candidate, Recipe, WrittenPrompt
from comparison.plan import FULL, SMALL, Plan
from comparison.results import Comparison, Cost, Machine, Measured, Searched
from comparison.search import DIVERGED, Score

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# Of 20 test reviews, how many each method answers rightly, and its trained parameters, bytes and seconds.
MADE_UP = {
    "instruction": (10, 0, 140, 0.0),
    "zero-shot": (10, 0, 150, 0.0),
    "zero-shot-written": (9, 0, 150, 0.0),
    "few-shot": (14, 0, 900, 0.0),
    "few-shot-written": (13, 0, 900, 0.0),
    "starting-text": (10, 0, 300, 0.0),
    "prompt-20": (17, 11_520, 46_000, 45.0),
    "prompt-100": (19, 57_600, 230_000, 60.0),
    "prompt-100-random": (16, 57_600, 230_000, 50.0),
    "prefix-20": (18, 230_400, 921_600, 40.0),
    "lora-8": (19, 460_800, 1_850_000, 30.0),
    "full": (20, 134_515_008, 538_000_000, 120.0),
    "tf-idf": (15, 6_100, 310_000, 0.021),
}
MACHINE = Machine("One", 1, "cpu", "float32")
GPU = Machine("Two", 2, "A GPU", "float32")
LORA = [Recipe(rate, 2) for rate in (0.001, 0.003, 0.006)]
OPENED = {
    "accuracy": 0.9,
    "accuracy_before": 0.5,
    "accuracy_as_words": 0.55,
    "tokens": [
        {
            "before": [{"token": "Comment", "cosine": 1.0}],
            "after": [{"token": "Comment", "cosine": 0.8}, {"token": " <b>$x$", "cosine": 0.3}],
            "moved": 0.5,
            "accuracy_without": 0.85,
        },
        {
            "before": [{"token": "\n", "cosine": 1.0}],
            "after": [{"token": " so", "cosine": 0.4}, {"token": "\n", "cosine": 0.3}],
            "moved": 1.25,
            "accuracy_without": 0.95,
        },
    ],
}


def made_up(plan: Plan) -> Comparison:
    measured = []
    for method in plan.methods:
        right, parameters, saved, seconds = MADE_UP[method.name]
        chosen: tuple[Candidate, ...] = (Recipe(0.01, 4),) * 3
        if method.name == "few-shot":
            chosen = (WrittenPrompt("question", 4), WrittenPrompt("chat", 8), WrittenPrompt("chat", 8))
        for rows in plan.rows_of(method):
            hits = np.zeros((3, 20), dtype=bool)
            hits[:, : right - plan.rows[::-1].index(rows)] = True  # fewer rows, fewer right answers
            accuracy = float(hits.mean())
            cost = Cost(
                trained_parameters=parameters,
                saved_bytes=saved,
                update_seconds=(0.5 * seconds, 1.5 * seconds) if method.is_tuned else (),
                updates=1 if method.is_tuned else 0,
                tuning_memory_mb=1234.5 if method.is_tuned else None,
                review_seconds=(0.00009,) if method.name == "tf-idf" else (0.03, 0.05),
                answering_memory_mb=617.25,
            )
            measured.append(
                Measured(
                    method=method,
                    rows=rows,
                    chosen=chosen,
                    accuracy=accuracy,
                    accuracy_interval=(accuracy - 0.05, min(1.0, accuracy + 0.05)),
                    f1=accuracy,
                    f1_interval=(accuracy - 0.06, min(1.0, accuracy + 0.06)),
                    hits=tuple(map(tuple, hits.tolist())),
                    written=("1" * 20,) * 3,
                    written_accuracy=0.5,
                    written_interval=(0.4, 0.6),
                    written_hits=tuple(map(tuple, hits.tolist())),
                    cost=cost if rows == plan.rows[-1] else None,
                )
            )
    rows = plan.rows[-1]
    few = [WrittenPrompt("instruction", 8), WrittenPrompt("chat", 4)]
    searched = [
        Searched(
            plan.method("few-shot"),
            rows,
            seed,
            {tried: Score(0.5 + seed / 10, 0.7, 0.25) for tried in few},
            few[0 if seed == 0 else 1],
        )
        for seed in range(3)
    ]
    searched.append(Searched(plan.method("lora-8"), rows, 0, {tried: Score(0.5, 0.7, 0.5) for tried in LORA}, LORA[0]))
    return Comparison(plan, tuple(searched), tuple(measured), OPENED, (), ((MACHINE, len(measured)),), ((MACHINE, 9),))


@pytest.fixture(autouse=True)
def no_screen() -> Iterator[None]:
    matplotlib.use("agg")
    yield
    assert plt.get_fignums() == []  # nothing is left open, which a notebook would show twice


@pytest.fixture(params=[FULL, SMALL], ids=["full", "small"])
def any_comparison(request: pytest.FixtureRequest) -> Comparison:
    return made_up(request.param)


@pytest.fixture
def comparison() -> Comparison:
    return made_up(FULL)


def texts_beside(figure: Figure, ax: Axes) -> list[Any]:
    """The labels at the right of the axes."""
    figure.draw_without_rendering()
    return [text for text in ax.texts if text.get_window_extent().x0 > ax.get_window_extent().x1]


def bars_of(ax: Axes) -> list[float]:
    return [bar.get_width() for bar in ax.patches if isinstance(bar, Rectangle)]


def test_what_the_notebook_needs_comes_without_torch() -> None:
    code = "import sys, comparison as c; c.show_wordings(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=NOTEBOOKS, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- tables ---


def test_the_main_table_has_a_row_for_each_method(comparison: Comparison) -> None:
    table = shown.show_methods(comparison)
    assert list(table.index) == [method.title for method in FULL.methods]
    assert table.loc["prompt tuning, 100 virtual tokens"].to_dict() == {
        "accuracy": "0.950 (0.900–1.000)",  # noqa: RUF001
        "F1": "0.950 (0.890–1.000)",  # noqa: RUF001
        "accuracy of writing": "0.500 (0.400–0.600)",  # noqa: RUF001
        "trained parameters": "57,600",
        "share of the model": "0.043 %",
        "saved": "230 kB",
        "tuning time": "60 s",
        "memory of tuning": "1,234 MiB",
        "memory of answering": "617 MiB",
        "time per review": "40 ms",
    }
    assert table["share of the model"].tolist()[-2:] == ["100 %", "–"]  # noqa: RUF001
    assert table["tuning time"].tolist()[:2] == ["none", "none"]
    assert table["memory of tuning"].tolist()[:2] == ["–", "–"]  # noqa: RUF001


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
        "accuracy": "0.600",
        "of writing": "0.250",
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
        "Accuracies: One, with 1 thread a job. Times and memory: One, with 1 thread a job."
    )
    mixed = replace(comparison, machines=((GPU, 60), (MACHINE, 3)))
    assert shown.describe_machines(mixed) == (
        "Accuracies: A GPU, with 2 threads a job (60 results); One, with 1 thread a job (3 results). "
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


def test_costs_are_measured_by_those_of_another(comparison: Comparison) -> None:
    table = shown.show_cost_against(comparison, "prompt-100", ["full"])
    (row,) = table.to_dict("records")
    assert row == {
        "trained parameters": "1/2,335",
        "tuning time": "0.50 ×",  # noqa: RUF001
        "memory of tuning": "1.00 ×",  # noqa: RUF001
        "memory of answering": "1.00 ×",  # noqa: RUF001
        "saved": "1/2,339",
        "time per review": "1.00 ×",  # noqa: RUF001
    }


def test_every_wording_is_shown() -> None:
    table = shown.show_wordings()
    assert table["question"].str.contains("{review}", regex=False).all()
    assert table.loc["sentiment", "not satisfied, satisfied"] == "negative / positive"


@pytest.mark.parametrize(
    ("amount", "text"),
    [(150, "150 B"), (1_900, "1.9 kB"), (230_400, "230 kB"), (1_850_000, "1.9 MB"), (538_060_032, "538 MB")],
)
def test_sizes_are_readable(amount: int, text: str) -> None:
    assert tables.size(amount) == text


@pytest.mark.parametrize(("amount", "text"), [(0.0, "none"), (0.0213, "0.021 s"), (9.96, "10 s"), (1234.5, "1,234 s")])
def test_times_are_readable(amount: float, text: str) -> None:
    assert tables.seconds(amount) == text


# --- sentences ---


def test_sentences_carry_the_figures(comparison: Comparison) -> None:
    assert shown.describe_share(comparison, "prefix-20") == (
        "With prefix tuning, 20 virtual tokens, 230,400 parameters are trained. "
        "The base model has 134,515,008: that is 0.171 %."
    )
    assert shown.describe_choice(comparison, "few-shot") == (
        "Chosen for hard prompt, 4 or 8 examples: question, 4 examples, draw 1; chat, 8 examples, draw 1."
    )
    opened = shown.describe_opened(comparison)
    assert "1 of 2 virtual tokens are still nearest" in opened
    assert "moved by 0.50 to 1.25" in opened
    assert "as tuned 0.900, and with each virtual token replaced by its nearest word 0.550" in opened


# --- plots ---


def test_accuracy_is_plotted_for_all_methods_with_labels_apart(any_comparison: Comparison) -> None:
    figure = shown.plot_accuracy(any_comparison)
    (ax,) = figure.axes
    labels = texts_beside(figure, ax)
    assert len(labels) == len(any_comparison.plan.methods)
    extents = sorted((label.get_window_extent() for label in labels), key=lambda extent: extent.y0)
    for below, above in pairwise(extents):
        assert above.y0 - below.y0 >= 0.8 * below.height
    heights = {label.get_text(): label.get_position()[1] for label in labels}
    untrained = {method.title.replace("virtual tokens", "tokens") for method in FULL.methods if not method.is_tuned}
    least = min(height for text, height in heights.items() if text not in untrained)
    assert max(height for text, height in heights.items() if text in untrained) < least
    assert max(heights, key=lambda text: heights[text]) == "full fine-tuning"


def test_families_differ_in_colour_and_marker() -> None:
    from comparison.plots import STYLES

    colours, markers = zip(*STYLES.values(), strict=True)
    assert {type(method) for method in FULL.methods} == set(STYLES)
    assert len(set(colours)) == len(set(markers)) == len(STYLES)


def test_little_data_is_a_line_for_each_method_that_learns(any_comparison: Comparison) -> None:
    figure = shown.plot_little_data(any_comparison)
    (ax,) = figure.axes
    learning = [method for method in any_comparison.plan.methods if method.learns_from_little]
    solid = [line for line in ax.get_lines() if line.get_linestyle() == "-" and line.get_marker() == "None"]
    curves = [list(np.asarray(line.get_ydata())) for line in solid if len(np.asarray(line.get_xdata()))]
    rows = any_comparison.plan.rows
    for method in learning:
        assert [any_comparison.of(method.name, count).accuracy for count in rows] in curves
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [str(count) for count in rows]
    assert len(texts_beside(figure, ax)) == len(learning) + 5 + 1  # the hard prompts, and guessing


def test_costs_are_four_panels(any_comparison: Comparison) -> None:
    axes = shown.plot_cost(any_comparison).axes
    assert [ax.get_title().split("\n")[0] for ax in axes] == [
        "Tuning time",
        "Peak memory",
        "Time per review",
        "Saved size",
    ]
    assert bars_of(axes[0]) == [seconds for *_, seconds in MADE_UP.values()]
    assert bars_of(axes[3]) == [saved for _, _, saved, _ in MADE_UP.values()]
    assert axes[3].get_xscale() == "log"
    names = [tick.get_text() for tick in axes[0].get_yticklabels()]
    assert names[0] == "the lesson's instruction alone"
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1]  # the first method is at the top


def test_the_opened_soft_prompt_is_shown_token_by_token(comparison: Comparison) -> None:
    figure = shown.plot_virtual_tokens(comparison)
    figure.draw_without_rendering()
    moved, worth = figure.axes
    assert bars_of(moved) == [0.5, 1.25]
    assert bars_of(worth) == pytest.approx([5.0, -5.0])
    assert [tick.get_text() for tick in moved.get_yticklabels()] == ["'Comment'  1", r"'\n'  2"]
