"""A job's processes: several tune as one, one that was ended is resumed, and none outlives its parent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from prompt_tuning_helpers.engine import TuningSettings
from prompt_tuning_helpers.engine.epochs import MOST_KEPT, epoch_folder
from prompt_tuning_helpers.engine.job import run_job
from prompt_tuning_helpers.engine.job_folder import STOPPED, Job
from prompt_tuning_helpers.engine.soft_prompt import load
from prompt_tuning_helpers.runtime.process.processes import KnownProcess


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
