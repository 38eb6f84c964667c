"""Runs one job of the plan, and says what it was run on."""

import gc
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, singledispatch
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from prompt_tuning_helpers.engine.rows import TrainingRow, read_rows
from prompt_tuning_helpers.engine.tune import TuningStopped
from prompt_tuning_helpers.evaluation import LABELS

from .networks import BaseModel
from .plan import (
    COSTS,
    DATA,
    TEST_FILES,
    TIMED_UPDATES,
    TRAINING_FILE,
    WARM_UP_UPDATES,
    AnsweringCost,
    Job,
    Measurement,
    Opening,
    Plan,
    Trial,
    TuningCost,
)
from .training import Answer, Classifier, prepare, train

VALIDATION_SEED = 1000  # which training rows are held back is the same for all methods
LIBRARIES = ("torch", "transformers", "peft", "scikit-learn")
ANSWERED_TOGETHER = 8  # reviews, where answering is timed: as many as an update has rows
TIMED_ANSWERS = 10  # after one to warm up
NO_LABEL = "-"
DIGITS = 4  # of margins

Result = dict[str, Any]


def run(plan: Plan, job: Job, device: str = "cpu") -> Result:
    """Give a job's result, for JSON, with when it was made, on which machine, and by which versions of the libraries.

    What a job costs is measured in a process of its own, on the processor.

    Args:
        plan: what the job belongs to.
        job: what to do.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        FloatingPointError: if training gives no numbers, other than in a trial.
    """
    base = BaseModel(plan.model, device, is_kept=False) if isinstance(job, COSTS) else kept_model(plan.model, device)
    try:
        return _result(job, plan, base) | made(device)
    finally:
        gc.collect()  # networks refer to themselves
        torch.cuda.empty_cache()  # to leave a GPU's memory to the processes beside this one


def made(device: str) -> Result:
    """Say when a result was made, on which machine, and by which versions of the libraries."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(device),
        "versions": {name: version(name) for name in LIBRARIES},
    }


@cache
def kept_model(source: str, device: str) -> BaseModel:
    """Give the base model that the jobs of this process share."""
    gc.freeze()  # what is imported by now will not be looked through after each job
    return BaseModel(source, device)


def machine(device: str = "cpu") -> dict[str, Any]:
    """Give the processor's model, on how many threads this process computes, and on which device in which numbers."""
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return {"cpu": _processor(), "threads": torch.get_num_threads(), "device": name, "numbers": "float32"}


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


def split(plan: Plan) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """Divide the training file: rows that trials learn from, and those that are held back to measure them on."""
    rows = read_rows(DATA / TRAINING_FILE)
    drawn = draw(rows, len(rows), VALIDATION_SEED)
    return drawn[plan.held_back :], drawn[: plan.held_back]


def rows_of(plan: Plan, job: Job) -> list[TrainingRow]:
    """Draw the training rows of a job.

    A trial never sees what is held back, and examples of a prompt stay those that the search chose.
    """
    if isinstance(job, Trial) or job.method.is_searched_per_seed:
        rows, _ = split(plan)
        return draw(rows, min(job.rows, len(rows)), job.seed)
    return draw(read_rows(DATA / TRAINING_FILE), job.rows, job.seed)


def classifier_of(plan: Plan, job: Job, base: BaseModel) -> Classifier:
    """Train what a job measures, on its rows."""
    return train(job.method, job.candidate, rows_of(plan, job), base, job.seed)


def test_rows(plan: Plan) -> list[TrainingRow]:
    """Read the test reviews that are asked about, those of the first file first."""
    return [row for name in TEST_FILES for row in read_rows(DATA / name)][: plan.test_rows]


def _prompts(rows: Sequence[TrainingRow]) -> list[str]:
    return [row.input for row in rows]


def _is_positive(rows: Sequence[TrainingRow]) -> Any:
    return np.array([row.output == LABELS[1] for row in rows])


