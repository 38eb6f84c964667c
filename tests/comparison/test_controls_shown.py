"""What the notebook shows of the controls: tables, pictures and sentences, from made-up results."""

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
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

import comparison as shown
from comparison.controls import facts, wording
from comparison.controls.kinds import DRAWN, STARTS, VARIANTS
from comparison.controls.plan import SEARCHED
from comparison.controls.results import Controls, load_controls
from comparison.controls.reviews import uncertainty
from comparison.tables import unbroken

from .made_up_controls import PLAN, TRANSFER_SCORES, fill

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PLOTS = (shown.plot_controls, shown.plot_geometry, shown.plot_between_seeds, shown.plot_attention, shown.plot_transfer)
DESCRIBED = (
    shown.describe_controls,
    shown.describe_variants,
    shown.describe_geometry,
    shown.describe_between_seeds,
    shown.describe_attention,
    shown.describe_transfer,
)
SHOWN = (shown.show_variants, shown.show_geometry, shown.show_transfer)
BLANK, DASH = "\N{NO-BREAK SPACE}", "\N{EN DASH}"


@pytest.fixture(autouse=True)
def no_screen() -> Iterator[None]:
    matplotlib.use("agg")
    yield
    assert plt.get_fignums() == []  # nothing is left open, which a notebook would show twice


