"""The lesson on the real model, from the first cell to the last: the tuned model beats the base model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(1200)
def test_the_tuned_model_beats_the_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATSONX_APIKEY", "WATSONX_URL", "LOCAL_WATSONX_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOCAL_WATSONX_STATE", str(tmp_path / "state"))
    run = subprocess.run([sys.executable, str(ROOT / "tools" / "execute.py")], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    scores = json.loads((ROOT / "build" / "scores.json").read_text(encoding="utf-8"))
    assert scores["n"] == 120
    assert scores["tuned"]["accuracy"] > scores["base"]["accuracy"] + 0.2
    assert scores["tuned"]["f1"] > scores["base"]["f1"]
    executed = json.loads((ROOT / "build" / "prompt_tuning_tutorial.ipynb").read_text(encoding="utf-8"))
    (compared,) = [cell for cell in executed["cells"] if cell["id"] == "compare"]
    verdict = "".join(compared["outputs"][0]["data"]["text/plain"])
    assert "would be rare (exact McNemar's test, p" in verdict, verdict
    assert "the tuned model is better" in verdict, verdict