def _margins(answers: Sequence[Answer]) -> Any:
    """Give the margins of answers.

    Raises:
        FloatingPointError: if one is no number; the last update of all can spoil the weights, too.
    """
    margins = np.array([answer.margin for answer in answers])
    if not np.isfinite(margins).all():
        raise FloatingPointError("the answers are no numbers: training diverged")
    return margins


@singledispatch
def _result(job: Any, plan: Plan, base: BaseModel) -> Result:
    raise TypeError(f"Nothing says how a {type(job).__name__} is run.")


@_result.register
def _(job: Trial, plan: Plan, base: BaseModel) -> Result:
    """Find accuracy and loss of a candidate on training rows that were held back."""
    _, held_back = split(plan)
    positive = _is_positive(held_back)
    try:
        answers = classifier_of(plan, job, base).answer(_prompts(held_back))
        margins = _margins(answers)
    except FloatingPointError:
        return {"diverged": True}
    written = [answer.written == row.output for answer, row in zip(answers, held_back, strict=True)]
    return {
        "accuracy": float(((margins > 0) == positive).mean()),
        # Logistic loss of choosing between the two labels alone, in nats.
        "loss": float(np.logaddexp(0, np.where(positive, -margins, margins)).mean()),
        "written": float(np.mean(written)),
    }


@_result.register
def _(job: Measurement, plan: Plan, base: BaseModel) -> Result:
    """Ask about all test reviews, in both ways."""
    answers = classifier_of(plan, job, base).answer(_prompts(test_rows(plan)))
    return {
        "margins": [round(margin, DIGITS) for margin in _margins(answers).tolist()],
        "written": "".join(answer.written or NO_LABEL for answer in answers),
    }


@_result.register
def _(job: Opening, plan: Plan, base: BaseModel) -> Result:
    """Look into the soft prompt."""
    from .opened import open_up

    asked = test_rows(plan)[: plan.opened_rows]
    return open_up(classifier_of(plan, job, base), _prompts(asked), [row.output for row in asked])


@_result.register
def _(job: TuningCost, plan: Plan, base: BaseModel) -> Result:
    """Time a few updates one by one, and see what memory they take."""
    classifier = prepare(job.method, job.candidate, rows_of(plan, job), base, job.seed)
    seconds = time_each(classifier.learn, WARM_UP_UPDATES + TIMED_UPDATES)
    memory = peak_memory_mb()  # before anything else is asked, which may load more than tuning needs
    return {
        "update_seconds": seconds[WARM_UP_UPDATES:],
        "updates": classifier.updates,
        "trained_parameters": classifier.trained_parameters,
        "peak_memory_mb": memory,
    }


def time_each(learn: Callable[[Callable[[], bool]], None], count: int) -> list[float]:
    """Let a classifier learn, anew if need be, until so many updates are done; give the seconds that each took."""
    ticks = [process_time()]

    def should_stop() -> bool:
        ticks.append(process_time())
        return len(ticks) > count

    while len(ticks) <= count:
        try:
            learn(should_stop)
        except TuningStopped:
            break
    return [after - before for before, after in pairwise(ticks)]


@_result.register
def _(job: AnsweringCost, plan: Plan, base: BaseModel) -> Result:
    """Time answers in a process that only answers. What was learnt makes no difference, so nothing is, if it can be."""
    classifier = prepare(job.method, job.candidate, rows_of(plan, job), base, job.seed)
    if not job.method.has_base_model:
        classifier.learn()
    prompts = _prompts(test_rows(plan))
    seconds = []
    for number in range(TIMED_ANSWERS + 1):
        asked = [prompts[(number * ANSWERED_TOGETHER + place) % len(prompts)] for place in range(ANSWERED_TOGETHER)]
        before = process_time()
        classifier.answer(asked, new_tokens=1)
        seconds.append((process_time() - before) / ANSWERED_TOGETHER)
    memory = peak_memory_mb()
    return {"review_seconds": seconds[1:], "peak_memory_mb": memory, "saved_bytes": classifier.saved_bytes()}


def peak_memory_mb() -> float:
    """Give the peak resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage gives there may be the peak of the process that started this one
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
