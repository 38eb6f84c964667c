"""How long prompt tuning, LoRA and full fine-tuning take to the same accuracy on the lesson's task.

    python -m benchmarks.time_to_accuracy

Each run holds back another quarter of the training reviews, trains on the rest, and in its second half asks about that
quarter after every five updates; the test file is never read. A method's time is the number of updates from which on
the mean accuracy over the seeds stays at or above 0.93, times the seconds of an update, for which the methods take
turns on the same cores. With as many rows an update, all see the same rows in the same order; template, schedule and
optimizer are the same; for all, what the rows share is computed once and only labels get logits. Prompt tuning runs on
the engine's own forward, the others on transformers'; all multiply by oneDNN, and in bfloat16 where tuning jobs do.

Runs take an hour or more, and are kept in time_to_accuracy.jsonl beside this file: those that are there are not made
again, so that ``make bench`` has only the updates to time. They were made on an EPYC with AVX-512 BF16. ``--runs``
names another file, to make all of them anew.
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
from .tuning import bfloat16

KEPT = Path(__file__).with_suffix(".jsonl")
MODEL = "smollm2"
GOAL = 0.93
SEEDS = range(5)
ASKED_EVERY = 5  # updates
ASKED_TOGETHER = 20  # rows
MOST_AT_ONCE = 2  # runs; full fine-tuning takes up to 7 GiB
LORA_RANK = 8
SHORT = {"prompt tuning": "prompt", "LoRA": "lora", "full fine-tuning": "full"}


@dataclass(frozen=True)
class Candidate:
    """A way to train that was tried.

    Args:
        method: a key of ``SHORT``.
        rate: peak learning rate.
        updates: of the whole run.
        rows: of an update.
        cut: the norm that longer gradients are cut to; ``None`` for none.
    """

    method: str
    rate: float
    updates: int
    rows: int = LOCAL_SETTINGS.batch_size
    cut: float | None = 1.0  # customary where a model's own weights are trained


AS_IN_THE_LESSON = Candidate("prompt tuning", LOCAL_SETTINGS.learning_rate, 90, cut=None)  # three passes
# Of what was tried, the best of each method: on an EPYC, and for prompt tuning on a GPU, in float32 both.
CHOSEN = (
    Candidate("prompt tuning", 0.02, 80, rows=4, cut=0.5),
    Candidate("LoRA", 0.003, 60),
    Candidate("full fine-tuning", 1e-4, 30),
)
CANDIDATES = (
    *CHOSEN,
    AS_IN_THE_LESSON,
    *(Candidate("prompt tuning", 0.02, updates, cut=cut) for cut in (None, 0.5) for updates in (40, 60)),
    *(Candidate("prompt tuning", 0.02, updates, rows=4, cut=0.5) for updates in (60, 100)),
    *(Candidate("LoRA", 0.001, updates) for updates in (20, 30, 40, 60)),
    *(Candidate("LoRA", 0.003, updates) for updates in (20, 30, 40)),
    Candidate("LoRA", 0.003, 80, rows=4),
    *(Candidate("full fine-tuning", 3e-5, updates) for updates in (20, 30)),
    Candidate("full fine-tuning", 1e-4, 20),
    Candidate("full fine-tuning", 1e-4, 40, rows=4),
)


@dataclass(frozen=True)
class Run:
    """One run's accuracy on the held-back quarter as it went.

    Args:
        candidate: how it trained.
        seed: of the quarter and of the rows' order.
        accuracy: by the number of updates made.
    """

    candidate: Candidate
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
    """Load the base model and make a method ready to train, with gradients cut as the settings say."""
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
        if settings.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(trained, settings.max_gradient_norm)
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


def measure(candidate: Candidate, seed: int, is_rounded: bool) -> Run:
    """Train on three quarters of the training reviews and follow the accuracy on the last.

    Args:
        candidate: how to train.
        seed: of the quarter and of the rows' order.
        is_rounded: whether to multiply in bfloat16.
    """
    settings = replace(settings_of(candidate), seed=seed)
    rows = read_rows(reviews_path("train"))
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1000 + seed)).tolist()
    quarter = len(rows) // 4
    held_back, kept = ([rows[index] for index in part] for part in (order[:quarter], order[quarter:]))
    data = encode_rows(kept, loading.load_tokenizer(MODEL), settings)
    training = begin(candidate.method, data, settings)
    accuracy = {}
    batches = islice(minibatches(len(data.rows), settings), candidate.updates)
    for step, (_, indices) in enumerate(batches, start=1):
        with numbers(is_rounded):
            training.update(indices, learning_rate_factor(step, candidate.updates))
        if step % ASKED_EVERY == 0 and step >= candidate.updates / 2:
            accuracy[step] = accuracy_of(training, held_back, settings)
    return Run(candidate, seed, accuracy)


def settings_of(candidate: Candidate) -> TuningSettings:
    """Give the lesson's settings, but for what a candidate has of its own, and with passes enough."""
    return replace(
        LOCAL_SETTINGS,
        learning_rate=candidate.rate,
        batch_size=candidate.rows,
        num_epochs=candidate.updates,
        max_gradient_norm=candidate.cut,
    )


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


