"""Notebooks in three languages: they say the same, and so do the tables of what the helpers print."""

import ast
import copy
import json
import re
import sys
from collections import Counter
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from prompt_tuning_helpers import i18n, lesson
from prompt_tuning_helpers.engine import estimate, job_folder, training_file, verdict
from prompt_tuning_helpers.i18n import say, translations
from tools import sync_translations

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "prompt_tuning_helpers"
ORIGINALS = sync_translations.originals()
LANGUAGES = sorted(path.stem for path in (PACKAGE / "translations").glob("*.json"))

# Texts that ``say`` is not given as literals, by the code that it is given.
INDIRECT = {
    "split.name": {"training", "test"},
    "part.name": {"training", "test"},
    "name": {"training", "test"},
    "self.title": {"instruction", "best words", "start of the soft prompt"},
    "kind": {"deployment", "tuned model", "tuning run", "data asset"},
    "problem.text": set(training_file.TEXTS.values()),
    "EXPECTED": {estimate.EXPECTED},
    "TOO_LARGE": {estimate.TOO_LARGE},
    "sentence": {
        job_folder.LEFT_OUT,
        job_folder.HALF_LEFT_OUT,
        verdict.NO_BETTER_THAN_GUESSING,
        verdict.HARDLY_FELL,
        *verdict.CAUSES.values(),
        verdict.NEXT_STEP,
    },
}
SAME_EVERYWHERE = {"F1", "{name}: {problem}"}

FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
CODE_SPAN = re.compile(r"`[^`\n]+`")
EMPHASIS = re.compile(r"(?<!\*)\*(?=[^\s*])[^*]+\*(?!\*)")  # among it the names of menus, which stay English
LINK = re.compile(r"https?://[^\s)]+")
SHAPE = re.compile(r"^(#+|\*|\d+\.) ", re.MULTILINE)  # headings and items of lists
RUN_OF_WORDS = 6  # so many words of English in a row are no name, and no example from the data


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    language: str = request.param
    return language


