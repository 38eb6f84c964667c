"""A tuning job on a disk that is full: it says so, and resumes once there is room."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from prompt_tuning_helpers.engine.job import run_job
from prompt_tuning_helpers.engine.job_folder import CANNOT_WRITE, DONE, Job
from prompt_tuning_helpers.engine.settings import TuningSettings

WEIGHTS = "soft_prompt/adapter_model.safetensors"


@pytest.fixture
def job(tmp_path: Path, training_file: Path, settings: TuningSettings) -> Path:
    """A job whose soft prompt takes more than four kilobytes, and whose other files take less."""
    settings = replace(settings, num_virtual_tokens=100)
    for name in ("job", "undisturbed"):
        Job("tiny", "tiny", training_file, settings).write(tmp_path / name)
    return tmp_path / "job"


def run_limited(job: Path, largest_file: int) -> int:
    """Run a job in a process that writes files of at most ``largest_file`` bytes, its log included; return its exit
    code.
    """
    program = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, -1));"
        "runpy.run_module('prompt_tuning_helpers.engine', run_name='__main__')"
    )
    command = [sys.executable, "-c", program, "tune", str(job)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (job / "job.log").open("wb") as log:
        return subprocess.run(command, stdout=log, stderr=log, env=environment, check=False, timeout=120).returncode


@pytest.mark.slow
def test_a_job_on_a_full_disk_says_so_and_resumes_later(job: Path) -> None:
    assert run_limited(job, 0) == CANNOT_WRITE
    assert run_limited(job, 4096) != DONE
    failure = json.loads((job / "failure.json").read_text())
    assert "The disk is full: make room" in failure["message"]
    assert not (job / "soft_prompt").exists()
    assert run_job(job) == DONE
    assert not (job / "failure.json").exists()
    assert run_job(job.with_name("undisturbed")) == DONE
    assert (job / WEIGHTS).read_bytes() == (job.with_name("undisturbed") / WEIGHTS).read_bytes()
