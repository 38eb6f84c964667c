"""Prompt tuning by hand, on the real model: only the soft prompt is trained, and it learns the task.

On the tiny model, ``test_notebooks.py`` runs every cell of the notebook.
"""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.chances import LONG
from tools import execute

LEAST_ACCURACY = 0.85
# Cells that show the same on any computer with this base model.
EXACT = (
    "hard-prompt",
    "model",
    "tokens",
    "embedding",
    "reviews",
    "freeze",
    "soft-prompt-start",
    "same",
    "concatenate",
    "backward",
    "untouched",
)


def outputs_of(path: Path) -> dict[str, str]:
    """What each code cell printed and gave, by its id."""
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return {
        cell.id: "".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="tunes the real model by hand, about five minutes; LONG_TESTS=1 does")
@pytest.mark.timeout(1800)
def test_the_soft_prompt_made_by_hand_learns_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "BUILD", tmp_path / "build")
    monkeypatch.setenv("JPY_SESSION_NAME", "")
    monkeypatch.delenv("LOCAL_WATSONX_MODEL", raising=False)
    notebook = execute.NOTEBOOKS / "prompt_tuning_from_scratch.ipynb"
    shown, stored = outputs_of(execute.execute(notebook)), outputs_of(notebook)

    for name in EXACT:
        assert shown[name] == stored[name], name
    assert (shown["freeze"], shown["same"], shown["untouched"]) == ("0", "True", "[]")

    before, after = map(float, shown["update"].split(" -> "))
    assert after < before
    losses = [float(line.split()[1]) for line in shown["tune"].splitlines()]
    assert losses[-1] < losses[0] / 2

    right_before, right_after = (right_of(shown[name]) for name in ("hard-answers", "soft-answers"))
    assert right_after > right_before + 20  # of 80
    accuracy = re.search(r"/ 120 = ([\d.]+)", shown["test"])
    assert accuracy
    assert float(accuracy[1]) >= LEAST_ACCURACY, shown["test"]


def right_of(shown: str) -> int:
    """How many answers were right, from what a cell gave: a count of answers, the right ones, and the number asked."""
    counted = ast.literal_eval(re.sub(r"Counter\((\{.*?\})\)", r"\1", shown, flags=re.DOTALL))
    assert counted[2] == 80
    right: int = counted[1]
    return right
