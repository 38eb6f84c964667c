"""What the notebook draws of the comparison, from made-up results: readable, not cut off, and told in words."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

import comparison as shown
from comparison.differences import difference
from comparison.plan import FULL, SMALL
from comparison.plots.style import STYLES, short
from comparison.results import Comparison
from prompt_tuning_helpers.plots.described import DescribedFigure
from tests.comparison.made_up_methods import MADE_UP, OPENED, made_up
from tests.test_plots import contrast

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PLOTS: dict[str, Callable[[Comparison], Figure]] = {
    "accuracy": shown.plot_accuracy,
    "little data": shown.plot_little_data,
    "cost": shown.plot_cost,
    "virtual tokens": shown.plot_virtual_tokens,
    "phenomena": lambda comparison: shown.plot_phenomena(comparison, ["few-shot", "prompt-100", "lora-8", "full"]),
}
MARKERS = {marker for _, marker in STYLES.values()}


@pytest.fixture(autouse=True)
def no_screen() -> Iterator[None]:
    matplotlib.use("agg")
    yield
    assert plt.get_fignums() == []  # nothing is left open, which a notebook would show twice


@pytest.fixture(params=[False, True], ids=["full", "small"])
def is_small(request: pytest.FixtureRequest) -> bool:
    small: bool = request.param
    return small


@pytest.fixture
def any_comparison(is_small: bool) -> Comparison:
    return made_up(SMALL if is_small else FULL)


@pytest.fixture
def comparison() -> Comparison:
    return made_up(FULL)


def texts_of(figure: Figure) -> list[Text]:
    """All texts that can be seen."""
    figure.draw_without_rendering()
    beyond = {
        tick.label1
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in beyond]
    return [text for text in texts if text.get_visible() and text.get_text()]


def words_of(figure: Figure) -> list[str]:
    return [" ".join(text.get_text().split()) for text in texts_of(figure)]


def alternative_text(figure: Figure) -> str:
    assert isinstance(figure, DescribedFigure)
    return figure.alternative_text


def bars_of(ax: Axes) -> list[float]:
    return [bar.get_width() for bar in ax.patches if isinstance(bar, Rectangle)]


def marks_of(ax: Axes) -> dict[tuple[float, float], bool]:
    """Where each mark stands, and whether it is filled."""
    return {
        (float(x), float(y)): line.get_markerfacecolor() != "white"
        for line in ax.get_lines()
        if line.get_marker() in MARKERS and line.get_markersize() > 5 and line.get_transform() == ax.transData
        for x, y in zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True)
    }


@cache
def drawn(plot: str, is_small: bool, language: str) -> Figure:
    """Draw in a language, which ``LESSON_LANGUAGE`` has to be, too."""
    assert os.environ["LESSON_LANGUAGE"] == language
    return PLOTS[plot](made_up(SMALL if is_small else FULL))


@pytest.fixture(params=["en", "es", "zh"])
def language(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    language: str = request.param
    monkeypatch.setenv("LESSON_LANGUAGE", language)
    return language


@pytest.fixture(params=[*PLOTS])
def any_plot(request: pytest.FixtureRequest, is_small: bool, language: str) -> Figure:
    return drawn(request.param, is_small, language)


def test_every_text_is_dark_enough_to_read(any_plot: Figure) -> None:
    for text in texts_of(any_plot):
        assert contrast(text.get_color(), "white") >= 4.5, text.get_text()
        assert float(text.get_fontsize()) >= 8


def test_no_two_texts_overlap(any_plot: Figure) -> None:
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(any_plot)]
    for (one, here), (other, there) in combinations(boxes, 2):
        across = min(here.x1, there.x1) - max(here.x0, there.x0)
        up = min(here.y1, there.y1) - max(here.y0, there.y0)
        # The boxes of lines one above the other may touch.
        assert across <= 0 or up < 2, (one, other)


def test_every_plot_is_as_wide_as_a_notebook_and_cuts_nothing_off(any_plot: Figure) -> None:
    width, height = any_plot.bbox.size
    assert width <= 860
    for text in texts_of(any_plot):
        box = text.get_window_extent()
        assert box.x0 >= -5, text.get_text()
        assert box.x1 <= width + 5, text.get_text()
        assert -5 <= box.y0 <= box.y1 <= height + 5, text.get_text()


def test_on_a_phone_a_plot_is_scrolled_instead_of_made_small(any_plot: Figure) -> None:
    assert isinstance(any_plot, DescribedFigure)
    page = any_plot._repr_html_()
    width = re.search(r' width="(\d+)" ', page)
    assert width
    assert int(width[1]) >= 800
    assert f'style="min-width: {width[1]}px;' in page


def test_no_hyphen_stands_for_a_minus(any_plot: Figure) -> None:
    texts = [*words_of(any_plot), alternative_text(any_plot)]
    assert not [text for text in texts if re.search(r"(^|[ (])-\d", text)]


def test_marks_differ_in_colour_and_marker_and_are_told_from_white() -> None:
    colours, markers = zip(*STYLES.values(), strict=True)
    assert {type(method) for method in FULL.methods} == set(STYLES)
    assert len(set(colours)) == len(set(markers)) == len(STYLES)
    assert min(contrast(colour, "white") for colour in colours) >= 4.5


# accuracy


def test_accuracy_is_a_row_for_each_method_from_nothing_trained_to_all_weights(any_comparison: Comparison) -> None:
    figure = shown.plot_accuracy(any_comparison)
    (ax,) = figure.axes
    named = {text.get_text(): text.xy[1] for text in texts_of(figure) if isinstance(text, Annotation)}
    rows = sorted(any_comparison.plan.methods, key=lambda method: named[short(method)])
    parameters = [MADE_UP[method.name][1] for method in rows[:-1]]
    assert parameters == sorted(parameters)
    assert rows[-2].name == "full"
    assert rows[-1].name == "tf-idf"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first is at the top
    trained = [text for text in words_of(figure) if "trained" in text and text[0].isdigit()]
    assert sorted(trained)[:2] == ["11,520 trained parameters", "134,515,008 trained parameters"]
    assert words_of(figure).count("nothing is trained") == 6


def test_accuracy_has_a_mark_for_each_way_of_answering(any_comparison: Comparison) -> None:
    (ax,) = shown.plot_accuracy(any_comparison).axes
    marks = marks_of(ax)
    chosen = sorted(x for (x, _), is_filled in marks.items() if is_filled)
    assert chosen == sorted(found.accuracy for found in any_comparison.with_all_rows)
    written = [x for (x, _), is_filled in marks.items() if not is_filled]
    assert written == [0.5] * 12  # what has no language model writes nothing


def test_guessing_is_named_in_the_axes_where_nothing_is(any_comparison: Comparison) -> None:
    figure = shown.plot_accuracy(any_comparison)
    (ax,) = figure.axes
    (guessing,) = (text for text in texts_of(figure) if text.get_text() == "guessing")
    box, axes = guessing.get_window_extent(), ax.get_window_extent()
    assert axes.x0 < box.x0 < box.x1 < axes.x1
    assert axes.y0 < box.y0 < box.y1 < axes.y1
    for mark in marks_of(ax):
        _, y = ax.transData.transform(mark)
        assert y < box.y0 - 5


def test_the_title_names_the_most_accurate_and_what_cannot_be_told_from_it(comparison: Comparison) -> None:
    """Of 20 reviews, three right answers more tell nothing, and four do: chance leaves them all out in 1 % of draws."""
    figure = shown.plot_accuracy(comparison)
    bold = [text for text in texts_of(figure) if isinstance(text, Annotation) and text.get_fontweight() == "bold"]
    assert {text.get_text() for text in bold} == {
        "prompt tuning, 20 tokens",
        "prompt tuning, 100 tokens",
        "prefix tuning, 20 tokens",
        "LoRA, rank 8",
        "full fine-tuning",
    }
    (title,) = (text for text in words_of(figure) if text.startswith("Full fine-tuning"))
    assert title == (
        "Full fine-tuning is the most accurate, at 1.000; 4 of the 12 others cannot be told from it "
        "Writing freely costs up to 20.0 points where nothing is trained, up to 50.0 elsewhere"
    )


def test_the_title_names_a_few_that_cannot_be_told_from_the_best(comparison: Comparison) -> None:
    few = [found for found in comparison.measured if found.method.name in ("full", "lora-8", "prefix-20", "zero-shot")]
    told = alternative_text(shown.plot_accuracy(replace(comparison, measured=tuple(few))))
    assert told.startswith(
        "Full fine-tuning is the most accurate, at 1.000; prefix tuning (20 tokens) and LoRA (rank 8) cannot be told "
        "from it."
    )


def test_the_title_says_so_if_the_best_stands_alone(comparison: Comparison) -> None:
    worse = [
        replace(found, hits=tuple((False,) * 20 for _ in range(3)), accuracy=0.0, accuracy_interval=(0.0, 0.0))
        if found.method.name != "full"
        else found
        for found in comparison.measured
    ]
    figure = shown.plot_accuracy(replace(comparison, measured=tuple(worse)))
    assert "Full fine-tuning is the most accurate, at 1.000; all others are less accurate" in alternative_text(figure)


def test_accuracy_is_told_in_numbers(comparison: Comparison) -> None:
    told = alternative_text(shown.plot_accuracy(comparison))
    assert (
        "prompt tuning (100 tokens), 57,600 trained parameters, choosing 0.950 (0.900–1.000), "  # noqa: RUF001
        "writing 0.500 (0.400–0.600);"  # noqa: RUF001
    ) in told
    assert "TF-IDF (logistic regression), 6,100 trained parameters, choosing 0.750 (0.700–0.800)." in told  # noqa: RUF001


# little data


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
    figure.draw_without_rendering()
    beside = [text for text in texts_of(figure) if text.get_window_extent().x0 > ax.get_window_extent().x1]
    # Of the hard prompts, those that were chosen by choosing.
    assert len(beside) == len(learning) + 3 + 1


def test_no_interval_of_little_data_stands_on_another(any_comparison: Comparison) -> None:
    (ax,) = shown.plot_little_data(any_comparison).axes
    places = sorted(ax.transData.transform(mark)[0] for mark in marks_of(ax))
    learning = sum(method.learns_from_little for method in any_comparison.plan.methods)
    assert len(places) == learning * len(any_comparison.plan.rows) + 3
    assert min(right - left for left, right in pairwise(places)) > 4


def test_guessing_does_not_fall_on_the_axis(any_comparison: Comparison) -> None:
    (ax,) = shown.plot_little_data(any_comparison).axes
    guessing = ax.transData.transform((ax.get_xlim()[0], 0.5))[1]
    assert guessing > ax.get_window_extent().y0 + 10


def test_little_data_tells_how_many_beat_the_best_hard_prompt(comparison: Comparison) -> None:
    told = alternative_text(shown.plot_little_data(comparison))
    found = comparison.of("few-shot")
    counts = [
        sum(
            difference(comparison.of(method.name, rows), found)[1][0] > 0
            for method in FULL.methods
            if method.learns_from_little
        )
        for rows in FULL.rows
    ]
    assert counts[-1] > 0
    one, two, three = (count or "none" for count in counts)
    assert told.startswith(
        "Of 5 methods that learn, so many are shown to beat the best hard prompt: "
        f"{one} with 20, {two} with 80 and {three} with 320 training rows."
    )
    assert "LoRA (rank 8): 0.850 (0.800–0.900) with 20 rows" in told  # noqa: RUF001
    assert "level line of hard prompt (4 or 8 examples): 0.700 (0.650–0.750)" in told  # noqa: RUF001


# cost


def test_costs_are_dots_in_panels(any_comparison: Comparison) -> None:
    axes = shown.plot_cost(any_comparison).axes
    titles = [ax.get_title().replace("\n", " ") for ax in axes]
    assert titles == [
        "One pass over the rows, seconds",
        "Passes that the search chose",
        "The whole tuning, seconds",
        "Memory, MiB: answering (hollow) / tuning (filled)",
        "Time per review, milliseconds",
        "Saved size (logarithmic)",
    ]
    assert not [bar for ax in axes for bar in bars_of(ax)]
    tuned = [name for name, (_, parameters, *_) in MADE_UP.items() if parameters]
    assert list(marks_of(axes[2])) == [(MADE_UP[name][3], row) for row, name in enumerate(tuned)]
    assert list(marks_of(axes[0])) == [(MADE_UP[name][3] / 4, row) for row, name in enumerate(tuned[:-1])]
    assert list(marks_of(axes[1])) == [(4, row) for row in range(len(tuned) - 1)]
    assert list(marks_of(axes[5])) == [(saved, row) for row, (_, _, saved, _) in enumerate(MADE_UP.values())]
    assert [ax.get_xscale() for ax in axes] == ["linear"] * 5 + ["log"]
    for ax in axes:
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first method is at the top


def test_memory_of_tuning_and_answering_share_an_axis(any_comparison: Comparison) -> None:
    marks = marks_of(shown.plot_cost(any_comparison).axes[3])
    assert sum(x == 617.25 and not is_filled for (x, _), is_filled in marks.items()) == 13
    assert sum(x == 1234.5 and is_filled for (x, _), is_filled in marks.items()) == 7


def test_each_measured_time_is_a_small_dot(any_comparison: Comparison) -> None:
    axes = shown.plot_cost(any_comparison).axes
    tuning, reviews = (
        {float(x) for line in ax.get_lines() if line.get_markersize() < 3 for x in np.asarray(line.get_xdata())}
        for ax in (axes[2], axes[4])
    )
    assert {0.5 * 45.0, 1.5 * 45.0, 0.5 * 120.0, 1.5 * 120.0} <= tuning
    assert {30.0, 50.0, 0.09} == {round(each, 6) for each in reviews}


def test_costs_are_told_in_two_digits(comparison: Comparison) -> None:
    told = alternative_text(shown.plot_cost(comparison)).replace("\u00a0", " ")
    assert told.startswith(
        "Tuning the model takes from 30 s with LoRA (rank 8) to 120 s with full fine-tuning. "
        "What tuning it saves takes from 46 kB with prompt tuning (20 tokens) to 538 MB with full fine-tuning."
    )
    assert (
        "prompt tuning (20 tokens): 4 passes of 11 s, tuning 45 s, by single measurements 22 s to 68 s, memory of "
        "tuning 1,200 MiB, memory of answering 620 MiB, 40 ms per review, 46 kB saved."
    ) in told
    assert "the lesson's instruction alone: memory of answering 620 MiB, 40 ms per review, 140 B saved." in told


# the opened soft prompt


def test_the_opened_soft_prompt_is_shown_token_by_token(comparison: Comparison) -> None:
    figure = shown.plot_virtual_tokens(comparison)
    moved, worth = figure.axes
    assert bars_of(moved) == [0.5, 1.25]
    assert bars_of(worth) == pytest.approx([5.0, -5.0])
    told = words_of(figure)
    assert {"+5.0", "−5.0", "0.50", "1.25"} <= set(told)  # noqa: RUF001
    assert alternative_text(figure).startswith(
        r"Virtual token 1, 'Comment', is worth most, 5.0 points; the one that moved furthest, 2, '\n', is worth −5.0."  # noqa: RUF001
    )
    assert r"1, 'Comment': moved 0.50, lost +5.0; 2, '\n': moved 1.25, lost −5.0." in alternative_text(figure)  # noqa: RUF001


def test_tokens_and_their_numbers_stand_in_rows_and_columns(comparison: Comparison) -> None:
    figure = shown.plot_virtual_tokens(replace(comparison, opened=OPENED | {"tokens": OPENED["tokens"] * 6}))
    boxes: dict[str, list[Any]] = {"numbers": [], "words": [], "values": []}
    for text in texts_of(figure):
        if isinstance(text, Annotation):
            kind = "numbers" if text.get_text().isdigit() else "words" if "'" in text.get_text() else "values"
            boxes[kind].append(text)
    numbers, words = boxes["numbers"], boxes["words"]
    assert [text.get_text() for text in numbers] == [str(number) for number in range(1, 13)]
    assert len({round(text.get_window_extent().x1) for text in numbers}) == 1
    assert len({round(text.get_window_extent().x1) for text in words}) == 1
    assert {text.get_verticalalignment() for group in boxes.values() for text in group} == {"baseline"}
    for number, word in zip(numbers, words, strict=True):
        assert number.xy[1] == word.xy[1]
        assert number.get_position()[1] == word.get_position()[1]
        assert word.get_window_extent().x1 < number.get_window_extent().x0


# phenomena


def test_phenomena_have_a_mark_for_each_method_and_their_number_of_reviews(comparison: Comparison) -> None:
    """The first hits are right: of 20 reviews, 10 plain, 6 with a negation, 2 unmarked, 2 about others."""
    figure = shown.plot_phenomena(comparison, ["few-shot", "full", "prompt-100"])
    (ax,) = figure.axes
    told = words_of(figure)
    assert {"plain (12 reviews)", "negation (6 reviews)", "third party (2 reviews)"} <= set(told)
    values = [x for x, _ in sorted(marks_of(ax), key=lambda mark: mark[1])]
    assert values == pytest.approx([10 / 12, 1, 1, 4 / 6, 1, 1, 0, 1, 0.5])
    assert 'These methods are least accurate on reviews marked "third party", at 0.50 on average' in " ".join(told)
    assert "third party (2 reviews): hard prompt (4 or 8 examples) 0.000 (0.000–0.000)" in alternative_text(figure)  # noqa: RUF001
    assert "and at 0.94 on plain ones" in alternative_text(figure)


def test_intervals_of_phenomena_hold_seeds_and_reviews(comparison: Comparison) -> None:
    """Where the seeds differ and the reviews do not, there is an interval; where only the reviews do, too."""
    seeds = replace(comparison.of("full"), hits=((True,) * 20, (False,) * 20, (True,) * 20))
    reviews = replace(comparison.of("full"), hits=((True, False) * 10,) * 3)
    for found in (seeds, reviews):
        figure = shown.plot_phenomena(replace(comparison, measured=(found,)), ["full"])
        (score,) = re.findall(r"negation \(6 reviews\): full fine-tuning (\S+ \S+?)[;.] ", alternative_text(figure))
        low, high = map(float, re.findall(r"\d\.\d+", score)[1:])
        assert low < high


def test_two_methods_of_a_kind_are_told_apart(comparison: Comparison) -> None:
    (ax,) = shown.plot_phenomena(comparison, ["prompt-20", "prompt-100"]).axes
    assert sorted(marks_of(ax).values()) == [False] * 3 + [True] * 3
