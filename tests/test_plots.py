"""Plots: drawn for real, without a screen, and looked into."""

import base64
import io
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import nbformat.v4
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from nbconvert import HTMLExporter

from prompt_tuning_helpers.evaluation import Comparison, compare
from prompt_tuning_helpers.plots import CARD, LINES, plot_comparison, plot_confusion, plot_loss, plot_scores
from prompt_tuning_helpers.plots.described import DescribedFigure
from prompt_tuning_helpers.plots.probabilities import WRONG, plot_probabilities
from tests.support.examples import ODD_RECORDS

TRUTH = ["1", "0"] * 10


@pytest.fixture(autouse=True)
def no_screen() -> Iterator[None]:
    matplotlib.use("agg")
    yield
    assert plt.get_fignums() == []  # nothing is left open, which a notebook would show twice


@pytest.fixture
def comparison() -> Comparison:
    return compare(TRUTH, TRUTH, ["1"] * 19 + ["woof"])


def alternative_text(figure: Figure) -> str:
    assert isinstance(figure, DescribedFigure)
    return figure.alternative_text


def run_details(*values: dict[str, Any]) -> dict[str, Any]:
    return {"entity": {"status": {"metrics": list(values)}}}


def test_the_learning_curve_shows_every_epoch() -> None:
    records = [{"ml_metrics": {"epoch": epoch, "loss": 2 / (1 + epoch)}} for epoch in range(3) for _ in range(4)]
    figure = plot_loss(run_details(*records))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels(minor=True)] == ["1", "2", "3"]
    (each,) = axes.get_lines()
    assert len(np.asarray(each.get_xdata())) == 12
    assert medians_of(figure) == [(0, 1, 2.0), (1, 2, 1.0), (2, 3, pytest.approx(2 / 3))]
    assert axes.get_ylabel() == "Loss (logarithmic scale)"


def medians_of(figure: Figure) -> list[tuple[float, float, float]]:
    """Where each epoch's line begins and ends, and its height."""
    (lines,) = figure.axes[0].collections
    assert isinstance(lines, LineCollection)
    return [(start[0], end[0], start[1]) for start, end in lines.get_segments()]


def test_what_an_epoch_is_summed_up_by_lies_among_its_losses() -> None:
    """The first losses of a run are so high that the mean lies above nearly all the others."""
    losses = [7.0, 5.0, 1.0, *[0.4] * 37]
    figure = plot_loss(run_details(*[{"ml_metrics": {"epoch": 0, "loss": loss}} for loss in losses]))
    assert medians_of(figure) == [(0, 1, 0.4)]


