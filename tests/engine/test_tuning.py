"""Tuning gives the same soft prompt however it is divided up: batches, interruptions, processes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig, PeftModel, PromptEmbedding, PromptTuningConfig
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from prompt_tuning_helpers._files import AtomicFile
from prompt_tuning_helpers.engine import EngineError, TuningSettings, sources
from prompt_tuning_helpers.engine.__main__ import new_job
from prompt_tuning_helpers.engine.causal_model import PackedRows
from prompt_tuning_helpers.engine.epochs import MOST_KEPT, epoch_folder, kept_epochs
from prompt_tuning_helpers.engine.job import run_job
from prompt_tuning_helpers.engine.job_folder import METRICS, STOPPED, Job, RowCounts
from prompt_tuning_helpers.engine.llama import LlamaModel
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.metrics import MetricsReader
from prompt_tuning_helpers.engine.rows import EncodedRows, encode_inputs, encode_rows, read_rows, wrap
from prompt_tuning_helpers.engine.soft_prompt import initialise, load, save
from prompt_tuning_helpers.engine.tune import Progress, TuningStopped, tune
from prompt_tuning_helpers.engine.verdict import Verdict
from prompt_tuning_helpers.runtime.process.processes import KnownProcess
from tests.support.networks import plain_logits


@pytest.fixture
def data(tiny: LoadedModel, training_file: Path, settings: TuningSettings) -> EncodedRows:
    return encode_rows(read_rows(training_file), tiny.tokenizer, settings)


@pytest.fixture
def start(tiny: LoadedModel, settings: TuningSettings) -> Tensor:
    return initialise(tiny.model, tiny.tokenizer, settings)


def test_the_loss_falls_and_only_the_soft_prompt_changes(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    weights = tiny.model.embedding.clone()
    seen: list[Progress] = []
    tuned = tune(tiny.model, start, data, replace(settings, num_epochs=40, learning_rate=0.1), report=seen.append)
    assert [progress.step for progress in seen] == list(range(1, 121))
    assert [progress.epoch for progress in seen] == [epoch for epoch in range(40) for _ in range(3)]
    # How far it falls is up to the model: random weights let a soft prompt change little.
    assert sum(p.loss for p in seen[-3:]) < 0.7 * sum(p.loss for p in seen[:3])
    assert tuned.shape == start.shape
    assert not torch.equal(tuned, start)
    assert torch.equal(tiny.model.embedding, weights)


def test_the_reported_loss_is_the_plain_forwards(
    tiny: LoadedModel, tiny_network: torch.nn.Module, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    seen: list[Progress] = []
    tune(tiny.model, start, data, replace(settings, batch_size=10, num_epochs=1), report=seen.append)
    rows = [(data.shared + inputs, outputs) for inputs, outputs in data.rows]
    labels = torch.tensor([token for _, outputs in rows for token in outputs])
    expected = torch.nn.functional.cross_entropy(plain_logits(tiny_network, start, rows), labels)
    assert seen[0].loss == pytest.approx(expected.item(), rel=1e-5)


def test_the_same_seed_gives_the_same_bits(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings
) -> None:
    first, again = (tune(tiny.model, start, data, settings) for _ in range(2))
    other = tune(tiny.model, start, data, replace(settings, seed=4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_accumulated_batches_are_one_large_batch(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tune(tiny.model, start, data, replace(settings, batch_size=8))
    monkeypatch.setattr("prompt_tuning_helpers.engine.trainer.MAX_PACKED_TOKENS", 20)  # many chunks
    accumulated = tune(tiny.model, start, data, replace(settings, batch_size=2, accumulate_steps=4))
    torch.testing.assert_close(accumulated, large, rtol=1e-3, atol=1e-4)


def test_an_interrupted_run_ends_with_the_same_bits(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    whole = tune(tiny.model, start, data, settings)
    steps: list[int] = []
    for _ in range(8):  # stopped after every step
        try:
            tuned = tune(
                tiny.model,
                start,
                data,
                settings,
                checkpoint,
                lambda p: steps.append(p.step),
                should_stop=lambda: True,
            )
        except TuningStopped:
            continue
    tuned = tune(tiny.model, start, data, settings, checkpoint, lambda p: steps.append(p.step))
    assert steps == list(range(1, 10))
    assert torch.equal(tuned, whole)


def test_a_half_written_checkpoint_is_removed_when_the_run_resumes(
    tiny: LoadedModel, data: EncodedRows, start: Tensor, settings: TuningSettings, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "job" / "checkpoint.safetensors"
    checkpoint.parent.mkdir()
    AtomicFile(checkpoint).__enter__().close()  # as if the process had been killed here
    assert len(list(checkpoint.parent.iterdir())) == 1
    with pytest.raises(TuningStopped):
        tune(tiny.model, start, data, settings, checkpoint, should_stop=lambda: True)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def peft_config(settings: TuningSettings, tokenizer: str, **more: Any) -> PromptTuningConfig:
    text = settings.init_method == "text"
    return PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.num_virtual_tokens,
        token_dim=16,
        num_transformer_submodules=1,
        num_layers=1,
        num_attention_heads=1,
        prompt_tuning_init="TEXT" if text else "RANDOM",
        prompt_tuning_init_text=settings.init_text if text else None,
        tokenizer_name_or_path=tokenizer if text else None,
        **more,
    )


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize(("virtual_tokens", "method"), [(3, "text"), (24, "text"), (40, "text"), (7, "random")])
def test_the_start_is_that_of_peft(
    tiny: LoadedModel, tiny_network: Any, settings: TuningSettings, virtual_tokens: int, method: str, seed: int
) -> None:
    settings = replace(settings, num_virtual_tokens=virtual_tokens, init_method=method, seed=seed)
    torch.manual_seed(seed)
    theirs = PromptEmbedding(peft_config(settings, sources.fetch("tiny")), tiny_network.get_input_embeddings())
    assert torch.equal(initialise(tiny.model, tiny.tokenizer, settings), theirs.embedding.weight)


@pytest.mark.parametrize("method", ["text", "random"])
def test_peft_reads_of_an_adapter_what_it_would_have_written(
    start: Tensor, settings: TuningSettings, method: str, tmp_path: Path
) -> None:
    settings = replace(settings, init_method=method)
    save(tmp_path / "adapter", start, "some/model", settings)
    expected = peft_config(settings, "some/model", base_model_name_or_path="some/model", inference_mode=True)
    assert PeftConfig.from_pretrained(str(tmp_path / "adapter")) == expected


@pytest.fixture
def job(tmp_path: Path, training_file: Path, settings: TuningSettings) -> Path:
    folder = tmp_path / "job"
    Job("tiny", "local/tiny-random-llama", training_file, settings).write(folder)
    return folder


def test_plain_peft_gives_the_same_answers(
    job: Path, tiny: LoadedModel, tiny_network: torch.nn.Module, settings: TuningSettings
) -> None:
    assert run_job(job) == 0
    adapter = job / "soft_prompt"
    peft_model = PeftModel.from_pretrained(tiny_network, str(adapter)).eval()
    tuned = load(adapter)
    assert tuned.verbalizer == settings.verbalizer
    for text in ("review good 1:", "something else"):
        tokens = torch.tensor(encode_inputs([wrap(tuned.verbalizer, text)], tiny.tokenizer))
        theirs = peft_model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0, -1]
        inputs = torch.cat([tuned.embeddings, tiny.model.embed(tokens[0])])
        ours = tiny.model.extend([tiny.model.new_cache()], [inputs])[0]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


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


def _run(job: Path, *launcher: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, *launcher, "-m", "prompt_tuning_helpers.engine", "tune", str(job)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.slow
def test_two_processes_tune_as_one(tmp_path: Path, job: Path, training_file: Path, settings: TuningSettings) -> None:
    Job("tiny", "tiny", training_file, settings).write(tmp_path / "two")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert run_job(job) == 0
    assert _run(tmp_path / "two", *launcher).wait(timeout=120) == 0
    one, two = (load_file(folder / "soft_prompt" / "adapter_model.safetensors") for folder in (job, tmp_path / "two"))
    torch.testing.assert_close(one["prompt_embeddings"], two["prompt_embeddings"], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_resumes_after_its_process_was_ended(
    tmp_path: Path, job: Path, training_file: Path, settings: TuningSettings, end: signal.Signals
) -> None:
    settings = replace(settings, num_epochs=100)
    for folder in (job, tmp_path / "undisturbed"):
        Job("tiny", "tiny", training_file, settings).write(folder)
    assert _run(tmp_path / "undisturbed").wait(timeout=120) == 0
    process = _run(job)
    _wait_for(lambda: _lines(job / "metrics.jsonl") > 20, process)
    process.send_signal(end)
    assert process.wait(timeout=60) != 0
    assert not (job / "soft_prompt").exists()
    assert _run(job).wait(timeout=120) == 0
    weights = [folder / "soft_prompt" / "adapter_model.safetensors" for folder in (job, tmp_path / "undisturbed")]
    assert torch.equal(*(load_file(path)["prompt_embeddings"] for path in weights))
    for epoch in range(MOST_KEPT):
        one, other = (epoch_folder(folder, epoch) for folder in (job, tmp_path / "undisturbed"))
        assert torch.equal(load(one).embeddings, load(other).embeddings)
    losses = [
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (job, tmp_path / "undisturbed")
    ]
    assert losses[0] == losses[1]


# Starts a job and says its number; the job is told of its parent if that option is given.
STARTER = """
import os, subprocess, sys
folder, *options = sys.argv[1:]
values = [word for option in options for word in (option, str(os.getpid()))]
job = subprocess.Popen([sys.executable, "-m", "prompt_tuning_helpers.engine", "tune", folder, *values])
print(job.pid, flush=True)
job.wait()
"""


def _start_by_another(job: Path, *options: str) -> tuple[subprocess.Popen[bytes], KnownProcess]:
    """A process, and the job that it has started."""
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(job), *options], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    return starter, KnownProcess.find(int(starter.stdout.readline()))


@pytest.mark.slow
def test_a_job_does_not_outlive_its_parent(job: Path, training_file: Path, settings: TuningSettings) -> None:
    Job("tiny", "tiny", training_file, replace(settings, num_epochs=10_000)).write(job)
    starter, process = _start_by_another(job, "--parent")
    _wait_for(lambda: _lines(job / "metrics.jsonl") > 20, starter)
    starter.kill()
    starter.wait(10)
    _wait_for_end(process)
    with safe_open(job / "checkpoint.safetensors", framework="pt") as checkpoint:
        assert int(checkpoint.metadata()["update"]) == _lines(job / "metrics.jsonl")


def test_a_job_whose_parent_is_gone_already_computes_nothing(job: Path) -> None:
    assert run_job(job, parent=os.getpid()) == STOPPED  # no process is its own parent
    assert not (job / "metrics.jsonl").exists()
    assert run_job(job, parent=os.getppid()) == 0


@pytest.mark.slow
def test_a_job_that_was_started_by_hand_outlives_its_shell(
    job: Path, training_file: Path, settings: TuningSettings
) -> None:
    Job("tiny", "tiny", training_file, replace(settings, num_epochs=100)).write(job)
    starter, process = _start_by_another(job)
    starter.kill()
    starter.wait(10)
    _wait_for_end(process)
    assert (job / "soft_prompt").is_dir()


def _wait_for_end(process: KnownProcess) -> None:
    deadline = time.monotonic() + 60
    while process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not condition():
        assert process.poll() is None
        time.sleep(0.01)
