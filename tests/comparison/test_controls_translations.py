"""The controls in Spanish and Chinese: their tables of texts, and what is shown with them."""

import io
import logging
import re
import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any

import matplotlib
import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from matplotlib.text import Text

from comparison import controls as package
from comparison.controls import plots, wording
from comparison.controls.results import CONTROLS, Controls, load_controls
from prompt_tuning_helpers import fonts
from prompt_tuning_helpers.i18n import translations
from tests.test_translations import marks_of

from .test_controls_shown import DESCRIBED, PLOTS, SHOWN, texts_of
from .translated import texts_in_use

pytestmark = pytest.mark.usefixtures("no_chinese_font")

# Texts that ``say`` is not given as literals, by the code that it is given.
INDIRECT = {
    "NAMES[name]": set(wording.NAMES.values()),
    "STARTS_AS[start]": set(wording.STARTS_AS.values()),
    "name": set(wording.STARTS_IN_SENTENCES.values()),
    "STATE_NAMES[state]": set(plots.STATE_NAMES.values()),
    "one if number == 1 else many": set(),  # of ``count``, whose literals are looked at where it is called
}
# What stays as it is: the text of tokens, and the names of a processor and of a template.
NAMES = re.compile(r"'[^']*'|NVIDIA|H100|80GB|HBM3|feels")


@pytest.fixture
def table(language: str) -> dict[str, str]:
    return translations(language, "comparison.controls")


@pytest.fixture(scope="module")
def stored() -> Controls:
    return load_controls(CONTROLS)


@pytest.fixture(autouse=True)
def no_screen() -> None:
    matplotlib.use("agg")


def said_elsewhere(language: str) -> set[str]:
    """What other tables say, which are asked before or after that of the controls."""
    packages = ("comparison", "comparison.plots", "prompt_tuning_helpers")
    return {text for package in packages for text in translations(language, package)}


def test_a_table_has_what_is_said_and_no_other_table_has(language: str, table: dict[str, str]) -> None:
    missing = texts_in_use(package, INDIRECT) - said_elsewhere(language)
    assert sorted(missing - set(table)) == [], "not translated"
    assert sorted(set(table) - missing) == [], "never said, or said by another table"


def test_a_table_keeps_the_marks(table: dict[str, str]) -> None:
    for text, translation in table.items():
        assert marks_of(translation) == marks_of(text), text


def test_a_table_is_translated_throughout(table: dict[str, str]) -> None:
    for text, translation in table.items():
        assert translation.strip(), text
        assert translation != text, text


def test_columns_and_rows_keep_different_names(stored: Controls, language: str) -> None:
    for show in SHOWN:
        shown = show(stored)
        assert shown.columns.is_unique
        assert shown.index.is_unique


def shown_texts(controls: Controls) -> list[str]:
    """All texts: of sentences, of tables and in pictures, and those in place of pictures."""
    texts: list[str] = [describe(controls) for describe in DESCRIBED]
    for show in SHOWN:
        shown = show(controls)
        texts += map(str, [*shown.index.names, *shown.index, *shown.columns, *shown.to_numpy().ravel()])
    for plot in PLOTS:
        figure: Any = plot(controls)
        texts += [figure.alternative_text, *(text.get_text() for text in texts_of(figure))]
    return texts


def test_chinese_leaves_nothing_in_english(stored: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    assert not [text for text in shown_texts(stored) if re.search("[A-Za-z]{2,}", NAMES.sub("", text))]


def test_the_figures_are_the_same_in_each_language(stored: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for language in ("en", "es", "zh"):
        monkeypatch.setenv("LESSON_LANGUAGE", language)
        texts = shown_texts(stored)
        # A language may name them in another order. Spanish sets thousands apart by a blank.
        said.append([sorted(re.findall(r"\d+(?:[.,\N{NO-BREAK SPACE}]\d+)?(?!\d)", text)) for text in texts])
    english, spanish, chinese = said
    assert chinese == english
    assert [[figure.replace("\N{NO-BREAK SPACE}", ",") for figure in text] for text in spanish] == english


def test_chinese_sentences_have_chinese_punctuation(stored: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    for describe in DESCRIBED:
        for line in describe(stored).split("\n"):
            assert line.endswith(("。", "。）")), line  # noqa: RUF001
            assert not re.search(r"[\u4e00-\u9fff] ?[,.;:]|[。，；：] ", line), line  # noqa: RUF001


def labels_of(figure: Figure) -> list[Text]:
    """All texts that are drawn: not those of ticks outside of their axis."""
    texts, outside = texts_of(figure), set[Text]()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    outside |= {tick.label1, tick.label2}
    return [text for text in texts if text not in outside]


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
@pytest.mark.parametrize("name", ["en", "es", "zh"])
def test_texts_lie_in_the_picture_and_apart(
    stored: Controls, plot: Callable[[Controls], Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", name)
    figure = plot(stored)
    labels = labels_of(figure)
    extents = [Text.get_window_extent(text) for text in labels]  # an annotation's has its arrow in it
    picture = figure.get_window_extent()
    for text, extent in zip(labels, extents, strict=True):
        assert extent.x0 >= picture.x0, text
        assert extent.x1 <= picture.x1, text
        assert extent.y0 >= picture.y0, text
        assert extent.y1 <= picture.y1, text
    for (one, its), (other, others) in combinations(zip(labels, extents, strict=True), 2):
        assert not its.overlaps(others), (one, other)


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_chinese_is_drawn_without_empty_boxes(
    stored: Controls, plot: Callable[[Controls], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        plot(stored).savefig(io.BytesIO(), format="png")
    assert caplog.messages == []


def test_the_font_has_every_character_that_is_said() -> None:
    said = "".join(translations("zh", "comparison.controls").values())
    needed = {character for character in said if not character.isascii()}
    assert needed <= {chr(code) for code in TTFont(fonts.FILE).getBestCmap()}, "see tools/make_font.py"
