"""A notebook that was written for a large model runs unchanged, and learns, on the small one that is really there."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from prompt_tuning_helpers.lesson import reviews_path
from tests.support.chances import LONG
from tests.support.environment import placeless
from tests.support.servers import serve_command, start_runtime

NOTEBOOK = Path(__file__).parent / "old_notebook" / "satisfaction.ipynb"
ALIAS = "ibm/granite-13b-instruct-v2"
LEAST_ACCURACY = 0.93

pytestmark = pytest.mark.slow


def write_reviews(folder: Path, rows: int | None = None) -> None:
    """Write the reviews as such a notebook has them: the test prompts have an instruction, the training rows none."""
    train, test = (json.loads(reviews_path(split).read_text(encoding="utf-8")) for split in ("train", "test"))
    for row in train:
        row["input"] = row["input"][row["input"].index("Comment:") :]
    (folder / "train.json").write_text(json.dumps(train[:rows]), encoding="utf-8")
    (folder / "test.json").write_text(json.dumps(test[:rows]), encoding="utf-8")


def run_notebook(folder: Path, model: str) -> dict[str, str]:
    """Run every cell, through the unmodified SDK, on a model that stands for Granite; give what each cell printed."""
    process, endpoint = start_runtime(folder / "state", serve_command(folder / "state", "--alias", f"{ALIAS}={model}"))
    environment = {
        **placeless(),
        "WATSONX_URL": endpoint.url,
        "WATSONX_APIKEY": endpoint.api_key,
        "WATSONX_PROJECT_ID": endpoint.project_id,
        "SSL_CERT_FILE": str(endpoint.ca_bundle),
    }
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    try:
        NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(folder)}}).execute(env=environment)
    finally:
        process.terminate()
        process.wait(60)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {cell.id: "".join(output.get("text", "") for output in cell.outputs) for cell in cells}


def test_every_cell_of_a_notebook_for_a_large_model_runs(tmp_path: Path) -> None:
    """On the tiny model, whose random weights learn nothing, as it then says."""
    write_reviews(tmp_path, rows=12)
    printed = run_notebook(tmp_path, "tiny")
    assert printed["status"].startswith("completed")
    assert "instead of learning_rate=0.001, num_epochs=12 and accumulate_steps=16" in printed["status"]
    assert re.search(r"accuracy \d\.\d{3}", printed["score"])


@pytest.mark.skipif(not LONG, reason="tunes the real model for eight passes, about seven minutes; LONG_TESTS=1 does")
@pytest.mark.timeout(2400)
def test_a_notebook_for_a_large_model_learns(tmp_path: Path) -> None:
    """On the real model; the test reviews are read only here."""
    write_reviews(tmp_path)
    printed = run_notebook(tmp_path, "smollm2")
    assert printed["status"].startswith("completed")
    assert "Nothing shows" not in printed["status"]
    accuracy = re.search(r"accuracy (\d\.\d{3})", printed["score"])
    assert accuracy
    assert float(accuracy[1]) >= LEAST_ACCURACY, printed["score"]
