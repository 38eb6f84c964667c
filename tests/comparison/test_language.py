"""Tables and sentences of the comparison in three languages: all is said, and what is stored stays English."""

import ast
import re
from pathlib import Path

import pandas as pd
import pytest

import comparison as shown
from comparison import claims, differences, judging, methods
from comparison.__main__ import RESULTS
from comparison.against import PLAIN
from comparison.hard_prompts import WORDINGS
from comparison.language import listed, say, whole
from comparison.plan import FULL, Measurement
from comparison.results import Comparison, load, read_reviews
from comparison.tables import NONE
from prompt_tuning_helpers.i18n import translations

from ..test_translations import marks_of
from .made_up import comparison

PACKAGE = Path(shown.__file__).parent
LANGUAGES = ["es", "zh"]
VERDICTS = {judging.HOLDS, judging.FAILS, judging.UNTOLD, judging.IN_PART}
TITLES = {method.title for method in methods.METHODS}

# Texts that ``say`` is not given as literals, by file and the code that it is given.
INDIRECT = {
    ("against.py", "PLAIN"): {PLAIN},
    ("against.py", "name"): {review["phenomenon"] for review in read_reviews(FULL)} - {PLAIN},
    ("against.py", "verdict(first, second, by)"): {
        differences.BETTER,
        differences.WORSE,
        differences.UNTOLD,
        differences.SAME,
    },
    ("against.py", "found.method.title"): TITLES,
    ("against.py", "each.method.title"): TITLES,
    ("against.py", "second.method.title"): TITLES,
    ("claims.py", "claim.verdict"): VERDICTS,
    ("claims.py", "part.verdict"): VERDICTS,
    ("claims.py", "COUNTED[kind][found[kind] > 1]"): {text for both in claims.COUNTED.values() for text in both},
    ("claims.py", "sentence"): set(claims.CHEAPER.values()),
    ("claims.py", "LITTLE[best]"): set(judging.LITTLE.values()),
    ("differences.py", "NO_DIFFERENCE"): {differences.NO_DIFFERENCE},
    ("differences.py", "MORE_SEEDS"): {differences.MORE_SEEDS},
    ("judging.py", "name"): {*judging.COSTS, *judging.WRITTEN.values(), *judging.ADDED.values()},
    ("judging.py", "LITTLE[rival]"): set(judging.LITTLE.values()),
    ("judging.py", "text"): set(judging.COMPARED.values()),
    ("judging.py", "AGAINST[rival]"): set(judging.AGAINST.values()),
    ("language.py", "joint"): {"{all} and {last}", "{all} or {last}"},
    ("sentences.py", "found.method.title"): TITLES,
    ("tables.py", "found.method.title"): TITLES,
    ("tables.py", "comparison.plan.method(other).title"): TITLES,
}
SAME_EVERYWHERE = {"LoRA", "TF-IDF"}
SAME_IN_SPANISH = {", ", "; ", "{number} %", "{number}. {claim}: {verdict}."}
# Names that stay as they are: of what the code has, and of units.
NAMES = {word for name in (*WORDINGS, *methods.TEMPLATES) for word in name.split("-")}
NAMES |= {"LoRA", "TF", "IDF", "MiB", "MB", "kB", "ms", "NVIDIA", "HBM3", "AMD", "EPYC", "GB"}


@pytest.fixture(scope="module")
def stored() -> Comparison:
    return load(RESULTS)


def _texts_in_use() -> set[str]:
    """All that the files directly in the package say."""
    texts = set[str]()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                text = node.args[0]
                is_literal = isinstance(text, ast.Constant)
                texts |= {str(text.value)} if is_literal else INDIRECT[path.name, ast.unparse(text)]  # type: ignore[attr-defined]
    return texts


def _tables(found: Comparison) -> list[pd.DataFrame]:
    """All tables, as the notebook shows them; not their cells where these are prompts or tokens."""
    names = [method.name for method in found.plan.methods]
    return [
        shown.show_claims(found),
        shown.show_methods(found),
        shown.show_costs(found),
        shown.show_little_data(found),
        shown.show_searches(found),
        shown.show_phenomena(found, names),
        shown.show_files(found, names),
        shown.show_accuracy_against(found, "prompt-100", names),
        shown.show_accuracy_against(found, "prompt-100", ["zero-shot", "few-shot"], rows=[20, 80], by="writing"),
        shown.show_wordings().iloc[:0],
        shown.show_templates().iloc[:0],
        shown.show_virtual_tokens(found).iloc[:0],
    ]


def _sentences(found: Comparison) -> list[str]:
    names = [method.name for method in found.plan.methods]
    return [
        shown.describe_machines(found),
        shown.describe_answers(found),
        shown.describe_opened(found),
        *(shown.describe_choice(found, name) for name in names),
    ]


