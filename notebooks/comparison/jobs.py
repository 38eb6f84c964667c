"""Runs one job of the plan. A process runs one job, so that its peak memory is the job's."""

import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import singledispatch
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from prompt_tuning_helpers.datasets import load_rows
from prompt_tuning_helpers.engine.rows import TrainingRow, read_rows
from prompt_tuning_helpers.evaluation import LABELS
from prompt_tuning_helpers.lesson import reviews_path

from .methods import Candidate, candidate_as_json
from .plan import Job, Measurement, Plan, Search
from .results import Score
from .training import TrainedClassifier, train

VALIDATION_SEED = 1000  # which training rows a search holds back is the same for all methods
LIBRARIES = ("torch", "transformers", "peft", "scikit-learn")

Result = dict[str, Any]


def run(plan: Plan, job: Job) -> Result:
    """Give a job's result, for JSON, with when it was made, on which machine, and by which versions of the libraries.

    Args:
        plan: what the job belongs to.
        job: a search or a measurement.

    Raises:
        FloatingPointError: if training gives no numbers: in a measurement, or in a search with every candidate.
    """
    return _result(job, plan) | {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def machine() -> dict[str, Any]:
    """Give the processor's model, and on how many threads this process computes."""
    import torch

    return {"cpu": _processor(), "threads": torch.get_num_threads()}


def _processor() -> str:
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or platform.machine()
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def draw(rows: Sequence[TrainingRow], count: int, seed: int) -> list[TrainingRow]:
    """Draw rows at random, the labels taking turns; a larger draw with the same seed begins with the smaller.

    Raises:
        ValueError: if there are not enough.
    """
    shuffled = [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]
    by_label = [[row for row in shuffled if row.output == label] for label in LABELS]
    drawn = [row for pair in zip(*by_label, strict=False) for row in pair]
    if count > len(drawn):
        raise ValueError(f"{count} rows, half of each label, cannot be drawn from these {len(rows)}.")
    return drawn[:count]


def split(size: int, seed: int) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """Draw two parts of the training file, of so many rows each: what a search learns from, and is measured on.

    The seed orders the first part alone.
    """
    drawn = draw(read_rows(reviews_path("train")), 2 * size, VALIDATION_SEED)
    return draw(drawn[size:], size, seed), drawn[:size]


def classifier_of(plan: Plan, job: Measurement) -> TrainedClassifier:
    """Train what a measurement measures, on the rows that it names."""
    if job.method.is_searched_per_seed:
        rows, _ = split(plan.search_rows, job.seed)  # the examples that the search chose with
    else:
        rows = draw(read_rows(reviews_path("train")), job.rows, job.seed)
    return train(job.method, job.chosen, rows, plan.model, job.seed)


def asked_rows(plan: Plan) -> tuple[list[str], list[str]]:
    """Read the prompts of the test file that are asked about, and their labels."""
    rows = load_rows(reviews_path("test"))[: plan.test_rows]
    return rows["input"].tolist(), rows["output"].tolist()


@singledispatch
def _result(job: Any, plan: Plan) -> Result:
    raise TypeError(f"Nothing says how a {type(job).__name__} is run.")


@_result.register
def _(job: Search, plan: Plan) -> Result:
    """Find accuracy and loss of each candidate on training rows that were held back, and the best."""
    training, validation = split(plan.search_rows, job.seed)
    scores = [_score(job, plan, candidate, training, validation) for candidate in job.method.candidates]
    best = max(scores, key=lambda score: (score.accuracy, -score.loss))
    if best.diverged:
        raise FloatingPointError(
            f"Training diverged with every candidate of {job.method.title}. Give it smaller ones in methods.py."
        )
    return {"scores": [score.as_json() for score in scores], "chosen": candidate_as_json(best.candidate)}


def _score(
    job: Search, plan: Plan, candidate: Candidate, training: list[TrainingRow], validation: list[TrainingRow]
) -> Score:
    positive = np.array([row.output == LABELS[1] for row in validation])
    try:
        classifier = train(job.method, candidate, training, plan.model, job.seed)
    except FloatingPointError:
        return Score.of_diverged(candidate)
    margins = np.array(classifier.margins([row.input for row in validation]))
    if not np.isfinite(margins).all():  # the last update of all can spoil the weights, too
        return Score.of_diverged(candidate)
    # Logistic loss of choosing between the two labels alone, in nats.
    loss = float(np.logaddexp(0, np.where(positive, -margins, margins)).mean())
    return Score(candidate, float(((margins > 0) == positive).mean()), loss)


@_result.register
def _(job: Measurement, plan: Plan) -> Result:
    """Measure all that the table shows of one method, number of rows and seed."""
    prompts, truth = asked_rows(plan)
    classifier = classifier_of(plan, job)
    started = process_time()
    margins = classifier.margins(prompts)
    seconds = process_time() - started
    if not np.isfinite(margins).all():
        raise FloatingPointError(f"{job.name} answers with no numbers: training diverged.")
    result = {
        "scoring_ms": 1000 * seconds / len(prompts),
        "answers": "".join(LABELS[margin > 0] for margin in margins),
        "truth": "".join(truth),
        "trained_parameters": classifier.trained_parameters,
        "saved_bytes": classifier.saved_bytes,
        "tuning_seconds": classifier.tuning_seconds,
        "peak_memory_mb": classifier.peak_memory_mb,
    }
    if plan.opens(job):
        from .opened import open_up

        result["opened"] = open_up(classifier, prompts, truth)
    return result
