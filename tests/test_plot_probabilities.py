"""The plot of how sure two models are: where each row stands, and what it cannot show."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prompt_tuning_helpers import plot_probabilities
from prompt_tuning_helpers.plots.described import DescribedFigure

NAN = float("nan")
TRUTH = ["no", "no", "yes", "yes"]
BEFORE = pd.DataFrame({"no": [NAN, 0.1, 0.3, NAN], "yes": [NAN, 0.3, 0.1, 0.2]})
AFTER = pd.DataFrame({"no": [0.9, 0.8, 0.1, NAN], "yes": [NAN, 0.2, 0.4, 0.9]})


@pytest.fixture(autouse=True)
def no_screen() -> None:
    matplotlib.use("agg")


def dots(figure: Figure) -> list[list[tuple[str, str, float, float]]]:
    """Each panel's dots, by mark and colour."""
    return [
        [
            (str(line.get_marker()), str(line.get_color()), float(x), float(y))
            for line in ax.get_lines()
            if line.get_marker() not in ("None", "", None)
            for x, y in zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True)
        ]
        for ax in figure.axes
    ]


def test_each_row_stands_at_its_labels_share() -> None:
    figure = plot_probabilities(TRUTH, BEFORE, AFTER)
    figure.draw_without_rendering()
    before, after = dots(figure)
    lower, upper = ([dot for dot in after if (dot[3] > 1) == up] for up in (False, True))
    assert [x for _, _, x, _ in lower] == pytest.approx([0.0, 0.2])
    assert [x for _, _, x, _ in upper] == pytest.approx([0.8, 1.0])
    # Labels are told apart by mark and by colour.
    assert len({mark for mark, *_ in lower} & {mark for mark, *_ in upper}) == 0
    assert len({colour for _, colour, *_ in lower} & {colour for _, colour, *_ in upper}) == 0
    # The one with neither label stands apart.
    assert sorted(x for _, _, x, _ in before)[:3] == pytest.approx([0.25, 0.75, 1.0])
    assert max(x for _, _, x, _ in before) > 1.05


def test_the_picture_says_what_it_shows() -> None:
    figure = plot_probabilities(TRUTH, BEFORE, AFTER, {"no": "not $satisfied$", "yes": "satisfied"})
    figure.draw_without_rendering()
    before, after = figure.axes
    assert before.get_title(loc="left") == "Before tuning: 1 of 4 on the right side, 1 with neither label"
    assert after.get_title(loc="left") == "After tuning: 4 of 4 on the right side"
    ticks = [tick.get_text() for tick in after.get_xticklabels()]
    assert ticks == ["0\nnot $satisfied$", "0.25", "0.5", "0.75", "1\nsatisfied", "\n\nneither\nlabel"]
    assert isinstance(figure, DescribedFigure)
    assert figure.alternative_text == (
        'Each of 4 rows is a dot between "not $satisfied$" and "satisfied". '
        "before tuning: 1 on the side of their true label, 2 not, 1 with neither label. "
        "after tuning: 4 on the side of their true label, 0 not, 0 with neither label."
    )


def test_dots_do_not_hide_each_other_and_stay_where_they_are() -> None:
    sure = pd.DataFrame({"a": 0.0, "b": 1.0}, index=range(60))
    figures = [plot_probabilities(["b"] * 60, sure, sure) for _ in range(2)]
    assert dots(figures[0]) == dots(figures[1])
    heights = sorted(y for _, _, _, y in dots(figures[0])[0])
    assert heights[0] > 1
    assert heights[-1] < 2
    assert min(np.diff(heights)) > 0.005
    # Nobody is without a label here: there is no place for those.
    assert figures[0].axes[1].get_xlim()[1] < 1.05


@pytest.mark.parametrize("truth", ["a", "b"])
def test_no_dot_hides_the_name_of_the_wrong_side(truth: str) -> None:
    """As many rows as a lane may have, spread over all of the side that is wrong."""
    share = np.linspace(0, 1, 300)
    rows = pd.DataFrame({"a": 1 - share, "b": share})
    figure = plot_probabilities([truth] * 300, rows, rows)
    figure.draw_without_rendering()
    for ax in figure.axes:
        names = [text.get_window_extent() for text in ax.texts if text.get_text() == "wrong side"]
        assert len(names) == 2
        for line in ax.get_lines():
            if line.get_marker() in ("None", ""):
                continue
            radius = (line.get_markersize() / 2 + line.get_markeredgewidth()) * figure.dpi / 72
            for x, y in ax.transData.transform(line.get_xydata()):
                assert not any(name.padded(radius).contains(x, y) for name in names)


def test_long_names_stay_clear_of_the_rows_without_a_label() -> None:
    figure = plot_probabilities(TRUTH, BEFORE, AFTER, {"no": "not satisfied at all", "yes": "satisfied altogether"})
    figure.draw_without_rendering()
    *_, name, neither = (tick.get_window_extent() for tick in figure.axes[1].get_xticklabels())
    top = (neither.y0 + neither.y1) / 2  # two empty lines above it
    assert top <= name.y0 + 2


def test_one_half_is_on_no_side() -> None:
    half = pd.DataFrame({"a": [0.2, 0.2], "b": [0.2, 0.2]})
    titles = [ax.get_title(loc="left") for ax in plot_probabilities(["a", "b"], half, half).axes]
    assert titles == ["Before tuning: 0 of 2 on the right side", "After tuning: 0 of 2 on the right side"]


@pytest.mark.parametrize(
    ("truth", "before", "after", "message"),
    [
        (["a"], pd.DataFrame({"a": [1], "b": [0], "c": [0]}), pd.DataFrame({"a": [1]}), "two labels, and here are 3"),
        (["a"], pd.DataFrame({"a": [1], "b": [0]}), pd.DataFrame({"b": [1], "a": [0]}), "ask both for the same"),
        (["a"], pd.DataFrame({"a": [1], "b": [0]}), pd.DataFrame({"a": [1, 1], "b": [0, 0]}), "give the same rows"),
        (["c"], pd.DataFrame({"a": [1], "b": [0]}), pd.DataFrame({"a": [1], "b": [0]}), "Row 0 has the label 'c'"),
        ([], pd.DataFrame({"a": [], "b": []}), pd.DataFrame({"a": [], "b": []}), "give the same rows"),
    ],
)
def test_what_cannot_be_drawn_is_refused(truth: list[str], before: Any, after: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_probabilities(truth, before, after)
