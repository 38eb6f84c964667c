"""How long prompt tuning, LoRA and full fine-tuning take to the same accuracy on the lesson's task.

    python -m benchmarks.time_to_accuracy

Each run holds back another quarter of the training reviews, trains on the rest, and in its second half asks about that
quarter after every five updates; the test file is never read. A method's time is the number of updates from which on
the mean accuracy over the seeds stays at or above 0.93, times the seconds of an update, for which the methods take
turns on the same cores. All see the same rows in the same order, with the same template, schedule and optimizer; for
all, what the rows share is computed once and only labels get logits. Prompt tuning runs on the engine's own forward,
the others on transformers', and with gradients that are cut to a norm of 1; all multiply by oneDNN, and in bfloat16
where the processor has instructions for that.

Runs are appended to build/time_to_accuracy.jsonl, and those that are there are not made again. ``make bench`` makes
those of ``CHOSEN`` alone.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from prompt_tuning_helpers.engine import TuningSettings, loading, onednn, sources
from prompt_tuning_helpers.engine.causal_model import CausalModel, pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.memory import keep_freed_memory
from prompt_tuning_helpers.engine.rows import EncodedRows, TrainingRow, encode_rows, read_rows
from prompt_tuning_helpers.engine.soft_prompt import initialise
from prompt_tuning_helpers.engine.trainer import BETAS, Trainer
from prompt_tuning_helpers.engine.tune import learning_rate_factor, minibatches
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

from .measure import seconds

RESULTS = Path(__file__).parents[1] / "build" / "time_to_accuracy.jsonl"
MODEL = "smollm2"
GOAL = 0.93
SEEDS = range(5)
ASKED_EVERY = 5  # updates
ASKED_TOGETHER = 20  # rows
MOST_AT_ONCE = 4  # runs; full fine-tuning takes 3 GiB
LONGEST_GRADIENT = 1.0  # customary where a model's own weights are trained
LORA_RANK = 8

# Learning rates and numbers of updates that each method chooses among.
CANDIDATES: dict[str, tuple[tuple[float, ...], tuple[int, ...]]] = {
    "prompt tuning": ((0.02,), (40, 60, 90)),
    "LoRA": ((0.001, 0.003), (20, 30, 40, 60)),
    "full fine-tuning": ((3e-5, 1e-4), (20, 30)),
}
# Of these, the updates that were best for each on an EPYC, at the rate that was better with a first seed.
CHOSEN = (("prompt tuning", 0.02, 60), ("LoRA", 0.003, 60), ("full fine-tuning", 1e-4, 30))
SHORT = {"prompt tuning": "prompt", "LoRA": "lora", "full fine-tuning": "full"}

Candidate = tuple[str, float, int]  # method, rate, updates


@dataclass(frozen=True)
class Run:
    """One run's accuracy on the held-back quarter as it went.

    Args:
        method: a key of ``CANDIDATES``.
        rate: peak learning rate.
        updates: of the whole run.
        seed: of the quarter and of the rows' order.
        accuracy: by the number of updates made.
    """

    method: str
    rate: float
    updates: int
    seed: int
    accuracy: dict[int, float]


@dataclass(frozen=True)
class Training:
    """A method in the middle of a training.

    Args:
        update: makes one, of rows' indices at a share of the peak rate.
        model: what answers.
        prompt: gives what stands before all rows, ``[P, H]``.
    """

    update: Callable[[list[int], float], object]
    model: CausalModel
    prompt: Callable[[], Tensor]


def begin(method: str, data: EncodedRows, settings: TuningSettings) -> Training:
    """Load the base model and make a method ready to train."""
    if method == "prompt tuning":
        loaded = loading.load(MODEL)
        trainer = Trainer(loaded.model, initialise(loaded.model, loaded.tokenizer, settings), data, settings)
        return Training(trainer.step, loaded.model, lambda: trainer.prompt)
    network = _network(method, settings.seed)
    forward = TransformersModel(network)
    nothing = forward.embedding.new_empty(0, forward.embedding.shape[1])
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, betas=BETAS)

    def update(indices: list[int], share: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * share
        packed = pack([data.rows[index] for index in indices])
        loss = cross_entropy(forward.label_logits(forward.embed(torch.tensor(data.shared)), packed), packed.labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, LONGEST_GRADIENT)
        optimizer.step()

    return Training(update, forward, lambda: nothing)


def _network(method: str, seed: int) -> Any:
    from peft import LoraConfig, inject_adapter_in_model
    from transformers import AutoModelForCausalLM

    sources.quiet_libraries()
    network = AutoModelForCausalLM.from_pretrained(sources.fetch(MODEL), dtype=torch.float32).eval()
    onednn.speed_up(network)
    if method == "full fine-tuning":
        return network
    network.requires_grad_(False)
    torch.manual_seed(seed)
    # Which matrices is PEFT's own choice for this kind of model: those of queries and values.
    config = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules=["q_proj", "v_proj"])
    return inject_adapter_in_model(config, network)


def measure(method: str, rate: float, updates: int, seed: int) -> Run:
    """Train on three quarters of the training reviews and follow the accuracy on the last."""
    settings = replace(LOCAL_SETTINGS, learning_rate=rate, seed=seed, num_epochs=updates)
    rows = read_rows(reviews_path("train"))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1000 + seed)).tolist()
    quarter = len(rows) // 4
    held_back, kept = ([rows[index] for index in part] for part in (order[:quarter], order[quarter:]))
    data = encode_rows(kept, loading.load_tokenizer(MODEL), settings)
    training = begin(method, data, settings)
    accuracy = {}
    with numbers():
        for step, (_, indices) in enumerate(islice(minibatches(len(data.rows), settings), updates), start=1):
            training.update(indices, learning_rate_factor(step, updates))
            if step % ASKED_EVERY == 0 and step >= updates / 2:
                accuracy[step] = accuracy_of(training, held_back, settings)
    return Run(method, rate, updates, seed, accuracy)


@torch.inference_mode()
def accuracy_of(training: Training, rows: Sequence[TrainingRow], settings: TuningSettings) -> float:
    """Give the share of rows after which the label is the likeliest of all tokens."""
    asked = encode_rows(rows, loading.load_tokenizer(MODEL), replace(settings, max_output_tokens=1))
    prefix = torch.cat([training.prompt(), training.model.embed(torch.tensor(asked.shared))])
    right = 0
    for start in range(0, len(asked.rows), ASKED_TOGETHER):
        packed = pack(asked.rows[start : start + ASKED_TOGETHER])
        right += int((training.model.label_logits(prefix, packed).argmax(1) == packed.labels).sum())
    return right / len(asked.rows)


def updates_to_goal(runs: Sequence[Run]) -> int | None:
    """Give the updates from which on the mean accuracy of the runs, alike but for their seeds, stays at the goal."""
    mean = {step: statistics.mean(run.accuracy[step] for run in runs) for step in runs[0].accuracy}
    reached = None
    for step in sorted(mean, reverse=True):
        if mean[step] < GOAL - 1e-9:
            break
        reached = step
    return reached


def seconds_of_updates(methods: Sequence[str], rounds: int = 7) -> dict[str, float]:
    """Time an update of each method, in turn, three updates at a time; give medians."""
    data = encode_rows(read_rows(reviews_path("train")), loading.load_tokenizer(MODEL), LOCAL_SETTINGS)
    batches = [indices for _, indices in minibatches(len(data.rows), LOCAL_SETTINGS)]
    # So small a rate that the measurement does not depend on what is learnt.
    trainings = {method: begin(method, data, replace(LOCAL_SETTINGS, learning_rate=1e-9)) for method in methods}
    times: dict[str, list[float]] = {method: [] for method in methods}
    for number in range(rounds + 1):
        three = batches[3 * number : 3 * number + 3]
        for method, training in trainings.items():
            took = seconds(partial(_make_updates, training, three)) / len(three)
            if number:  # the first round is not counted
                times[method].append(took)
    return {method: statistics.median(found) for method, found in times.items()}


def _make_updates(training: Training, batches: Sequence[list[int]]) -> None:
    with numbers():
        for indices in batches:
            training.update(indices, 1.0)


def _kept() -> Iterator[Run]:
    if RESULTS.exists():
        for line in RESULTS.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            yield Run(**{**fields, "accuracy": {int(step): value for step, value in fields["accuracy"].items()}})


def numbers() -> AbstractContextManager[None]:
    """Give the block in which all methods multiply alike."""
    return onednn.rounded_products() if onednn.can_round() else nullcontext()


def runs_of(candidates: Sequence[Candidate]) -> dict[Candidate, list[Run]]:
    """Give the runs of all seeds; make those that are missing, one on each core, since they are not timed."""
    runs = {(run.method, run.rate, run.updates, run.seed): run for run in _kept()}
    missing = [key for key in ((*candidate, seed) for candidate in candidates for seed in SEEDS) if key not in runs]
    RESULTS.parent.mkdir(exist_ok=True)
    workers = min(os.cpu_count() or 1, MOST_AT_ONCE)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _use_one_thread) as pool:
        for made in as_completed([pool.submit(measure, *key) for key in missing]):
            run = made.result()
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(run)) + "\n")
            print(run, file=sys.stderr, flush=True)
            runs[(run.method, run.rate, run.updates, run.seed)] = run
    return {candidate: [runs[(*candidate, seed)] for seed in SEEDS] for candidate in candidates}


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()


def seconds_to_goal() -> dict[str, float | None]:
    """Give each method's seconds to the goal at what was chosen for it; ``None`` if it does not get there."""
    runs, took = runs_of(CHOSEN), seconds_of_updates(list(CANDIDATES))
    reached = {candidate[0]: updates_to_goal(runs[candidate]) for candidate in CHOSEN}
    return {SHORT[method]: took[method] * steps if steps else None for method, steps in reached.items()}


def main() -> None:
    """Make the runs that are missing, time updates, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", action="append", choices=CANDIDATES, help="leave the others out")
    methods = parser.parse_args().method or list(CANDIDATES)
    keep_freed_memory()
    wanted = [
        (method, rate, updates)
        for method in methods
        for rate in CANDIDATES[method][0]
        for updates in CANDIDATES[method][1]
    ]
    runs, took = runs_of(wanted), seconds_of_updates(methods)
    print("| method | rate | updates planned | accuracy at the end | updates to 0.93 | s an update | seconds to 0.93 |")
    print("|---|---|---|---|---|---|---|")
    for candidate, alike in runs.items():
        method, rate, updates = candidate
        end = statistics.mean(run.accuracy[updates] for run in alike)
        reached = updates_to_goal(alike)
        time = f"{reached * took[method]:.0f}" if reached else "not reached"
        print(f"| {method} | {rate:g} | {updates} | {end:.3f} | {reached or '-'} | {took[method]:.2f} | {time} |")


if __name__ == "__main__":
    main()
