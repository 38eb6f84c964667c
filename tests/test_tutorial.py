"""The lesson on the real model, from the first cell to the last: the tuned model beats the base model."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import execute

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_kernel_finds_the_settings_beside_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in JupyterLab, where the notebook's folder is the working folder; the kernel's is ``build/`` here."""
    monkeypatch.setattr(execute, "BUILD", tmp_path / "build")
    monkeypatch.setenv("JPY_SESSION_NAME", "")
    (tmp_path / ".env").write_text("WATSONX_URL=beside")
    show = "from prompt_tuning_helpers._settings import read_settings\nprint(read_settings().url.value)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(show)])  # type: ignore[no-untyped-call]
    nbformat.write(notebook, tmp_path / "a.ipynb")  # type: ignore[no-untyped-call]
    for name in ("WATSONX_APIKEY", "WATSONX_URL", "WATSONX_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    executed = execute.execute(tmp_path / "a.ipynb")
    (cell,) = nbformat.read(executed, as_version=4).cells  # type: ignore[no-untyped-call]
    assert cell.outputs[0].text == "beside\n"


def test_a_link_to_settings_follows_them_and_replaces_no_file(tmp_path: Path) -> None:
    link, settings = tmp_path / "link", tmp_path / "settings"
    execute.link_settings(link, settings)
    assert not link.is_symlink()
    settings.touch()
    execute.link_settings(link, settings)
    assert link.samefile(settings)
    settings.unlink()
    execute.link_settings(link, settings)
    assert not link.is_symlink()
    link.write_text("a file of the user's")
    settings.touch()
    execute.link_settings(link, settings)
    assert link.read_text() == "a file of the user's"


def test_the_readme_has_the_figures_and_the_picture_of_the_stored_lesson() -> None:
    lesson = nbformat.read(execute.LESSON, as_version=4)  # type: ignore[no-untyped-call]
    outputs = {cell.id: cell.outputs for cell in lesson.cells if cell.cell_type == "code"}
    table = execute.TABLE.search(execute.README.read_text(encoding="utf-8"))
    assert table is not None
    in_readme = [re.findall(r"[^|]+", row) for row in table[0].splitlines()[2:]]
    shown = outputs["ask-rivals"][0].data["text/plain"].splitlines()[2:]
    in_lesson = [re.split(r"\s{2,}", row) for row in shown]
    assert {tuple(cell.strip() for cell in row) for row in in_readme} == {
        (name, accuracy.split()[0], f1.split()[0]) for name, accuracy, f1 in in_lesson
    }
    assert base64.b64decode(outputs["plot-scores"][0].data["image/png"]) == execute.PICTURE.read_bytes()


def test_scores_become_the_rows_of_the_table() -> None:
    scores = {"tuned": {"accuracy": 1, "f1": 0.5}, "rivals": {"words": {"accuracy": 0.25, "f1": 0}}}
    rows = execute.score_rows(scores)
    assert rows == "| tuned model | 1.000 | 0.500 |\n| words | 0.250 | 0.000 |\n"
    readme = "a\n\n| 9 test reviews | accuracy | F1 |\n|---|---|---|\n| old | 1 | 1 |\n| older | 1 | 1 |\n\nz\n"
    assert execute.TABLE.sub(lambda found: found[1] + rows, readme).splitlines()[4:] == [*rows.splitlines(), "", "z"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_tuned_model_beats_the_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATSONX_APIKEY", "WATSONX_URL"):
        monkeypatch.setenv(name, "")  # also if a file beside the notebook names an account
    monkeypatch.delenv("LOCAL_WATSONX_MODEL", raising=False)
    monkeypatch.setenv("LOCAL_WATSONX_STATE", str(tmp_path / "state"))
    run = subprocess.run([sys.executable, str(ROOT / "tools" / "execute.py")], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    scores = json.loads((ROOT / "build" / "scores.json").read_text(encoding="utf-8"))
    assert scores["n"] == 120
    assert scores["tuned"]["accuracy"] > scores["base"]["accuracy"] + 0.2
    assert scores["tuned"]["f1"] > scores["base"]["f1"]
    assert scores["rivals"]["instruction"] == scores["base"]
    best = max(rival["accuracy"] for rival in scores["rivals"].values())
    assert scores["base"]["accuracy"] + 0.2 < best < scores["tuned"]["accuracy"], "a rival that is no straw man"
    executed = json.loads((ROOT / "build" / "prompt_tuning_tutorial.ipynb").read_text(encoding="utf-8"))
    outputs = {cell["id"]: cell["outputs"] for cell in executed["cells"] if cell["cell_type"] == "code"}
    rival = "".join(outputs["best-rival"][0]["text"]).splitlines()[0]
    verdict = "".join(outputs["compare"][0]["data"]["text/plain"])
    assert f'"{rival}" alone' in verdict, verdict
    assert "exact McNemar's test, p" in verdict, verdict
