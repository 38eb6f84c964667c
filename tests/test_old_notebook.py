"""A notebook that was written for a large model learns unchanged on the small one that is really there."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from prompt_tuning_helpers.lesson import reviews_path
from tests.support.environment import placeless
from tests.support.servers import serve_command, start_runtime

NOTEBOOK = Path(__file__).parent / "old_notebook" / "satisfaction.ipynb"
ALIAS = "ibm/granite-13b-instruct-v2"
LEAST_ACCURACY = 0.93


def write_reviews(folder: Path) -> None:
    """The reviews as such a notebook has them: an instruction in the test prompts, none in the training rows."""
    train, test = (json.loads(reviews_path(split).read_text(encoding="utf-8")) for split in ("train", "test"))
    for row in train:
        row["input"] = row["input"][row["input"].index("Comment:") :]
    (folder / "train.json").write_text(json.dumps(train), encoding="utf-8")
    (folder / "test.json").write_text(json.dumps(test), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_notebook_for_a_large_model_learns(tmp_path: Path) -> None:
    """Every cell, through the unmodified SDK, with the real model; the test reviews are read only here."""
    write_reviews(tmp_path)
    state = tmp_path / "state"
    process, endpoint = start_runtime(state, serve_command(state, "--alias", f"{ALIAS}=smollm2"))
    try:
        notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
        environment = {
            **placeless(),
            "WATSONX_URL": endpoint.url,
            "WATSONX_APIKEY": endpoint.api_key,
            "WATSONX_PROJECT_ID": endpoint.project_id,
            "SSL_CERT_FILE": str(endpoint.ca_bundle),
        }
        client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}})
        client.execute(env=environment)
    finally:
        process.terminate()
        process.wait(60)
    printed = {
        cell.id: "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    assert printed["status"].startswith("completed")
    assert "instead of learning_rate=0.001, num_epochs=12" in printed["status"]
    assert "Nothing shows" not in printed["status"]
    accuracy = re.search(r"accuracy (\d\.\d{3})", printed["score"])
    assert accuracy
    print(printed["score"])
    assert float(accuracy[1]) >= LEAST_ACCURACY