@pytest.fixture(params=ORIGINALS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def original(path: Path) -> Any:
    return sync_translations.read(path)


@pytest.fixture
def translated(path: Path, language: str) -> Any:
    return sync_translations.read(sync_translations.translations(path)[language])


def texts_in_use() -> set[str]:
    """All that the package says: literal texts, those of ``INDIRECT``, and the lesson's phenomena."""
    test = json.loads(lesson.reviews_path("test").read_text(encoding="utf-8"))
    texts: set[str] = {row["phenomenon"] for row in test}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                text = node.args[0]
                texts |= {str(text.value)} if isinstance(text, ast.Constant) else INDIRECT[ast.unparse(text)]
    return texts


def marks_of(text: str) -> Counter[tuple[str | None, str | None]]:
    """The ``{name:format}`` marks of a text, braces that stand for themselves included."""
    marks = Counter((name, form) for _, name, form, _ in Formatter().parse(text) if name is not None)
    return marks + Counter({("{", None): text.count("{{")}) + Counter({("}", None): text.count("}}")})


def runs_of_words(source: str) -> set[tuple[str, ...]]:
    """All runs of words in the prose of a cell."""
    for aside in (FENCE, LINK, CODE_SPAN, EMPHASIS):
        source = aside.sub(" ", source)
    found = re.findall(r"\w+", source.casefold())
    return {tuple(found[i : i + RUN_OF_WORDS]) for i in range(len(found) - RUN_OF_WORDS + 1)}


def pairs(original: Any, translated: Any) -> list[tuple[Any, Any]]:
    """The markdown cells of the English notebook, each with its translation."""
    both = zip(original.cells, translated.cells, strict=True)
    return [(english, other) for english, other in both if english.cell_type == "markdown"]


def test_what_is_offered_in_three_languages() -> None:
    names = ["compare_tuning_methods", "prompt_tuning_from_scratch", "prompt_tuning_tutorial", "tune_on_your_own_data"]
    assert [path.stem for path in ORIGINALS] == names
    for path in ORIGINALS:
        assert LANGUAGES == sorted(sync_translations.translations(path)) == ["es", "zh"]


def test_the_notebooks_have_the_same_cells_and_code(original: Any, translated: Any) -> None:
    """Among them ids and their order: what the sync command would change is nothing."""
    assert [cell.id for cell in translated.cells] == [cell.id for cell in original.cells]
    for english, other in zip(original.cells, translated.cells, strict=True):
        assert other.cell_type == english.cell_type
        if english.cell_type == "code":
            assert other.source == english.source, english.id
        assert {**other.metadata, "translates": None} == {**english.metadata, "translates": None}, english.id


def test_every_markdown_cell_is_translated(original: Any, translated: Any) -> None:
    for english, other in pairs(original, translated):
        assert other.source.strip(), english.id
        assert other.source != english.source, english.id
        still_english = runs_of_words(english.source) & runs_of_words(other.source)
        assert not still_english, english.id


def test_translations_are_of_the_english_text_as_it_is_now(original: Any, translated: Any) -> None:
    assert sync_translations.stale(original, translated) == [], "translate these anew; see tools/sync_translations.py"


def test_links_code_and_shape_are_the_same(original: Any, translated: Any) -> None:
    for english, other in pairs(original, translated):
        assert Counter(LINK.findall(other.source)) == Counter(LINK.findall(english.source)), english.id
        assert FENCE.findall(other.source) == FENCE.findall(english.source), english.id
        spans = [set(CODE_SPAN.findall(FENCE.sub("", cell.source))) for cell in (english, other)]
        assert spans[0] == spans[1], english.id
        assert SHAPE.findall(other.source) == SHAPE.findall(english.source), english.id


def test_a_table_has_what_is_said_and_nothing_else(language: str) -> None:
    table = translations(language)
    assert sorted(texts_in_use() - set(table)) == [], "not translated"
    assert sorted(set(table) - texts_in_use()) == [], "never said"


def test_a_table_keeps_the_marks(language: str) -> None:
    for text, translation in translations(language).items():
        assert marks_of(translation) == marks_of(text), text


def test_a_table_is_translated_throughout(language: str) -> None:
    for text, translation in translations(language).items():
        assert translation.strip(), text
        assert translation != text or text in SAME_EVERYWHERE, text


def test_columns_of_one_table_keep_different_names(language: str) -> None:
    table = translations(language)
    for columns in (["rows", "fewest words", "median", "mean", "most words"], ["rows", "tuned right", "base right"]):
        assert len({table[column] for column in columns}) == len(columns)


def test_the_helpers_speak_the_language_of_the_notebook(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.delenv("LESSON_LANGUAGE", raising=False)
    monkeypatch.setenv("JPY_SESSION_NAME", f"lessons/prompt_tuning_tutorial.{language}.ipynb")
    assert (
        say(
            "The {name} rows are out of balance: {many} for {most}, but {few} for {least}.",
            **dict.fromkeys(("name", "many", "most", "few", "least"), 3),
        )
        != "The 3 rows are out of balance: 3 for 3, but 3 for 3."
    )


@pytest.mark.parametrize(
    ("session", "language"),
    [
        ("", "en"),
        ("/notebooks/prompt_tuning_tutorial.ipynb", "en"),
        ("prompt_tuning_tutorial.zh.ipynb", "zh"),
        ("prompt_tuning_tutorial.es-Copy1.ipynb", "es"),
        ("my.zh/notes.ipynb", "en"),
        ("notes.of.monday.ipynb", "en"),
    ],
)
def test_the_language_is_that_of_the_notebook(monkeypatch: pytest.MonkeyPatch, session: str, language: str) -> None:
    monkeypatch.delenv("LESSON_LANGUAGE", raising=False)
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    assert i18n.language() == language


def test_the_reader_can_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "prompt_tuning_tutorial.zh.ipynb")
    monkeypatch.setenv("LESSON_LANGUAGE", "es")
    assert say("Loss") == "Pérdida"


@pytest.mark.parametrize("language", ["en", "xx", "../es"])
def test_a_language_without_a_table_is_english(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", language)
    assert say("{name}, row {row}: {problem}", name="a.json", row=3, problem="x") == "a.json, row 3: x"


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lesson of two prose cells and two code cells, and its translation."""
    english = notebook(("intro", "Hello"), ("load", 1), ("about", "Now look"), ("show", 2))
    spanish = notebook(("intro", "Hola"), ("load", 1), ("about", "Ahora mira"), ("show", 2))
    for cell in english["cells"] + spanish["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": f"output of {cell['source']}"}]
            cell["execution_count"] = 1
    for cell, original in zip(spanish["cells"], english["cells"], strict=True):
        if cell["cell_type"] == "markdown":
            cell["metadata"]["translates"] = sync_translations.fingerprint(original["source"])
    monkeypatch.setattr(sync_translations, "NOTEBOOKS", tmp_path)
    save(tmp_path / "lesson.ipynb", english)
    save(tmp_path / "lesson.es.ipynb", spanish)
    return tmp_path


def notebook(*cells: tuple[str, str | int]) -> dict[str, Any]:
    """A notebook: prose where a cell is text, code where it is a number."""
    made: list[dict[str, Any]] = [
        {"id": name, "cell_type": "markdown", "metadata": {}, "source": content}
        if isinstance(content, str)
        else code(name, content)
        for name, content in cells
    ]
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def code(name: str, number: int) -> dict[str, Any]:
    plain: dict[str, Any] = {"metadata": {}, "outputs": [], "execution_count": None}
    return {"id": name, "cell_type": "code", "source": f"x = {number}", **plain}


def save(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def sync(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["sync_translations.py", *arguments])
    sync_translations.main()


def test_sync_leaves_notebooks_in_step_alone(
    copies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (copies / "lesson.es.ipynb").read_bytes()
    sync(monkeypatch)
    assert (copies / "lesson.es.ipynb").read_bytes() == before
    assert capsys.readouterr().out == "lesson.es.ipynb: all is translated\n"


def test_sync_copies_code_and_keeps_only_outputs_that_are_still_its_own(
    copies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    english = load(copies / "lesson.ipynb")
    intro, first, about, show = english["cells"]
    show["source"] = "x = 3"
    show["metadata"] = {"tags": ["nbval-ignore-output"]}
    save(copies / "lesson.ipynb", {**english, "cells": [intro, code("new", 4), about, first, show]})
    sync(monkeypatch)
    cells = load(copies / "lesson.es.ipynb")["cells"]
    assert ["".join(cell["source"]) for cell in cells] == ["Hola", "x = 4", "Ahora mira", "x = 1", "x = 3"]
    assert [bool(cell.get("outputs")) for cell in cells] == [False, False, False, True, False]
    assert cells[-1]["metadata"] == {"tags": ["nbval-ignore-output"]}
    said = capsys.readouterr().out
    assert "copied new" in said
    assert "copied show" in said
    assert "order" in said
    assert "copied load" not in said


def test_sync_names_the_prose_that_needs_a_translator_until_it_is_done(
    copies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    english = load(copies / "lesson.ipynb")
    changed = copy.deepcopy(english)
    changed["cells"][2]["source"] = "Now look closely"
    changed["cells"][1:2] = notebook(("why", "Because"))["cells"]
    save(copies / "lesson.ipynb", changed)
    sync(monkeypatch)
    said = capsys.readouterr().out
    assert "removed load" in said
    assert "to translate: why, about" in said
    with pytest.raises(SystemExit, match="still in English"):
        sync(monkeypatch, "--done", "why", "--notebook", "lesson.es.ipynb")
    with pytest.raises(SystemExit, match="no markdown cell 'show'"):
        sync(monkeypatch, "--done", "show", "--notebook", "lesson.es.ipynb")
    with pytest.raises(SystemExit):
        sync(monkeypatch, "--done", "about")
    spanish = load(copies / "lesson.es.ipynb")
    spanish["cells"][1]["source"] = "Porque"
    spanish["cells"][2]["source"] = "Ahora mira bien"
    save(copies / "lesson.es.ipynb", spanish)
    capsys.readouterr()
    sync(monkeypatch, "--done", "why", "about", "--notebook", "lesson.es.ipynb")
    assert capsys.readouterr().out == "lesson.es.ipynb: all is translated\n"


def test_sync_tells_notebooks_with_the_same_cells_apart(
    copies: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lesson.ipynb", "lesson.es.ipynb"):
        (copies / f"other_{name}").write_bytes((copies / name).read_bytes())
    for name in ("lesson.ipynb", "other_lesson.ipynb"):
        english = load(copies / name)
        english["cells"][2]["source"] = "Now look closely"
        save(copies / name, english)
    sync(monkeypatch, "--done", "about", "--notebook", "other_lesson.es.ipynb")
    assert capsys.readouterr().out.splitlines() == [
        "lesson.es.ipynb: to translate: about",
        "other_lesson.es.ipynb: all is translated",
    ]