@pytest.mark.parametrize("slope", [-1, 0, 1])
def test_the_legend_of_the_losses_hides_none(slope: int) -> None:
    """Whether they fall, stay where they are above what guessing costs, or rise."""
    losses = [6.0 * 4.0 ** (slope * step / 40) for step in range(80)]
    details = run_details(*[{"ml_metrics": {"epoch": step // 40, "loss": loss}} for step, loss in enumerate(losses)])
    details["entity"]["status"]["rows"] = {"cost_of_guessing": 0.35}
    (ax,) = (figure := plot_loss(details)).axes
    figure.draw_without_rendering()
    legend = ax.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    assert not any(box.contains(x, y) for x, y in ax.transData.transform(np.asarray(ax.get_lines()[0].get_xydata())))


def test_what_guessing_costs_is_drawn_where_it_is_known() -> None:
    records = [{"ml_metrics": {"epoch": 0, "loss": loss}} for loss in (2.0, 0.1)]
    details = run_details(*records)
    assert len(plot_loss(details).axes[0].get_lines()) == 1
    for unknown in ({"rows": 4, "left_out": 0}, {"cost_of_guessing": None}, {"cost_of_guessing": "much"}):
        details["entity"]["status"]["rows"] = unknown
        assert len(plot_loss(details).axes[0].get_lines()) == 1
    details["entity"]["status"]["rows"] = {"rows": 4, "left_out": 0, "cost_of_guessing": 0.3466}
    figure = plot_loss(details)
    _, guessing = figure.axes[0].get_lines()
    assert np.asarray(guessing.get_ydata()) == pytest.approx([0.3466, 0.3466])
    assert guessing.get_label() == "what guessing would cost: 0.35"
    assert "what guessing would cost: 0.35" in alternative_text(figure)


def test_validation_stands_below_at_the_end_of_each_epoch(comparison: Comparison) -> None:
    records = [{"ml_metrics": {"epoch": epoch, "loss": 2 / (1 + epoch)}} for epoch in range(2) for _ in range(4)]
    figure = plot_loss(run_details(*records), {1: comparison.base, 2: comparison.tuned})
    figure.draw_without_rendering()
    loss, accuracy = figure.axes
    assert loss.get_xlim() == accuracy.get_xlim()
    (line,) = [line for line in accuracy.get_lines() if line.get_marker() == "s"]
    assert np.asarray(line.get_xdata()).tolist() == [1, 2]
    assert np.asarray(line.get_ydata()).tolist() == [comparison.base.accuracy, comparison.tuned.accuracy]
    assert accuracy.get_title() == "Accuracy on 20 validation rows after each epoch"
    assert f"1: {comparison.base.accuracy:.3f}, 2: 1.000" in alternative_text(figure)
    assert len(plot_loss(run_details(*records), {}).axes) == 1


def test_fifty_epochs_can_be_read(comparison: Comparison) -> None:
    records = [{"ml_metrics": {"epoch": epoch, "loss": 2 / (1 + epoch)}} for epoch in range(50)]
    validation = {epoch: comparison.tuned if epoch == 7 else comparison.base for epoch in range(1, 51)}
    figure = plot_loss(run_details(*records), validation)
    figure.draw_without_rendering()
    ticks = [tick.get_window_extent() for tick in figure.axes[1].get_xticklabels(minor=True)]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(ticks))
    assert len(figure.axes[1].texts) == 3  # the first, the best and the last
    assert "1: " in alternative_text(figure)
    assert "7: 1.000" in alternative_text(figure)
    assert "8: " not in alternative_text(figure)


@pytest.mark.parametrize("last", [5.0, 0.02])
def test_losses_are_written_as_plain_numbers(last: float) -> None:
    figure = plot_loss(run_details(*[{"ml_metrics": {"epoch": 0, "loss": loss}} for loss in (7.0, last)]))
    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels(which="both") if label.get_text()]
    assert "5" in labels
    assert [f"{float(label):g}" for label in labels] == labels


def test_the_other_form_of_metrics_is_plotted_too() -> None:
    figure = plot_loss(run_details({"data": {"epoch": 0, "value": 0.0}}))
    assert np.asarray(figure.axes[0].get_lines()[0].get_ydata()) == pytest.approx([0.0])


def test_records_that_cannot_be_drawn_are_left_out() -> None:
    records = [{"ml_metrics": {"epoch": 0, "loss": 2.0}}, *ODD_RECORDS, {"ml_metrics": {"epoch": 1}}]
    figure = plot_loss(run_details(*records, {"data": {"loss": 1.0}}, {"data": {"epoch": "1", "value": "0.5"}}))
    figure.draw_without_rendering()
    assert np.asarray(figure.axes[0].get_lines()[0].get_ydata()) == pytest.approx([2.0, 0.5])


@pytest.mark.parametrize("details", [{}, {"entity": {"status": {}}}, {"entity": {"status": {"metrics": None}}}])
def test_a_run_without_metrics_is_refused(details: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no metrics to plot: there are none"):
        plot_loss(details)


@pytest.mark.parametrize("record", [{"data": {"epoch": 0}}, {"ml_metrics": {"loss": 1.0}}, {"ml_metrics": {}}])
def test_a_run_without_an_epoch_and_a_loss_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="none of them has both an epoch and a loss"):
        plot_loss(run_details(record))


def test_the_comparison_shows_four_bars(comparison: Comparison) -> None:
    figure = plot_comparison(comparison)
    figure.draw_without_rendering()
    bars = [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert sorted(bar.get_height() for bar in bars) == sorted(
        [comparison.base.accuracy, comparison.base.f1, comparison.tuned.accuracy, comparison.tuned.f1]
    )
    assert "20 test rows" in figure.axes[0].get_title()


def test_a_rival_is_named_as_it_is(comparison: Comparison) -> None:
    named = replace(comparison, rival="costs $5 or $6_x")
    for figure in (plot_comparison(named), plot_confusion(named), plot_scores(named.models)):
        figure.draw_without_rendering()
    legend = plot_comparison(named).axes[0].get_legend()
    assert legend is not None
    assert "costs $5 or $6_x" in [text.get_text() for text in legend.get_texts()]
    assert plot_confusion(named).axes[0].get_title() == "costs $5 or $6_x"


def test_unusable_answers_get_a_column_only_where_there_are_any(comparison: Comparison) -> None:
    base, tuned = plot_confusion(comparison).axes
    assert [tick.get_text() for tick in base.get_xticklabels()] == ["0", "1", "unusable"]
    assert [tick.get_text() for tick in tuned.get_xticklabels()] == ["0", "1"]


@pytest.mark.parametrize(
    "labels",
    [
        ("$5", "10$"),
        ("$x^2$", "$\\frac{1}$"),
        ("a_b^c", "\\alpha"),
        ("50 %", "{}"),
        ("да", "نعم"),
        ("a  blank", "tab\there"),
    ],
)
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_labels_are_drawn_as_they_are(labels: tuple[str, str], kind: str) -> None:
    truth = [*labels] * 5
    figure = plot_confusion(compare(truth, truth, ["?"] * 10, labels))
    figure.savefig(io.BytesIO(), format=kind)
    ticks = [*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels()]
    shown = [" ".join(label.split()) for label in labels]
    assert [tick.get_text() for tick in ticks] == [*shown, "unusable", *shown]
    assert not any(tick.get_parse_math() or tick.get_usetex() for tick in ticks)


def test_long_and_empty_labels_leave_room_for_the_matrix(comparison: Comparison) -> None:
    labels = ("", "word\n" * 500)
    scores = replace(comparison.base, labels=labels)
    figure = plot_confusion(replace(comparison, base=scores, tuned=scores))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # among them that there is no room left for the axes
        figure.draw_without_rendering()
    assert figure.axes[0].get_yticklabels()[1].get_text() == "word word word word word word…"


def test_many_labels_do_not_overlap() -> None:
    labels = tuple(f"a label with the number {number}" for number in range(12))
    figure = plot_confusion(compare(labels, labels, labels, labels))
    figure.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert {tick.get_rotation() for tick in figure.axes[0].get_xticklabels()} == {90.0}


def test_plots_speak_the_language_of_the_lesson(monkeypatch: pytest.MonkeyPatch, comparison: Comparison) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "es")
    assert plot_confusion(comparison).axes[0].get_title() == "modelo base"


SETS_OF_LABELS = {
    2: ("bug", "bugs"),
    3: ("how_to", "hardware support", "BILLING"),
    5: ("how_to", "hardware support", "billing question", "bug", "feature request"),
    12: tuple(f"a label with the number {number}" for number in range(12)),
}


def crossed(labels: tuple[str, ...]) -> Comparison:
    """Many rows of the first label and few of the last, each label taken for the next one at times."""
    truth = [label for number, label in enumerate(labels) for _ in range(3 * (len(labels) - number))]
    tuned = [labels[(labels.index(label) + (row % 3 == 0)) % len(labels)] for row, label in enumerate(truth)]
    return compare(truth, tuned, ["no idea" if row % 2 else label for row, label in enumerate(truth)], labels)


@pytest.mark.parametrize("count", SETS_OF_LABELS)
def test_confusion_of_any_number_of_labels_is_readable(count: int) -> None:
    """Nothing runs into something else or off the figure, and each count stands out from its cell."""
    figure = plot_confusion(crossed(SETS_OF_LABELS[count]))
    figure.draw_without_rendering()
    page = figure.bbox
    for ax in figure.axes:
        for ticks in (ax.get_xticklabels(), ax.get_yticklabels()):
            boxes = [tick.get_window_extent() for tick in ticks]
            assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))
            assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 for box in boxes)
        for text in ax.texts:
            box = text.get_window_extent()
            assert box.width < ax.bbox.width / len(ax.get_xticklabels())
            column, row = text.get_position()
            image = ax.get_images()[0]
            share = np.asarray(image.get_array())[int(row), int(column)]
            assert contrast(text.get_color(), image.cmap(image.norm(share))) >= 4.5