def _written_in(table: pd.DataFrame) -> str:
    """All the text of a table: the names of rows and columns, and the cells."""
    labels = [*table.index.names, *table.columns, *table.index.to_frame().to_numpy().ravel()]
    return "\n".join(str(text) for text in (*labels, *table.to_numpy().ravel()))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z][A-Za-z0-9]+", text))


def test_a_table_of_translations_has_what_is_said_and_nothing_else(language: str) -> None:
    table, in_use = translations(language, "comparison"), _texts_in_use()
    assert sorted(in_use - set(table) - set(translations(language))) == [], "not translated"
    assert sorted(set(table) - in_use) == [], "never said"


def test_translations_keep_the_marks_and_differ_from_the_english(language: str) -> None:
    same = SAME_EVERYWHERE | (SAME_IN_SPANISH if language == "es" else set())
    for text, translation in translations(language, "comparison").items():
        assert marks_of(translation) == marks_of(text), text
        assert translation.strip(" ") or not text.strip(" "), text
        assert (translation == text) == (text in same), text


def test_nothing_is_shown_in_english(stored: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chinese shows it: what has letters there is a name, or was not said."""
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    for table in _tables(stored):
        assert _words(_written_in(table)) <= NAMES | {"None", "F1"}, table.columns
    for sentence in _sentences(stored):
        assert _words(sentence) <= NAMES | {"H100", "80GB"}, sentence


def test_tables_have_the_same_shape_in_each_language(stored: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, texts = [], []
    for name in ("en", *LANGUAGES):
        monkeypatch.setenv("LESSON_LANGUAGE", name)
        tables = _tables(stored)
        shapes.append([table.shape for table in tables])
        texts.append([_written_in(table) for table in tables])
        for table in tables:
            assert table.columns.is_unique
            assert table.index.is_unique
    assert shapes[0] == shapes[1] == shapes[2]
    for english, *others in zip(*texts, strict=True):
        # Numbers come in another order where the language has it so, but are the same.
        wanted = sorted(re.findall(r"\d+\.\d+", english))
        for text in others:
            assert sorted(re.findall(r"\d+\.\d+", text)) == wanted


def test_answers_are_sentences_of_their_language(monkeypatch: pytest.MonkeyPatch) -> None:
    made = comparison(FULL, {"prompt-100": 0.95, "prefix-20": 0.5, "zero-shot": 0.99, "few-shot": 0.99})
    monkeypatch.setenv("LESSON_LANGUAGE", "es")
    first, *lines = shown.describe_answers(made).splitlines()
    assert first.startswith("¿Se sostiene? De 4 afirmaciones, ")
    assert first.endswith(", según 720 reseñas de prueba y 5 semillas.")
    assert len(lines) == 4
    assert all(re.search(r"[^.]\.$", line) for line in lines)
    monkeypatch.setenv("LESSON_LANGUAGE", "zh")
    lines = shown.describe_answers(made).splitlines()
    assert len(lines) == 5
    assert all(line.endswith("。") and "。 " not in line for line in lines)
    assert not re.search(r"[\u4e00-\u9fff] ?[,.;:](?!\d)", "".join(lines)), "marks of Chinese, not of English"


def test_names_in_results_stay_english(language: str) -> None:
    candidate = methods.Recipe(0.01, 4, shows_examples=True)
    assert candidate.describe() == "learning rate 0.01, 4 passes, template feels, after solved examples"
    assert candidate.describe(say) != candidate.describe()
    job = Measurement(FULL.method("few-shot"), 320, 0, methods.WrittenPrompt("chat", 4, 1))
    assert job.name == "measurement: few-shot, 320 rows, seed 0, chat, 4 examples, draw 2"
    assert job.candidate.describe(say) != job.candidate.describe()
    assert {part.verdict for claim in judging.judge(comparison(FULL)) for part in claim.parts} <= {
        *VERDICTS,
        NONE,
    }


@pytest.mark.parametrize(
    ("name", "three", "either", "numbers"),
    [
        ("en", "a, b and c", "a, b or c", ["999", "2,300", "57,600", "134,515,008"]),
        ("es", "a, b y c", "a, b ni c", ["999", "2300", "57\u00a0600", "134\u00a0515\u00a0008"]),
        ("zh", "a、b、c", "a、b、c", ["999", "2,300", "57,600", "134,515,008"]),
    ],
)
def test_lists_and_large_numbers(
    monkeypatch: pytest.MonkeyPatch, name: str, three: str, either: str, numbers: list[str]
) -> None:
    monkeypatch.setenv("LESSON_LANGUAGE", name)
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == three
    assert listed(["a", "b", "c"], "{all} or {last}") == either
    assert [whole(number) for number in (999, 2_300, 57_600, 134_515_008)] == numbers
