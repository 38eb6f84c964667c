"""The plots of the comparison in Spanish and Chinese: their tables of texts, and what is drawn with them."""

import io
import logging
import re
import warnings

import matplotlib
import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib.text import Text

from comparison import plots
from comparison.methods import METHODS
from comparison.plan import FULL
from comparison.plots import cost, style
from prompt_tuning_helpers import fonts
from prompt_tuning_helpers.i18n import translations
from prompt_tuning_helpers.plots.style import width_of
from tests.comparison.made_up_methods import made_up
from tests.comparison.test_plots import PLOTS, texts_of
from tests.comparison.translated import texts_in_use
from tests.test_translations import marks_of

SAME_EVERYWHERE = {"{sentence}.", "{name}: {values}", "{name}: {values}."}
SHORT = {method.title.replace("virtual tokens", "tokens") for method in METHODS}
IN_SENTENCES = {re.sub("^(.*?), (.*)$", r"\1 (\2)", title) for title in SHORT}
# Texts that ``say`` is not given as literals, by the code that it is given.
INDIRECT = {
    "_shortened(method)": SHORT,
    "f'{kind} ({rest})' if rest else kind": IN_SENTENCES,
    "panel.title": {panel.title for panel in (*cost.TUNING, *cost.ANSWERING)},
    "name": set(),  # of a phenomenon: the helpers have it
    "worst": set(),
}
UNITS = re.compile(r"\b(B|kB|MB)\b")


@pytest.fixture
def table(language: str) -> dict[str, str]:
    return translations(language, "comparison.plots")


@pytest.fixture(autouse=True)
def no_screen() -> None:
    matplotlib.use("agg")


def test_a_table_has_what_is_said_and_no_table_above_has(language: str, table: dict[str, str]) -> None:
    missing = texts_in_use(plots, INDIRECT) - set(translations(language, "comparison"))
    assert sorted(missing - set(table)) == [], "not translated"
    assert sorted(set(table) - missing) == [], "never said, or said by the table of the comparison"


def test_a_table_keeps_the_marks(table: dict[str, str]) -> None:
    for text, translation in table.items():
        assert marks_of(translation) == marks_of(text), text


def test_a_table_is_translated_throughout(table: dict[str, str]) -> None:
    for text, translation in table.items():
        assert translation.strip(), text
        assert translation != text or text in SAME_EVERYWHERE, text


@pytest.mark.parametrize("plot", PLOTS)
def test_nothing_in_a_plot_stays_english(plot: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = made_up(FULL)
    said = {text.get_text() for text in texts_of(PLOTS[plot](comparison))}
    monkeypatch.setenv("LESSON_LANGUAGE", "en")
    english = {text.get_text() for text in texts_of(PLOTS[plot](comparison))}
    same = {UNITS.sub("", text) for text in said & english}
    assert not [text for text in same if re.search("[A-Za-z]", text) and not text.startswith("'")]  # a token's text


@pytest.mark.parametrize("plot", PLOTS)
def test_nothing_in_an_alternative_text_stays_english(plot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    figure = PLOTS[plot](made_up(FULL))
    told = figure.alternative_text  # type: ignore[attr-defined]
    assert told.endswith("。")
    # Names that are the same everywhere, units, and the texts of tokens.
    rest = re.sub(r"LoRA|TF-IDF|MiB|\b[km]?[sB]\b|MB|'[^']*'", "", told)
    assert not re.findall("[A-Za-z]{2,}", rest)


@pytest.mark.usefixtures("no_chinese_font")
@pytest.mark.parametrize("plot", PLOTS)
def test_chinese_is_drawn_without_empty_boxes(
    plot: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        PLOTS[plot](made_up(FULL)).savefig(io.BytesIO(), format="png")
    assert caplog.messages == []  # a font without a bold weight is asked for none, for instance


def test_the_font_has_every_character_of_the_plots() -> None:
    table, above = translations("zh", "comparison.plots"), translations("zh", "comparison")
    said = [(table | above)[text] for text in texts_in_use(plots, INDIRECT)]
    needed = {character for text in said for character in text if not character.isascii()}
    assert needed <= {chr(code) for code in TTFont(fonts.FILE).getBestCmap()}, "see tools/make_font.py"


def test_what_is_bold_is_so_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """The font has no bold characters, so that they are outlined."""
    bold = {text.get_text() for text in _texts("accuracy") if text.get_fontweight() == "bold"}
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    names = {method: style.short(method) for method in METHODS}
    outlined = {text.get_text() for text in _texts("accuracy") if text.get_path_effects()}
    monkeypatch.setenv("LESSON_LANGUAGE", "en")
    assert {names[method] for method in METHODS if style.short(method) in bold} <= outlined
    assert len(outlined) == len(bold) > 1  # the title, too


def _texts(plot: str) -> list[Text]:
    return texts_of(PLOTS[plot](made_up(FULL)))


def test_chinese_lines_break_between_characters_but_not_before_punctuation() -> None:
    text = "微调的时间最短是 180 s：LoRA（秩 8）；最长是 580 s：提示微调（20 个词元）。"  # noqa: RUF001
    for length in range(16, 80):
        lines = style.wrapped(text, length)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert max(map(width_of, lines)) <= length + 2  # punctuation stays beside what it closes
        assert not [line for line in lines if line[0] in "：；）。，"]  # noqa: RUF001
        assert any("（20 个词元）" in line for line in lines)  # noqa: RUF001


def test_other_lines_break_at_blanks() -> None:
    assert style.wrapped("el más exacto: ajuste fino", 15) == ["el más exacto:", "ajuste fino"]
