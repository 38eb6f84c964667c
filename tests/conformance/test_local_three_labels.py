"""The lesson's ten lines for three labels run as they stand there."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import datasets, deployed, evaluate, find_settings

LESSON = Path(__file__).parents[2] / "notebooks" / "prompt_tuning_tutorial.ipynb"
WORDS = {"0": "bad", "1": "good", "2": "middling"}


def test_three_labels_take_ten_lines(
    client: Any,
    experiment: Any,
    base_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebook: Any = nbformat.read(LESSON, as_version=4)  # type: ignore[no-untyped-call]
    (cell,) = [cell for cell in notebook.cells if cell.id == "exercises"]
    (lines,) = re.findall(r"```python\n(.*?)```", cell.source, re.DOTALL)
    assert len(lines.splitlines()) == 10
    monkeypatch.chdir(tmp_path)
    rows = [f"{word} place {place},{label}" for place in range(40) for label, word in WORDS.items()]
    Path("three.csv").write_text("\n".join(["input,output", *rows]) + "\n", encoding="utf-8")
    names = {
        "client": client,
        "experiment": experiment,
        "base_model": base_model,
        "DataConnection": DataConnection,
        "ModelInference": ModelInference,
        "datasets": datasets,
        "deployed": deployed,
        "evaluate": evaluate,
        "find_settings": find_settings,
    }
    exec(lines, names)
    client.training.cancel(names["tuner"].id, hard_delete=True)
    printed = capsys.readouterr().out
    assert "Macro F1 (95 % interval)" in printed, "as of more than two labels"
    assert "/ 18" in printed, "the validation rows, 15 % of 120"