def seconds_of_updates(candidates: Sequence[Candidate], is_rounded: bool, rounds: int = 3) -> dict[Candidate, float]:
    """Time an update of each candidate, in turn, three updates at a time; give medians.

    Args:
        candidates: whose updates.
        is_rounded: whether to multiply in bfloat16.
        rounds: how often each is timed.
    """
    data = encode_rows(read_rows(reviews_path("train")), loading.load_tokenizer(MODEL), LOCAL_SETTINGS)
    # So small a rate that the measurement does not depend on what is learnt.
    settings = replace(LOCAL_SETTINGS, learning_rate=1e-9, max_gradient_norm=1.0)
    trainings = {method: begin(method, data, settings) for method in {candidate.method for candidate in candidates}}
    # What is alike but for its rate and length takes alike.
    kinds = {(candidate.method, candidate.rows) for candidate in candidates}
    batches = {kind: minibatches(len(data.rows), replace(settings, batch_size=kind[1])) for kind in kinds}
    times: dict[tuple[str, int], list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind in sorted(kinds):
            three = [indices for _, indices in islice(batches[kind], 3)]
            took = seconds(partial(_make_updates, trainings[kind[0]], three, is_rounded)) / len(three)
            if number:  # the first round is not counted
                times[kind].append(took)
    return {candidate: statistics.median(times[candidate.method, candidate.rows]) for candidate in candidates}


def _make_updates(training: Training, batches: Sequence[list[int]], is_rounded: bool) -> None:
    with numbers(is_rounded):
        for indices in batches:
            training.update(indices, 1.0)


def read_runs(path: Path = KEPT) -> Iterator[Run]:
    """Read the runs that are kept; none if there is no file."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            candidate = Candidate(**fields["candidate"])
            accuracy = {int(step): value for step, value in fields["accuracy"].items()}
            yield Run(candidate, fields["seed"], accuracy)


def numbers(is_rounded: bool) -> AbstractContextManager[None]:
    """Give the block in which all methods learn."""
    return onednn.rounded_products() if is_rounded else nullcontext()


def rounds_here() -> bool:
    """Tell whether prompt tuning is faster in bfloat16 on this processor, and close enough, as a tuning job does."""
    return onednn.can_round() and bfloat16().passed


def runs_of(candidates: Sequence[Candidate], is_rounded: bool, path: Path = KEPT) -> dict[Candidate, list[Run]]:
    """Give the runs of all seeds; make those that are missing, one on each core, since they are not timed.

    Args:
        candidates: whose runs.
        is_rounded: whether to multiply in bfloat16.
        path: where runs are kept.
    """
    runs = {(run.candidate, run.seed): run for run in read_runs(path)}
    missing = [key for key in ((candidate, seed) for candidate in candidates for seed in SEEDS) if key not in runs]
    path.parent.mkdir(exist_ok=True)
    workers = min(os.cpu_count() or 1, MOST_AT_ONCE)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _use_one_thread, max_tasks_per_child=1) as pool:
        for made in as_completed([pool.submit(measure, *key, is_rounded) for key in missing]):
            run = made.result()
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(run)) + "\n")
            print(run, file=sys.stderr, flush=True)
            runs[run.candidate, run.seed] = run
    return {candidate: [runs[candidate, seed] for seed in SEEDS] for candidate in candidates}


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()


def seconds_to_goal() -> dict[str, float | None]:
    """Give each method's seconds to the goal at what was chosen for it; ``None`` if it does not get there."""
    is_rounded = rounds_here()
    runs, took = runs_of(CHOSEN, is_rounded), seconds_of_updates(CHOSEN, is_rounded)
    reached = {candidate: updates_to_goal(runs[candidate]) for candidate in CHOSEN}
    return {SHORT[candidate.method]: took[candidate] * steps if steps else None for candidate, steps in reached.items()}


def main() -> None:
    """Make the runs that are missing, time updates, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", action="append", choices=SHORT, help="leave the others out")
    parser.add_argument("--runs", type=Path, default=KEPT, help="where runs are kept")
    options = parser.parse_args()
    keep_freed_memory()
    wanted = [candidate for candidate in CANDIDATES if candidate.method in (options.method or SHORT)]
    is_rounded = rounds_here()
    runs, took = runs_of(wanted, is_rounded, options.runs), seconds_of_updates(wanted, is_rounded)
    print(
        "| method | rate | rows an update | gradients cut to | updates planned | accuracy at the end | updates to 0.93 "
        "| s an update | seconds to 0.93 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for candidate, alike in runs.items():
        end = statistics.mean(run.accuracy[candidate.updates] for run in alike)
        reached = updates_to_goal(alike)
        time = f"{reached * took[candidate]:.0f}" if reached else "not reached"
        print(
            f"| {candidate.method} | {candidate.rate:g} | {candidate.rows} | {candidate.cut or '-'} "
            f"| {candidate.updates} | {end:.3f} | {reached or '-'} | {took[candidate]:.2f} | {time} |"
        )


if __name__ == "__main__":
    main()
