"""The notebooks: clean as stored, and every cell runs again in a fresh kernel on the tiny model."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from prompt_tuning_helpers.runtime.endpoint import recorded_endpoint
from tests.support.environment import SUPPORT, offline_environment

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COMPARISON = ROOT / "notebooks" / "comparison"  # what the comparison of methods imports and reads

# Cells whose output is not compared, and why. tests/test_from_scratch.py compares some with the base model's own.
NOT_COMPARED = {
    "model": "the number of weights depends on the base model",
    "tokens": "the tokens depend on the base model",
    "embedding": "the shape depends on the base model",
    "ask": "the shape and the answer depend on the base model",
    "hard-answers": "the answers depend on the base model",
    "soft-prompt-start": "the shape depends on the base model",
    "concatenate": "the shapes depend on the base model",
    "loss": "the loss depends on the base model",
    "backward": "the shape depends on the base model",
    "update": "the losses depend on the base model",
    "soft-answers": "the answers depend on the base model",
    "test": "the score depends on the base model",
    "your-turn": "the probabilities depend on the base model",
    "summary": "the loss depends on the base model",
    "learning-curve": "the SDK draws the figure several times over, and nbval does not follow",
    "ask-tuned": "the answers depend on the base model",
    "ask-base": "the answers depend on the base model",
    "compare": "the scores depend on the base model",
    "base-right": "how many answers are right depends on the base model",
    "ask-in-words": "the scores depend on the base model",
    "ask-rivals": "the scores depend on the base model",
    "loss-curve": "a sentence is printed where a service keeps no epochs",
    "probabilities": "nbval compares no pictures, and the tiny model may give none",
    "plot-scores": "how many answers are unusable depends on the base model",
    "phenomena": "the scores depend on the base model",
    "count-tokens": "the tokens depend on the base model",
    "rivals": "the scores depend on the base model",
    "best-rival": "which is best depends on the base model",
    "tune": "the losses, and how many rows are short enough, depend on the base model",
    "validation-scores": "the scores depend on the base model",
    "mistakes": "the answers depend on the base model",
    "scores": "how many models are drawn depends on which rival is best",
    "confusion": "whether there is a column of unusable answers depends on the base model",
    "decide": "the scores and the times differ",
    "use": "the answers depend on the base model",
}

# The calls of the SDK that the lesson teaches, in their order.
TAUGHT = [
    "APIClient(",
    "set.default_project(",
    "PromptTunableModels.show()",
    "ModelInference(model_id=",
    "base.generate_text(",
    "data_assets.create(",
    "TuneExperiment(",
    ".prompt_tuner(",
    "DataConnection(",
    "prompt_tuner.run(",
    "get_model_id()",
    "deployments.create(\n",
    "SERVING_NAME",
    "ModelInference(deployment_id=",
    "plot_learning_curve()",
    "get_run_status()",
    ".summary()",
    "tuned.generate_text(",
]

PICTURE_DATA = re.compile(r"base64,[A-Za-z0-9+/=\s]+")
PICTURE = re.compile(r"!\[([^]]*)\]\(([^)\s]+)\)")

UNCLEAN = {
    "an absolute path": r"(?<![\w.:/])/(?:home|root|Users|tmp|work|var|opt|usr)/|[A-Z]:\\\\",
    "a token": r"eyJ[A-Za-z0-9_-]{10,}\.",
    "a traceback": r"Traceback \(most recent call last\)",
    "remains of progress": r"\r|it/s|\d+%\|",
    "an object's address": r"\bat 0x[0-9a-f]{6,}",
}


def notebook_of(path: Path) -> Any:
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def notebook(path: Path) -> Any:
    return notebook_of(path)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts_of(output: Any) -> str:
    data = output.get("data", {})
    texts = [PICTURE_DATA.sub("", str(text)) for kind, text in data.items() if not kind.startswith("image/")]
    return "\n".join([output.get("text", ""), *map(str, texts)])


def test_all_notebooks_are_there() -> None:
    translated = {"prompt_tuning_tutorial", "tune_on_your_own_data", "prompt_tuning_from_scratch"}
    names = translated | {"compare_tuning_methods"}
    assert names <= {path.stem for path in NOTEBOOKS}


def test_the_notebook_is_valid_and_its_cell_ids_speak(notebook: Any) -> None:
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name) for name in ids)


def test_code_cells_are_code_in_short_lines(notebook: Any) -> None:
    for cell in code_cells(notebook):
        ast.parse(cell.source)
        assert max(map(len, cell.source.splitlines())) <= 120


def test_the_lesson_shows_the_calls_of_the_sdk_in_order() -> None:
    source = "\n".join(cell.source for cell in code_cells(notebook_of(ROOT / "notebooks/prompt_tuning_tutorial.ipynb")))
    after_imports = source[source.index("connection = ") :]
    places = [after_imports.find(call) for call in TAUGHT]
    assert -1 not in places, TAUGHT[places.index(-1)]
    assert places == sorted(places)


def test_only_cells_with_a_reason_are_not_compared(notebook: Any) -> None:
    tagged = {cell.id for cell in notebook.cells if "nbval-ignore-output" in cell.metadata.get("tags", [])}
    assert tagged <= set(NOT_COMPARED)
    others = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])} - {"nbval-ignore-output"}
    assert not others


def test_stored_outputs_are_clean(notebook: Any) -> None:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert output.get("name") != "stderr", cell.id
            text = texts_of(output)
            for what, pattern in UNCLEAN.items():
                assert not re.search(pattern, text), f"{cell.id} holds {what}: {text[:200]}"


def test_stored_outputs_come_from_one_run_from_top_to_bottom(notebook: Any) -> None:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_pictures_in_the_text_are_there_and_have_alternative_text(notebook: Any) -> None:
    for cell in notebook.cells:
        for alternative, picture in PICTURE.findall(cell.source) if cell.cell_type == "markdown" else []:
            assert alternative.strip(), (cell.id, picture)
            assert (ROOT / "notebooks" / picture).is_file(), (cell.id, picture)


def test_no_secret_is_in_the_source(notebook: Any) -> None:
    for cell in notebook.cells:
        assert not re.search(r"api_?key\s*=\s*[\"'][^\"']+[\"']", cell.source, re.IGNORECASE), cell.id


@pytest.mark.parametrize(
    "way_out", ["socket.create_connection(('watsonx.invalid', 443))", "httpx.get('https://watsonx.invalid')"]
)
def test_the_network_can_be_shut_off(tmp_path: Path, way_out: str) -> None:
    """What the next test relies on: the ways out, directly and through a proxy, are closed, and attempts are noted."""
    attempts = tmp_path / "attempts"
    command = [sys.executable, "-c", f"import httpx, socket; {way_out}"]
    done = subprocess.run(command, env=offline_environment(attempts), capture_output=True, text=True)
    assert "The network is off in this test" in done.stderr
    assert attempts.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_cell_runs_again(path: Path, tmp_path: Path) -> None:
    """nbval, in a copy of the folder, against the local runtime on the tiny model; no secrets, no network."""
    folder = tmp_path / "notebooks"
    shutil.copytree(COMPARISON, folder / COMPARISON.name)
    shutil.copytree(ROOT / "data", tmp_path / "data")
    shutil.copy(path, folder)
    attempts = tmp_path / "attempts"
    environment = offline_environment(attempts) | {
        "LOCAL_WATSONX_MODEL": "tiny",
        "LOCAL_WATSONX_STATE": str(tmp_path / "state"),
        "JPY_SESSION_NAME": path.name,  # as Jupyter does; it tells the helpers the language of the lesson
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.support.nbval_strays"]
    command += ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(SUPPORT / "nbval_sanitize.cfg")]
    command += ["--nbval-cell-timeout", "300", "--rootdir", str(folder), "-c", os.devnull, path.name]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert not attempts.exists(), "somebody tried to use the network: " + attempts.read_text(encoding="utf-8")
    # nbval kills its kernel; the runtime that the notebook started must notice and end.
    deadline = time.monotonic() + 60
    while recorded_endpoint(tmp_path / "state") is not None:
        assert time.monotonic() < deadline, "the runtime outlived the notebook's kernel"
        time.sleep(0.5)
