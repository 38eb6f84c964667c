"""Runs one job of the plan, from its settings alone. A process runs one job, so that its peak memory is the job's."""

from collections.abc import Sequence
from importlib.metadata import version
from time import process_time
from typing import Any

import numpy as np

from prompt_tuning_helpers.datasets import load_rows, reviews_path
from prompt_tuning_helpers.engine.rows import TrainingRow, read_rows

from .learners import LABELS, Learner, learn
from .plan import Job, Method

VALIDATION_SEED = 1000  # which training rows a search holds back is the same for all methods
LIBRARIES = ("torch", "transformers", "peft", "scikit-learn")

Result = dict[str, Any]


def run(job: Job) -> Result:
    """The result of a job, as JSON, with the versions of the libraries that made it."""
    work = {"search": _search, "measure": _measure}[job.settings["task"]]
    return work(job.settings) | {"versions": {name: version(name) for name in LIBRARIES}}


def draw(rows: Sequence[TrainingRow], count: int, seed: int) -> list[TrainingRow]:
    """So many rows, drawn at random, the labels taking turns; a larger draw with the same seed begins with the smaller.

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
    """Two parts of the training file, of so many rows each: what a search learns from, and what it is measured on.

    The seed orders the first part alone.
    """
    drawn = draw(read_rows(reviews_path("train")), 2 * size, VALIDATION_SEED)
    return draw(drawn[size:], size, seed), drawn[:size]


def _search(settings: dict[str, Any]) -> Result:
    """Accuracy and loss of each candidate on training rows that were held back, and the best."""
    training, validation = split(settings["search_rows"], settings["seed"])
    positive = np.array([row.output == LABELS[1] for row in validation])
    scores = {}
    for candidate in settings["method"]["candidates"]:
        margins = np.array(_learn(settings, training, candidate).margins([row.input for row in validation]))
        # Logistic loss of choosing between the two labels alone, in nats.
        loss = np.logaddexp(0, np.where(positive, -margins, margins)).mean()
        scores[candidate] = {"accuracy": float(((margins > 0) == positive).mean()), "loss": float(loss)}
    return {"scores": scores, "chosen": max(scores, key=lambda name: (scores[name]["accuracy"], -scores[name]["loss"]))}


def _measure(settings: dict[str, Any]) -> Result:
    """All that the table shows of one method, number of rows and seed."""
    test = load_rows(reviews_path("test"))[: settings["test_rows"]]
    prompts, truth = test["input"].tolist(), test["output"].tolist()
    if settings["method"]["searched_per_seed"]:
        training, _ = split(settings["search_rows"], settings["seed"])  # the examples that the search chose with
    else:
        training = draw(read_rows(reviews_path("train")), settings["rows"], settings["seed"])
    learner = _learn(settings, training, settings["chosen"])
    started = process_time()
    margins = learner.margins(prompts)
    result = {
        "scoring_ms": 1000 * (process_time() - started) / len(test),
        "answers": "".join(LABELS[margin > 0] for margin in margins),
        "truth": "".join(truth),
        "trained_parameters": learner.trained_parameters,
        "saved_bytes": learner.saved_bytes,
        "tuning_seconds": learner.tuning_seconds,
        "peak_memory_mb": learner.peak_memory_mb,
    }
    if settings["opened"]:
        from .soft_prompts import open_up

        result["opened"] = open_up(learner, prompts, truth)
    return result


def _learn(settings: dict[str, Any], rows: Sequence[TrainingRow], candidate: str) -> Learner:
    method = Method(title="", **settings["method"])
    return learn(settings["model"], method, rows, candidate, settings["lesson"] | {"seed": settings["seed"]})
