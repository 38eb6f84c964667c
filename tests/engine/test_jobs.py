"""What a tuning job leaves in its folder: soft prompts, metrics, and why there are none."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prompt_tuning_helpers.engine import EngineError, TuningSettings
from prompt_tuning_helpers.engine.__main__ import new_job
from prompt_tuning_helpers.engine.causal_model import PackedRows
from prompt_tuning_helpers.engine.epochs import epoch_folder, kept_epochs
from prompt_tuning_helpers.engine.job import run_job
from prompt_tuning_helpers.engine.job_folder import METRICS, Job, RowCounts
from prompt_tuning_helpers.engine.llama import LlamaModel
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.metrics import MetricsReader
from prompt_tuning_helpers.engine.rows import EncodedRows
from prompt_tuning_helpers.engine.soft_prompt import load
from prompt_tuning_helpers.engine.tune import tune
from prompt_tuning_helpers.engine.verdict import Verdict


def test_the_soft_prompt_of_each_epoch_is_kept(
    job: Path, tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    assert run_job(job) == 0
    assert kept_epochs(job) == [0, 1, 2]
    ends: list[Tensor] = []
    tune(tiny.model, start, data, settings, report=lambda p: ends.append(p.prompt.clone()) if p.ends_epoch else None)
    kept = [load(epoch_folder(job, epoch)) for epoch in range(3)]
    for end, one in zip(ends, kept, strict=True):
        assert torch.equal(end, one.embeddings)
        assert one.verbalizer == settings.verbalizer
    assert torch.equal(kept[-1].embeddings, load(job / "soft_prompt").embeddings)
    assert not torch.equal(kept[0].embeddings, kept[1].embeddings)


def test_of_a_long_run_only_the_first_epochs_are_kept(
    job: Path, training_file: Path, settings: TuningSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prompt_tuning_helpers.engine.job.MOST_KEPT", 2)
    assert run_job(job) == 0
    assert sorted(path.name for path in (job / "epochs").iterdir()) == ["0", "1"]


def test_epochs_that_are_done_again_are_kept_anew(job: Path, settings: TuningSettings) -> None:
    """A process that is killed after an epoch's end and before the next checkpoint does that epoch again."""
    epoch_folder(job, 0).mkdir(parents=True)
    (job / "epochs" / ".1.0123.tmp").mkdir()
    assert run_job(job) == 0
    assert sorted(path.name for path in (job / "epochs").iterdir()) == ["0", "1", "2"]
    assert load(epoch_folder(job, 0)).verbalizer == settings.verbalizer


@pytest.mark.parametrize(("batch_size", "steps"), [(4, 3), (100, 1)])
def test_metrics_have_a_record_a_step(
    job: Path, training_file: Path, settings: TuningSettings, batch_size: int, steps: int
) -> None:
    Job("tiny", "tiny", training_file, replace(settings, batch_size=batch_size)).write(job)
    assert run_job(job) == 0
    records = [json.loads(line) for line in (job / "metrics.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in records] == list(range(1, 3 * steps + 1))
    assert [record["epoch"] for record in records] == [epoch for epoch in range(3) for _ in range(steps)]
    assert records[-1]["progress"] == 1
    assert [r["timestamp"] for r in records] == sorted(r["timestamp"] for r in records)


@pytest.mark.parametrize(("most", "left_out"), [(64, 0), (23, 5)])
def test_a_job_says_how_many_rows_it_left_out(
    job: Path,
    training_file: Path,
    settings: TuningSettings,
    most: int,
    left_out: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Job("tiny", "tiny", training_file, replace(settings, max_input_tokens=most)).write(job)
    assert run_job(job) == 0
    counts = RowCounts.read(job)
    assert counts
    assert (counts.rows, counts.left_out) == (10, left_out)
    # Two labels, of one token and the end-of-text token each; those that are short enough all have the same.
    assert counts.cost_of_guessing == (None if left_out else pytest.approx(math.log(2) / 2))
    said = "5 of 10 rows were left out: longer than max_input_tokens=23 with the verbalizer."
    assert (said in caplog.text) is (left_out > 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_input_tokens": 2}, "No row is left"),
        ({"verbalizer": "nothing"}, "no {{input}} field"),
        ({"num_virtual_tokens": 2040}, "attends to at most 2048"),
    ],
)
def test_a_job_that_cannot_be_done_says_why(
    job: Path, training_file: Path, settings: TuningSettings, change: dict[str, object], message: str
) -> None:
    Job("tiny", "tiny", training_file, replace(settings, **change)).write(job)  # type: ignore[arg-type]
    assert run_job(job) == 1
    assert message in json.loads((job / "failure.json").read_text())["message"]
    assert not (job / "soft_prompt").exists()


def test_a_job_that_diverges_says_so(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_numbers(self: LlamaModel, prefix: Tensor, rows: PackedRows) -> Tensor:
        return prefix.sum() * torch.full((len(rows.labels), 259), torch.nan)

    monkeypatch.setattr(LlamaModel, "label_logits", no_numbers)
    assert run_job(job) == 1
    failure = json.loads((job / "failure.json").read_text())
    assert failure["code"] == "training_diverged"
    assert "Lower learning_rate" in failure["message"]


def test_a_job_that_learns_nothing_records_and_logs_it(
    job: Path, training_file: Path, settings: TuningSettings, caplog: pytest.LogCaptureFixture
) -> None:
    Job("tiny", "tiny", training_file, replace(settings, learning_rate=1e-6)).write(job)
    assert run_job(job) == 0
    verdict = Verdict.read(job)
    assert verdict
    assert (verdict.compared_with, verdict.cause, verdict.updates) == ("frequencies", "slow", 9)
    assert verdict.reference == pytest.approx(math.log(2) / 2)
    last = [record.loss for record in MetricsReader(job / METRICS).read()][-3:]
    assert verdict.loss == pytest.approx(sum(loss * rows for loss, rows in zip(last, (4, 4, 2), strict=True)) / 10)
    assert verdict.text() in caplog.text


def test_anew_job_does_not_take_an_old_ones_folder(job: Path, training_file: Path) -> None:
    before = (job / "job.json").read_text()
    with pytest.raises(EngineError, match="holds a job with other settings"):
        new_job(job, training_file, "tiny", ["num_epochs=9"])
    assert (job / "job.json").read_text() == before


@pytest.mark.parametrize(
    ("setting", "message"), [("epochs=3", "no setting 'epochs'"), ("num_epochs=three", "num_epochs is 'three'")]
)
def test_anew_jobs_settings_are_checked(tmp_path: Path, training_file: Path, setting: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        new_job(tmp_path / "new", training_file, "tiny", [setting])