def contrast(one: Any, other: Any) -> float:
    """The ratio that WCAG 2.1 defines."""
    luminances = []
    for colour in (one, other):
        parts = np.array(matplotlib.colors.to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        luminances.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(luminances) + 0.05) / (min(luminances) + 0.05)


def test_a_rare_label_is_as_dark_as_a_frequent_one() -> None:
    truth = ["common"] * 99 + ["rare"]
    figure = plot_confusion(compare(truth, truth, truth))
    assert np.asarray(figure.axes[1].get_images()[0].get_array()).tolist() == [[1, 0], [0, 1]]


def test_only_two_labels_show_what_never_happened() -> None:
    both, three = (plot_confusion(compare(labels, labels, labels)).axes[0] for labels in (["a", "b"], ["a", "b", "c"]))
    assert sorted(text.get_text() for text in both.texts) == ["0", "0", "1", "1"]
    assert [text.get_text() for text in three.texts] == ["1", "1", "1"]


def test_texts_have_a_comparison_and_no_confusion() -> None:
    comparison: Any = compare(["a dog", "a cat"], ["dog", "cat"], ["dog", "dog"], task_id="extraction")
    figure = plot_comparison(comparison)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["Exact match", "Token F1"]
    with pytest.raises(ValueError, match="takes labels"):
        plot_confusion(comparison)


