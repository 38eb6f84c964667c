"""What a second process under ``torchrun`` gains, beside what a second thread of the same process does."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from prompt_tuning_helpers.engine.job_folder import METRICS
from prompt_tuning_helpers.engine.metrics import MetricsReader
from prompt_tuning_helpers.engine.rows import read_rows
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

STEPS = 4
NOT_COUNTED = 1  # of the times between them: memory is first taken then
ROUNDS = 1
PASSED_ON = ("num_virtual_tokens", "init_method", "init_text", "verbalizer", "max_output_tokens")


@dataclass(frozen=True)
class SpeedUp:
    """How many times as fast as one process of one thread.

    Args:
        processes: two processes of one thread each.
        threads: one process of two threads.
    """

    processes: float
    threads: float


def speed_up(batch_size: int, model: str = "smollm2", rounds: int = ROUNDS) -> SpeedUp:
    """Compare seconds per step, each the median of several; the three take turns, and of rounds the median counts.

    Args:
        batch_size: rows of a step. The fewer there are, the more of a step is the soft prompt and what all rows share,
            which each process computes for itself.
        model: the base model.
        rounds: how often each is measured.
    """
    by_processes, by_threads = [], []
    for _ in range(rounds):
        alone = seconds_per_step(1, 1, batch_size, model)
        by_threads.append(alone / seconds_per_step(1, 2, batch_size, model))
        by_processes.append(alone / seconds_per_step(2, 1, batch_size, model))
    return SpeedUp(statistics.median(by_processes), statistics.median(by_threads))


def seconds_per_step(processes: int, threads: int, batch_size: int, model: str) -> float:
    """Run a short job, and take the median time between its steps, so that neither start nor end counts.

    Args:
        processes: of the job; ``torchrun`` starts them if there are several.
        threads: of each.
        batch_size: rows of a step.
        model: the base model.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, job = Path(folder) / "rows.json", Path(folder) / "job"
        rows = read_rows(reviews_path("train"))
        rows = (rows * (STEPS * batch_size // len(rows) + 1))[: STEPS * batch_size]
        data.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        settings = {name: getattr(LOCAL_SETTINGS, name) for name in PASSED_ON}
        command = [sys.executable, *(launcher if processes > 1 else []), "-m", "prompt_tuning_helpers.engine", "tune"]
        command += [str(job), "--data", str(data), "--model", model, "--precision", "float32"]
        for name, value in {**settings, "num_epochs": 1, "batch_size": batch_size}.items():
            command += ["--setting", f"{name}={value}"]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        times = [datetime.fromisoformat(record.timestamp) for record in MetricsReader(job / METRICS).read()]
        steps = [(after - before).total_seconds() for before, after in pairwise(times)]
        return statistics.median(steps[NOT_COUNTED:])
