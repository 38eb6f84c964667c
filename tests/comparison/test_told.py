"""What README, datasheet and lesson tell of the comparison is what its stored results say."""

from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pytest

from comparison.differences import difference, hits_of
from comparison.results import Comparison, load

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
ON_THE_FILES = ("zero-shot", "few-shot-written", "prompt-100", "lora-8", "full", "tf-idf")


@cache
def stored() -> Comparison:
    return load(NOTEBOOKS / "comparison" / "results.jsonl")


def accuracy(method: str) -> str:
    return f"{stored().of(method).accuracy:.3f}"


def on_the_files(method: str) -> tuple[float, float]:
    """Give a method's accuracy on the lesson's test reviews, and on those that were held back."""
    hits = hits_of(stored().of(method))
    is_held_back = np.array(["holdout" in review["file"] for review in stored().reviews])
    return hits[:, ~is_held_back].mean(), hits[:, is_held_back].mean()


def words(text: str) -> str:
    """Give a text with single blanks, however its lines break."""
    return " ".join(text.split())


def cell(notebook: str, name: str) -> str:
    found = nbformat.read(NOTEBOOKS / notebook, as_version=4)  # type: ignore[no-untyped-call]
    return words(next(cell.source for cell in found.cells if cell.id == name))


def test_the_readme_tells_what_was_measured() -> None:
    text = words((ROOT / "README.md").read_text(encoding="utf-8"))
    for method, name in {
        "prefix-20": "prefix tuning",
        "lora-8": "LoRA",
        "full": "full fine-tuning",
    }.items():
        assert f"{name} ({accuracy(method)})" in text
    assert f"prompt tuning ({accuracy('prompt-20')} with 20 virtual tokens, {accuracy('prompt-100')} with 100)" in text
    assert f"prompt tuning is less sure: {accuracy('prompt-100-random')}." in text
    assert f"the best of them has {accuracy('zero-shot')}" in text
    assert f"prompts with examples have {stored().of('few-shot-written').written_accuracy:.3f}" in text
    old, new = on_the_files("prompt-100")
    assert f"prompt tuning has {new:.3f} in place of {old:.3f}" in text
    fallen = [100 * (old - new) for old, new in map(on_the_files, ON_THE_FILES)]
    assert f"by {min(fallen):.0f} to {max(fallen):.0f} points" in text
    soft, full = stored().cost("prompt-100"), stored().cost("full")
    assert f"keeps {soft.saved_bytes / 1e3:.0f} kB" in text
    assert f"keeps {full.saved_bytes / 1e6:.0f} MB" in text
    assert soft.tuning_memory_mb is not None
    assert full.tuning_memory_mb is not None
    assert f"needs {soft.tuning_memory_mb / full.tuning_memory_mb:.2f} times its memory" in text
    assert 0.45 < soft.tuning_seconds / full.tuning_seconds < 0.6  # "about half"
    assert 0.9 < soft.tuning_seconds / stored().cost("lora-8").tuning_seconds < 1.11  # "about as long"


@pytest.mark.parametrize("method", ON_THE_FILES)
def test_the_datasheet_tells_how_the_files_differ(method: str) -> None:
    old, new = on_the_files(method)
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    assert f"| {stored().of(method).method.title} | {old:.3f} | {new:.3f} |" in text


@pytest.mark.parametrize("ending", ["", ".es", ".zh"])
def test_the_lesson_tells_what_was_measured(ending: str) -> None:
    verdict = cell(f"prompt_tuning_tutorial{ending}.ipynb", "about-verdict")
    found, (low, high) = difference(stored().of("prompt-100"), stored().of("few-shot-written"), "writing")
    old, new = on_the_files("prompt-100")
    figures = (f"{100 * found:.0f}", f"{100 * low:.0f}", f"{100 * high:.0f}", f"{new:.2f}", f"{old:.2f}")
    assert all(figure in verdict for figure in figures)
    exercises = cell(f"prompt_tuning_tutorial{ending}.ipynb", "exercises")
    assert accuracy("prompt-20") in exercises
    assert accuracy("prompt-100") in exercises