def test_scores_of_several_models_are_drawn_from_top_to_bottom(comparison: Comparison) -> None:
    figure = plot_scores({"tuned model": comparison.tuned, "word $counts$": comparison.base})
    figure.draw_without_rendering()
    accuracy, f1 = figure.axes
    assert [tick.get_text() for tick in accuracy.get_yticklabels()] == ["tuned model", "word $counts$"]
    assert [text.get_text() for text in accuracy.texts] == [
        f"{each.accuracy:.3f}" for each in (comparison.tuned, comparison.base)
    ]
    assert f1.get_title() == "F1"
    low, high = accuracy.get_ylim()
    assert low > high
    with pytest.raises(ValueError, match="no scores"):
        plot_scores({})


class Pictures(HTMLParser):
    """Collects the attributes of a page's pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append({name: value or "" for name, value in attrs})


def test_a_plot_is_a_picture_with_alternative_text(comparison: Comparison) -> None:
    """In JupyterLab, which shows the HTML of an output, and in what nbconvert exports."""
    formatter: Any = DisplayFormatter()
    make_exporter: Any = HTMLExporter
    written: Any = nbformat.v4
    formatter.formatters["image/png"].for_type(Figure, lambda figure: b"as every figure's")
    for figure in (
        plot_loss(run_details({"ml_metrics": {"epoch": 0, "loss": 0.5}})),
        plot_comparison(comparison),
        plot_confusion(comparison),
        plot_scores({'a "<model>"': comparison.base}),
    ):
        data, metadata = formatter.format(figure)
        assert set(data) == {"text/plain", "text/html", "image/png"}
        assert data["text/plain"].startswith("<Figure size ")  # as stored notebooks have it
        output = written.new_output("display_data", data={**data, "image/png": "YQ=="}, metadata=metadata)
        page, _ = make_exporter().from_notebook_node(
            written.new_notebook(cells=[written.new_code_cell("", outputs=[output])])
        )
        found = Pictures()
        found.feed(page)
        (picture,) = found.pictures
        assert picture["alt"] == alternative_text(figure)
        assert len(picture["alt"]) > 30
        assert picture["src"].startswith("data:image/png;base64,")
        figure.savefig(io.BytesIO())


def test_all_that_is_written_can_be_read_on_the_card(comparison: Comparison) -> None:
    """A picture brings its background with it: the theme of the notebook does not matter."""
    records = [{"ml_metrics": {"epoch": epoch, "loss": 2 / (1 + epoch)}} for epoch in range(2)]
    details = run_details(*records)
    details["entity"]["status"]["rows"] = {"cost_of_guessing": 0.35}
    shares = pd.DataFrame({"0": [0.9, 0.1], "1": [0.1, 0.9]})
    for figure in (
        plot_loss(details, {1: comparison.base, 2: comparison.tuned}),
        plot_comparison(comparison),
        plot_scores(comparison.models),
        plot_probabilities(["0", "1"], shares, shares),
    ):
        assert matplotlib.colors.to_hex(figure.get_facecolor()) == CARD
        assert {matplotlib.colors.to_hex(ax.get_facecolor()) for ax in figure.axes} == {CARD}
        figure.draw_without_rendering()
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            if text.get_text().strip() and text.get_visible():
                behind = WRONG if text.get_text() == "wrong side" else CARD
                assert contrast(text.get_color(), behind) >= 4.5, text
    assert min(contrast(colour, CARD) for colour, _ in LINES) >= 4.5


def test_a_picture_has_two_points_to_a_pixel(comparison: Comparison) -> None:
    figure = plot_comparison(comparison)
    assert isinstance(figure, DescribedFigure)
    found = Pictures()
    found.feed(figure._repr_html_())
    (picture,) = found.pictures
    image = plt.imread(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2])))
    assert int(picture["width"]) == image.shape[1] // 2
    assert 500 < int(picture["width"]) < 800
    assert image[0, 0, :3] == pytest.approx(matplotlib.colors.to_rgb(CARD), abs=0.01)


def test_alternative_text_has_the_numbers(comparison: Comparison) -> None:
    scores = alternative_text(plot_scores({"tuned model": comparison.tuned}))
    assert scores.startswith("Scores on 20 test rows, with 95 % intervals: tuned model: Accuracy 1.000 (0.839")
    matrices = alternative_text(plot_confusion(comparison))
    assert matrices.startswith("base model: 0 of 10 rows of 0 right (")
    assert matrices.endswith("; tuned model: 10 of 10 rows of 0 right, 10 of 10 rows of 1 right")
