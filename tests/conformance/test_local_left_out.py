"""A training whose data has rows that are too long: the unmodified SDK completes it, and people are told."""

import json
from pathlib import Path
from typing import Any

import pytest
from ibm_watsonx_ai.helpers import DataConnection

from prompt_tuning_helpers import watch
from prompt_tuning_helpers.engine.verdict import Verdict
from tests.support.lesson import ROWS

LONG = [{"input": "The groomer was kind. " * 20, "output": "1"}] * 2


@pytest.mark.parametrize("long_rows", [LONG, []])
def test_rows_that_are_left_out_are_told(
    client: Any,
    experiment: Any,
    base_model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    long_rows: list[dict[str, str]],
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([*ROWS, *long_rows]))
    asset = client.data_assets.get_id(client.data_assets.create("left out", str(tmp_path / "rows.json")))
    settings = {"verbalizer": "classify {{input}}", "max_input_tokens": 64, "num_epochs": 2}
    tuner = experiment.prompt_tuner(name="left out", task_id="classification", base_model=base_model, **settings)
    details = tuner.run([DataConnection(data_asset_id=asset)], background_mode=False)
    status = details["entity"]["status"]
    assert status["state"] == tuner.get_run_status() == "completed"
    assert tuner.get_model_id() == details["entity"]["model_id"]
    assert tuner.summary()["loss"].iloc[0] > 0
    notice = "2 of 14 rows were left out: longer than max_input_tokens=64 with the verbalizer. "
    notice += "Raise max_input_tokens, or shorten them."
    notices = [notice] if long_rows else []
    if "verdict" in status:  # random weights learn nothing, as a rule
        notices.append(Verdict(**status["verdict"]).text())
    assert status.get("message") == ({"level": "warning", "text": " ".join(notices)} if notices else None)
    capsys.readouterr()
    watch(tuner)
    assert capsys.readouterr().out.splitlines()[1:] == notices
    client.repository.delete(tuner.get_model_id())
    client.training.delete(tuner.id)
    client.data_assets.delete(asset)
