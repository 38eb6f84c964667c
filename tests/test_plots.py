"""Plots: drawn for real, without a screen, and looked into."""

from collections.abc import Iterator
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from prompt_tuning_helpers.evaluate import Comparison, compare
from prompt_tuning_helpers.plots import plot_comparison, plot_confusion, plot_loss

TRUTH = ["1", "0"] * 10


@pytest.fixture(autouse=True)
def no_screen() -> Iterator[None]:
    matplotlib.use("agg")
    yield
    assert plt.get_fignums() == []  # nothing is left open, which a notebook would show twice


@pytest.fixture
def comparison() -> Comparison:
    return compare(TRUTH, TRUTH, ["1"] * 19 + ["woof"])


def run_details(*values: dict[str, Any]) -> dict[str, Any]:
    return {"entity": {"status": {"metrics": list(values)}}}


def test_the_learning_curve_shows_every_epoch() -> None:
    records = [{"ml_metrics": {"epoch": epoch, "loss": 2 / (1 + epoch)}} for epoch in range(3) for _ in range(4)]
    figure = plot_loss(run_details(*records))
    figure.canvas.draw()
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "3"]
    each, mean = axes.get_lines()
    assert len(np.asarray(each.get_xdata())) == 12
    assert np.asarray(mean.get_ydata()) == pytest.approx([2.0, 1.0, 2 / 3])


def test_the_other_form_of_metrics_is_plotted_too() -> None:
    figure = plot_loss(run_details({"data": {"epoch": 0, "value": 0.0}}))
    assert np.asarray(figure.axes[0].get_lines()[0].get_ydata()) == pytest.approx([0.0])


def test_a_run_without_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match="no metrics"):
        plot_loss(run_details())


def test_the_comparison_shows_four_bars(comparison: Comparison) -> None:
    figure = plot_comparison(comparison)
    figure.canvas.draw()
    bars = [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert sorted(bar.get_height() for bar in bars) == sorted(
        [comparison.base.accuracy, comparison.base.f1, comparison.tuned.accuracy, comparison.tuned.f1]
    )
    assert "20 test reviews" in figure.axes[0].get_title()


def test_unusable_answers_get_a_column_only_where_there_are_any(comparison: Comparison) -> None:
    base, tuned = plot_confusion(comparison).axes
    assert [tick.get_text() for tick in base.get_xticklabels()] == ["0", "1", "unusable"]
    assert [tick.get_text() for tick in tuned.get_xticklabels()] == ["0", "1"]


def test_plots_speak_the_language_of_the_lesson(monkeypatch: pytest.MonkeyPatch, comparison: Comparison) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "es")
    assert plot_confusion(comparison).axes[0].get_title() == "modelo base"