class Maker:
    """Makes up results and reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, **given: Any) -> Controls:
        return load_controls(fill(self._folder / "controls.jsonl", **given), given.get("plan", PLAN))


@pytest.fixture
def made(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> Controls:
    return Maker(tmp_path_factory.mktemp("made_up"))()


def title_of(figure: Figure) -> str:
    """What a picture has above it, in one line."""
    return str(figure.get_suptitle()).replace("\n", " ")


def texts_of(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def luminance(colour: Any) -> float:
    """Relative luminance, by WCAG."""
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(channels, (0.2126, 0.7152, 0.0722)))


# --- all pictures and sentences ---


def test_what_the_notebook_needs_comes_without_torch(controls: Controls) -> None:
    code = "import sys, comparison as c; c.load_controls; c.plot_controls; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=NOTEBOOKS, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_pictures_can_be_read(controls: Controls, plot: Any) -> None:
    figure = plot(controls)
    assert figure.alternative_text.startswith(title_of(figure))
    assert len(figure.alternative_text) > len(title_of(figure)) + 100
    for text in texts_of(figure):
        assert 1.05 / (luminance(text.get_color()) + 0.05) >= 4.5, text.get_text()
        assert "-" not in text.get_text().replace("half-way", "").replace("held-back", "").replace("square-root", "")
    width = figure.get_window_extent().x1
    for text in texts_of(figure):
        if text in figure.texts:  # the title and the like, which are not moved to make room
            assert text.get_window_extent().x1 <= width


@pytest.mark.parametrize("describe", DESCRIBED, ids=lambda describe: describe.__name__)
def test_sentences_are_sentences(controls: Controls, describe: Any) -> None:
    said = describe(controls)
    assert all((line.endswith((".", ")")) and line[0].isupper()) or line[0].isdigit() for line in said.split("\n"))
    assert "nan" not in said
    assert ".." not in said


def test_one_seed_is_shown_too(made: Maker) -> None:
    two = made(plan=replace(PLAN, seeds=(0, 1), lines=2, transfer_seeds=1))
    for function in (*PLOTS, *DESCRIBED, *SHOWN):
        function(two)


# --- what the soft prompts are ---


def test_the_soft_prompts_and_the_precision_are_described(controls: Controls, made: Maker) -> None:
    said = shown.describe_controls(controls)
    assert "5 soft prompts of 20 virtual tokens, one for each seed, tuned on 320 reviews" in said
    assert "learning rate 0.02, 3 passes, template feels. These are the lesson's settings." in said
    assert "240 of the 720 test reviews: of each label, one in 3" in said
    assert "one of 0.90 by ± 4 points and one of 0.50 by ± 6 points" in said
    assert "Computed on One, with 1 thread a job." in said
    chosen = made(plan=replace(PLAN, recipe_from=SEARCHED))
    assert "This is what the comparison's search chose." in shown.describe_controls(chosen)


def test_precision_is_that_of_a_share() -> None:
    assert uncertainty(0.5, 100) == pytest.approx(0.098)
    assert uncertainty(1.0, 100) == 0


# --- variants ---


def test_the_table_of_variants_has_the_figures_of_the_file(controls: Controls) -> None:
    table = shown.show_variants(controls)
    assert list(table.index) == [wording.NAMES[name] for name in VARIANTS]
    for name in VARIANTS:
        row = table.loc[wording.NAMES[name]]
        scores = [score for draws in controls.variants[name].values() for score in draws]
        assert float(row["accuracy"]) == pytest.approx(np.mean([score.accuracy for score in scores]), abs=0.0051)
        assert float(row["loss"]) == pytest.approx(np.mean([score.loss for score in scores]), abs=0.0051)
        assert row["soft prompts"] == ("1" if name == "start" else "15" if name in DRAWN else "5")
    low, high = table.loc["as tuned", "over the seeds"].replace("\N{WORD JOINER}", "").split(DASH)
    assert float(low) == pytest.approx(min(controls.accuracies("tuned")), abs=0.0051)
    assert float(high) == pytest.approx(max(controls.accuracies("tuned")), abs=0.0051)


def test_variants_are_dots_for_each_seed_the_best_at_the_top(controls: Controls) -> None:
    (ax,) = shown.plot_controls(controls).axes
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    means = {wording.NAMES[name]: facts.mean_accuracy(controls, name) for name in VARIANTS}
    assert names == sorted(means, key=lambda name: -means[name])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    dots = [np.asarray(line.get_xdata()).tolist() for line in ax.get_lines() if line.get_marker() not in ("None", "")]
    for name in VARIANTS:
        assert controls.accuracies(name) in dots
    written = {text.get_text() for text in ax.texts}
    assert {wording.figure(mean) for mean in means.values()} <= written


@pytest.mark.parametrize(
    ("variants", "title", "sentence"),
    [
        ({}, "Distance alone is worth little", "4 % of what tuning gained: distance alone is worth little"),
        ({"random direction": (0.93, 0.2)}, "Random moves as long do about as well", "cannot be told from the tuned"),
        ({"random direction": (0.75, 0.5)}, "Random moves as long bring 57 % of what", "57 % of what tuning gained."),
        ({"tuned": (0.5, 0.7)}, "Tuning gained nothing clear", "Tuning gained nothing clear, so"),
        ({"random direction": (0.4, 1)}, "Distance alone is worth little", "So distance alone gains nothing"),
    ],
)
def test_what_is_said_of_random_moves_follows_the_figures(
    made: Maker, variants: dict[str, tuple[float, float]], title: str, sentence: str
) -> None:
    found = made(variants=variants)
    assert title in title_of(shown.plot_controls(found)).replace(BLANK, " ")
    assert sentence in shown.describe_variants(found).replace(BLANK, " ")


def test_a_difference_is_that_of_pairs() -> None:
    generator = np.random.default_rng(0)
    one = (generator.random((5, 240)) < 0.9).astype(float)
    assert facts.difference(one, one) == (0.0, (0.0, 0.0))
    assert facts.verdict(one, one) == 0
    other = one.copy()
    other[:, :24] = 0
    value, (low, high) = facts.difference(one, other)
    assert low < value < high
    assert value == pytest.approx(one[:, :24].sum() / one.size)
    assert (facts.verdict(one, other), facts.verdict(other, one)) == (1, -1)


# --- geometry ---


def test_the_table_of_geometry_sets_random_moves_beside_those_of_tuning(controls: Controls) -> None:
    table = shown.show_geometry(controls)
    assert len(table) == 20
    assert table.loc[1].to_dict() == {
        "started as": "'Comm'",
        "moved": "0.40",
        "cosine to its word": "0.85",
        "after random moves": "0.86",
        "by geometry": "0.86",
        "cosine to the nearest other word": "0.31",
        "still nearest": f"0{BLANK}of{BLANK}5{BLANK}seeds",
        "rank after random moves": "1.0",
    }
    assert "<b>" not in table.to_html()
    assert r"'ve\n$'" in table["started as"].tolist()


def test_staying_nearest_is_set_beside_chance(controls: Controls) -> None:
    said = shown.describe_geometry(controls).replace(BLANK, " ")
    assert "95 of 100 virtual tokens of all seeds are still nearest" in said
    assert "After random moves as long, 100 of 100 are. So it proves nothing that they stay." in said
    assert "in 576 dimensions" in said
    assert "2 times as far: 76 % and 84 %" in said
    fewer = replace(controls, nearest=controls.nearest | {"random": (0.5,) * 6})
    assert "50 of 100 are. So chance alone does not keep so many there." in shown.describe_geometry(fewer)
    some_fewer = replace(controls, nearest=controls.nearest | {"random": (0.93,) * 6})
    assert "93 of 100 are. So it proves next to nothing that they stay." in shown.describe_geometry(some_fewer)


def test_tuned_and_random_moves_are_made_longer_side_by_side(controls: Controls) -> None:
    figure = shown.plot_geometry(controls)
    (ax,) = figure.axes
    curves = [np.asarray(line.get_ydata()).tolist() for line in ax.get_lines()]
    assert list(controls.nearest["tuned"]) in curves
    assert list(controls.nearest["random"]) in curves
    assert [tick.get_text().split()[0] for tick in ax.get_xticklabels()] == ["as", "2", "4", "8", "16", "32"]
    assert title_of(figure).startswith("Staying nearest to its word proves nothing: 95 of 100 do, and 100 after")
    fewer = replace(controls, nearest=controls.nearest | {"random": (0.5,) * 6})
    assert title_of(shown.plot_geometry(fewer)) == (
        "More stay nearest than by chance: 95 of 100 do, and 50 after random moves as long"
    )


# --- between seeds ---


def test_lines_go_from_one_tuned_soft_prompt_to_another(controls: Controls) -> None:
    figure: Any = shown.plot_between_seeds(controls)
    losses, accuracies = ([np.asarray(line.get_ydata()).tolist() for line in ax.get_lines()] for ax in figure.axes)
    for line in controls.lines:
        assert [score.loss for _, score in line.points] in losses
        assert [score.accuracy for _, score in line.points] in accuracies
        assert [place for place, _ in line.points] == [0, *PLAN.steps, 1]
        ends = [controls.variants["tuned"][seed][0] for seed in line.seeds]
        assert [line.points[0][1], line.points[-1][1]] == ends
    assert f"0.35{BLANK}(0.28{DASH}0.41)" in figure.alternative_text
    labels = [text for text in figure.axes[1].texts if text.get_text().startswith(("seeds", "the text"))]
    assert len(labels) == 4
    figure.draw_without_rendering()  # an annotation's extent has its arrow in it, a text's has not
    extents = sorted((Text.get_window_extent(label) for label in labels), key=lambda extent: extent.y0)
    for below, above in pairwise(extents):
        assert above.y0 >= below.y0 + 0.8 * min(below.height, above.height)


@pytest.mark.parametrize(
    ("lowest", "title", "sentence"),
    [
        (
            (0.5, 0.5, 0.5),
            "Each seed finds a place of its own: between two, accuracy falls by",
            "So each seed has found a place of its own",
        ),
        ((0.99, 0.99, 0.99), "Between two seeds, accuracy falls by", "On no line is that more than chance"),
        (
            (0.99, 0.99, 0.5),
            "On 1 of 3 lines between seeds, accuracy falls by more than chance",
            "On 1 of 3 lines, that is more than chance",
        ),
    ],
)
def test_what_is_said_of_the_seeds_follows_the_figures(
    made: Maker, lowest: tuple[float, ...], title: str, sentence: str
) -> None:
    found = made(lowest=lowest)
    assert title in title_of(shown.plot_between_seeds(found))
    assert sentence in shown.describe_between_seeds(found)


def test_accuracy_falls_from_the_mean_of_the_ends_to_the_lowest_point(controls: Controls) -> None:
    for line, fall in zip(controls.lines, facts.falls(controls), strict=True):
        accuracies = [score.accuracy for _, score in line.points]
        assert fall == pytest.approx((accuracies[0] + accuracies[-1]) / 2 - min(accuracies[1:-1]))


def test_chance_is_told_of_cosines(controls: Controls) -> None:
    drawn = np.random.default_rng(0).normal(size=(400, 2, controls.numbers))
    drawn /= np.linalg.norm(drawn, axis=2, keepdims=True)
    within = np.abs((drawn[:, 0] * drawn[:, 1]).sum(1)) < facts.chance_cosine(controls)
    assert 0.92 < within.mean() < 0.98


# --- attention ---


def test_attention_is_three_maps_of_one_scale(controls: Controls) -> None:
    figure = shown.plot_attention(controls)
    *maps, bar = figure.axes
    pictures = [ax.get_images()[0] for ax in maps]
    for picture, state in zip(pictures, ("start", "tuned", "random"), strict=True):
        np.testing.assert_allclose(np.asarray(picture.get_array()), controls.attention[state].mean(axis=0))
    assert len({picture.get_clim() for picture in pictures}) == 1
    assert [ax.get_title().split(":")[0] for ax in maps] == [
        "before tuning",
        "after tuning",
        "after random moves as long",
    ]
    assert "darker" in bar.get_ylabel()


@pytest.mark.parametrize("attention", [(0.4, 0.5, 0.42), (0.5, 0.4, 0.45), (0.4, 0.4, 0.4)])
def test_what_is_said_of_attention_follows_the_figures(made: Maker, attention: tuple[float, float, float]) -> None:
    found = made(attention=attention)
    shares = [found.attention[state].mean(axis=(0, 1)) for state in ("start", "tuned", "random")]
    before, after, random = (f"{100 * share[1:].sum():.0f} %" for share in shares)
    title = (
        f"Beside the first, the virtual tokens get {before} of the attention before tuning, {after} after it and "
        f"{random} after random moves"
    )
    assert title_of(shown.plot_attention(found)).replace(BLANK, " ") == title
    said = shown.describe_attention(found).replace(BLANK, " ")
    for when, share, all_of_them in zip(("before tuning", "after it", "as long"), shares, attention, strict=True):
        assert f"{when} {100 * all_of_them:.0f} % (the first alone {100 * share[0]:.0f} %)" in said


# --- transfer ---


def test_transfer_is_shown_pass_by_pass(controls: Controls) -> None:
    table = shown.show_transfer(controls)
    assert list(table.columns) == ["before", "after pass 1", "after pass 2", "after pass 3"]
    for start in STARTS:
        means = [float(cell.split(BLANK)[0]) for cell in table.loc[wording.STARTS_AS[start]]]
        assert means == pytest.approx(TRANSFER_SCORES[start], abs=0.05)
    (ax,) = shown.plot_transfer(controls).axes
    curves = [
        np.asarray(line.get_ydata()).tolist() for line in ax.get_lines() if len(np.asarray(line.get_ydata())) == 4
    ]
    for start in STARTS:
        by_seed = controls.transfer[start].values()
        assert np.mean([[score.accuracy for score in scores] for scores in by_seed], axis=0).tolist() in curves


@pytest.mark.parametrize(
    ("last", "title", "sentence"),
    [
        (
            0.7,
            "tuned on reviews is a better start than its text",
            "a better start than the text of solved reviews, one",
        ),
        (0.3, "tuned on reviews is a worse start than its text", "a worse start than the text of solved reviews, one"),
        (0.5, "100 of them cannot tell", "not to be told from the text of solved reviews; a better start than one"),
    ],
)
def test_what_is_said_of_transfer_follows_the_figures(made: Maker, last: float, title: str, sentence: str) -> None:
    found = made(transfer={"tuned on reviews": (0.2, 0.2, 0.3, last)})
    assert title in title_of(shown.plot_transfer(found))
    assert sentence in shown.describe_transfer(found)


# --- how figures are written ---


@pytest.mark.parametrize(
    ("value", "text"), [(0.125, "0.12"), (-0.5, "\N{MINUS SIGN}0.50"), (-0.001, "0.00"), (2, "2.00")]
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    assert wording.figure(value) == text


def test_ranges_do_not_break() -> None:
    assert wording.reach([0.1, 0.3]) == f"0.10{DASH}0.30"
    assert wording.reach([-0.1, 0.3]) == f"\N{MINUS SIGN}0.10{BLANK}to{BLANK}0.30"
    assert wording.reach([0.301, 0.3]) == "0.30"
    assert wording.mean_and_reach([0.1, 0.3]) == f"0.20{BLANK}(0.10{DASH}0.30)"
    assert wording.mean_and_reach([0.3]) == "0.30"
    cell = unbroken(wording.mean_and_reach([0.1, 0.3]))
    assert " " not in cell
    assert cell.count("\N{WORD JOINER}") == 2
