"""Chooses the default settings on a validation part of the training file; the test file is never read.

    python -m benchmarks.choose_settings --candidate '{"learning_rate": 0.03}' --seed 0 --seed 1
    python -m benchmarks.choose_settings --task old --candidate '{"learning_rate": 0.03}'

Each run holds back another quarter of the training rows, tunes on the rest and is measured on that quarter. Results
are appended to a file in build/, one for each task, and all that the file holds is printed as a table.

The task ``old`` is the lesson's written for a large model, as in IBM's samples: the soft prompt starts from an
instruction, the training rows have none, and the prompts of the held-back quarter carry one that no row has.
"""

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from prompt_tuning_helpers.engine import TuningSettings, loading
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.defaults import MEASURED_ROWS, suited_settings
from prompt_tuning_helpers.engine.memory import keep_freed_memory
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_rows, read_rows
from prompt_tuning_helpers.engine.settings import FIELD
from prompt_tuning_helpers.engine.soft_prompt import initialise
from prompt_tuning_helpers.engine.tune import Progress, tune
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

BUILD = Path(__file__).parents[1] / "build"
INSTRUCTION = (
    "Extract the satisfaction from the comment. Return simple '1' for satisfied customer or '0' for unsatisfied. "
    "Comment: Satisfaction:"
)


@dataclass(frozen=True)
class Task:
    """What settings are chosen for.

    Args:
        settings: those that a candidate changes.
        results: the file that results are appended to.
        training_row: makes a row to tune on out of one of the training file.
    """

    settings: TuningSettings
    results: Path
    training_row: Callable[[TrainingRow], TrainingRow] = lambda row: row


def without_instruction(row: TrainingRow) -> TrainingRow:
    """Remove what stands before the comment."""
    return replace(row, input=row.input[row.input.index("Comment:") :])


TASKS = {
    "lesson": Task(LOCAL_SETTINGS, BUILD / "settings.jsonl"),
    "old": Task(
        suited_settings("smollm2", replace(LOCAL_SETTINGS, init_text=INSTRUCTION, verbalizer=FIELD), MEASURED_ROWS),
        BUILD / "settings_old.jsonl",
        without_instruction,
    ),
}


def run(settings: TuningSettings, task: Task) -> dict[str, float]:
    """Tune on three quarters of the training rows and measure on the last; the seed also chooses the quarter."""
    rows = read_rows(reviews_path("train"))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1000 + settings.seed)).tolist()
    quarter = len(rows) // 4
    training, validation = [rows[i] for i in order[quarter:]], [rows[i] for i in order[:quarter]]
    loaded = loading.load("smollm2")
    data = encode_rows([task.training_row(row) for row in training], loaded.tokenizer, settings)
    start = initialise(loaded.model, loaded.tokenizer, settings)
    tuned = tune(loaded.model, start, data, settings, report=show)
    return measure(tuned, validation, settings)


def show(progress: Progress) -> None:
    """Print how far a run is, from time to time."""
    if progress.step % 10 == 0:
        print(f"step {progress.step} of {progress.steps}, loss {progress.loss:.3f}", flush=True)


@torch.no_grad()
def measure(prompt: torch.Tensor, rows: list[TrainingRow], settings: TuningSettings) -> dict[str, float]:
    """Measure accuracy and loss of the first output token, among all tokens of the vocabulary."""
    loaded = loading.load("smollm2")
    data = encode_rows(rows, loaded.tokenizer, replace(settings, max_output_tokens=1))
    prefix = torch.cat([prompt, loaded.model.embed(torch.tensor(data.shared))])
    right, loss = 0, 0.0
    for start in range(0, len(data.rows), 16):
        packed = pack(data.rows[start : start + 16])
        logits = loaded.model.label_logits(prefix, packed)
        right += int((logits.argmax(1) == packed.labels).sum())
        loss += float(torch.nn.functional.cross_entropy(logits, packed.labels, reduction="sum"))
    return {"accuracy": right / len(data.rows), "loss": loss / len(data.rows)}


def parse(candidate: str) -> dict[str, Any]:
    """Read settings that differ from the default ones from a JSON object."""
    changes: dict[str, Any] = json.loads(candidate)
    if unknown := changes.keys() - asdict(LOCAL_SETTINGS):
        raise SystemExit(f"There is no setting {unknown.pop()!r}.")
    return changes


def main() -> None:
    """Run each candidate with each seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="lesson")
    parser.add_argument("--candidate", action="append", default=[], help="changed settings, as JSON")
    parser.add_argument("--seed", action="append", type=int, default=[])
    options = parser.parse_args()
    task = TASKS[options.task]
    keep_freed_memory()
    BUILD.mkdir(exist_ok=True)
    for candidate in options.candidate or ["{}"]:
        for seed in options.seed or [0]:
            settings = replace(task.settings, **parse(candidate), seed=seed)
            result = {"settings": asdict(settings), **run(settings, task)}
            with task.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(f"{candidate}, seed {seed}: {result['accuracy']:.3f}, {result['loss']:.3f}", flush=True)
    results = defaultdict(list)
    for line in task.results.read_text(encoding="utf-8").splitlines():
        result = json.loads(line)
        results[json.dumps(result["settings"] | {"seed": None})].append(result)
    print("\n| settings that differ from the default ones | seeds | validation accuracy | validation loss |")
    print("|---|---|---|---|")
    for runs in sorted(results.values(), key=lambda runs: -statistics.mean(r["accuracy"] for r in runs)):
        mean = {key: statistics.mean(r[key] for r in runs) for key in ("accuracy", "loss")}
        print(
            f"| {difference(runs[0]['settings'], task)} | {len(runs)} | {mean['accuracy']:.3f} | {mean['loss']:.3f} |"
        )


def difference(settings: dict[str, Any], task: Task) -> str:
    """Say how settings differ from the default ones, with long texts as their numbers of lines."""
    defaults = asdict(task.settings) | {"seed": settings["seed"]}
    changed = {name: value for name, value in settings.items() if value != defaults[name]}
    if "init_text" in changed:
        changed["init_text"] = f"of {len((changed['init_text'] or '').splitlines())} lines"
    return ", ".join(f"{name} {value}" for name, value in changed.items()) or "none"


if __name__ == "__main__":
    main()
