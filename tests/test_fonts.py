"""The fonts of the plots: Chinese is drawn without empty boxes, on a computer that has no Chinese font, too."""

import ast
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from prompt_tuning_helpers import evaluation, fonts, lesson, plots
from prompt_tuning_helpers.evaluation import Comparison, compare, evaluate
from prompt_tuning_helpers.fonts import FAMILY, FILE
from prompt_tuning_helpers.i18n import translations
from tools import make_font

TRUTH = ["1", "0"] * 10
BOXES = "zh.json has characters in texts of plots that the font lacks; see tools/make_font.py"


@pytest.fixture(autouse=True)
def no_screen() -> None:
    matplotlib.use("agg")


@pytest.fixture(autouse=True)
def fresh_computer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A computer without a Chinese font."""
    monkeypatch.setattr(fonts, "INSTALLED", ())
    before = list(fontManager.ttflist)
    yield
    fontManager.ttflist[:] = before


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")


def comparison(labels: tuple[str, str] = ("0", "1")) -> Comparison:
    truth = [labels[int(label)] for label in TRUTH]
    return compare(truth, truth, [labels[1]] * 19 + ["woof"], labels)


def loss(validation: dict[int, Any] | None = None) -> Figure:
    records = [{"ml_metrics": {"epoch": epoch, "loss": 2 / (1 + epoch)}} for epoch in range(3) for _ in range(4)]
    details = {"entity": {"status": {"metrics": records, "rows": {"cost_of_guessing": 0.35}}}}
    return plots.plot_loss(details, validation)


PLOTS: dict[str, Callable[[], Figure]] = {
    "plot_loss": loss,
    "plot_loss with validation": lambda: loss({1: evaluate(TRUTH, TRUTH), 2: evaluate(TRUTH, TRUTH[::-1])}),
    "plot_probabilities": lambda: plots.plot_probabilities(
        TRUTH, pd.DataFrame({"0": 0.1, "1": 0.2}, index=range(20)), pd.DataFrame({"0": 0.0, "1": 0.0}, index=range(20))
    ),
    "plot_comparison": lambda: plots.plot_comparison(comparison()),
    "plot_comparison of texts": lambda: plots.plot_comparison(
        compare(["a dog"] * 20, ["dog"] * 20, TRUTH, task_id="extraction")
    ),
    "plot_scores": lambda: plots.plot_scores({"a": evaluate(["1", "2", "3"], TRUTH[:3])}),
    "plot_confusion": lambda: plots.plot_confusion(comparison()),
}


def draw(figure: Figure, kind: str = "png") -> None:
    """Draw a figure as a notebook does with the value of a cell; a character without a glyph is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format=kind)


def texts_of(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if isinstance(text, Text)]


def families_of(figure: Figure) -> set[tuple[str, ...]]:
    return {tuple(text.get_fontfamily()) for text in texts_of(figure)}


def keys_of_plots() -> set[str]:
    """What is said in plots: by them, and the names of baselines, hard prompts and labels that are drawn there."""
    sources = [*Path(plots.__file__).parent.glob("*.py"), Path(evaluation.__file__).with_name("baselines.py")]
    hard_prompts = (lesson.INSTRUCTION, lesson.HAND_WRITTEN, lesson.start_of(lesson.settings_for("smollm", rows=320)))
    names = {prompt.title for prompt in hard_prompts} | set(lesson.label_names().values())
    return names | {
        call.args[0].value
        for source in sources
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "say"
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def test_the_font_has_every_character_of_the_plots() -> None:
    keys = keys_of_plots()
    assert {"Loss", "true label", "counting words"} <= keys
    needed = {character for key in keys for character in translations("zh")[key] if not character.isascii()}
    assert needed <= {chr(code) for code in TTFont(FILE).getBestCmap()}, BOXES


def test_the_font_is_small_and_says_what_it_is() -> None:
    names = TTFont(FILE)["name"]
    assert FILE.stat().st_size < 100_000
    assert [names.getDebugName(identifier) for identifier in (1, 4)] == [FAMILY, FAMILY]
    assert "Noto Sans CJK SC" in names.getDebugName(10)
    assert "Open Font License" in names.getDebugName(13)
    assert "SIL OPEN FONT LICENSE Version 1.1" in FILE.with_name("OFL.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.usefixtures("chinese")
def test_chinese_plots_have_no_empty_boxes(name: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):  # matplotlib logs what it does not find: a font, a bold one
        figure = PLOTS[name]()
        draw(figure, kind)
    assert [record.getMessage() for record in caplog.records] == []
    assert any("\u4e00" <= character <= "\u9fff" for text in texts_of(figure) for character in text.get_text())


def test_an_empty_box_would_be_noticed() -> None:
    with pytest.raises(UserWarning, match="missing from font"):
        draw(plots.plot_confusion(comparison(("龘", "靐"))))


@pytest.mark.usefixtures("chinese")
def test_the_users_own_font_and_settings_stay() -> None:
    with matplotlib.rc_context({"font.family": ["serif", "monospace"]}):
        before = dict(matplotlib.rcParams)
        figure = plots.plot_confusion(comparison())
        assert dict(matplotlib.rcParams) == before
    assert families_of(figure) == {("serif", "monospace"), ("serif", "monospace", FAMILY)}


def test_an_installed_font_comes_first_since_it_has_more_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "INSTALLED", ("No Such Font", "DejaVu Serif", "DejaVu Sans Mono"))
    figure = plots.plot_confusion(comparison(("坏", "好")))
    assert families_of(figure) == {("sans-serif",), ("sans-serif", "DejaVu Serif", FAMILY)}


@pytest.mark.usefixtures("chinese")
def test_the_font_is_added_once() -> None:
    for _ in range(3):
        loss()
    assert [font.name for font in fontManager.ttflist].count(FAMILY) == 1


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("name", PLOTS)
def test_other_languages_are_drawn_as_ever(monkeypatch: pytest.MonkeyPatch, language: str, name: str) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", language)
    figure = PLOTS[name]()
    draw(figure)
    assert families_of(figure) == {tuple(matplotlib.rcParams["font.family"])}


def test_the_font_can_be_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From itself, since the original is too large to be kept here; the same characters give the same file."""
    monkeypatch.setattr(make_font, "ORIGINALS", (FAMILY,))
    monkeypatch.setattr(make_font, "translations", lambda language: {"Loss": "损失", "Loss {x}": "损失 {x}"})
    monkeypatch.setattr(make_font, "COMPARISON", tmp_path)
    files = [tmp_path / "once.otf", tmp_path / "twice.otf"]
    assert [make_font.make(FILE, file) for file in files] == [2, 2]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {chr(code) for code in TTFont(files[0]).getBestCmap()} == {"损", "失"}


def test_a_file_without_the_original_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Noto Sans CJK SC"):
        make_font.make(FILE, tmp_path / "font.otf")
