"""How fast the engine tunes: against PEFT's own prompt tuning, and against the machine's matrix products."""

import copy
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from peft import PromptTuningConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from prompt_tuning_helpers.engine import TuningSettings, loading, onednn, sources
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.defaults import default_settings
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.job_folder import Job
from prompt_tuning_helpers.engine.linear import FrozenLinear
from prompt_tuning_helpers.engine.precision import Trial, try_bfloat16
from prompt_tuning_helpers.engine.rows import EncodedRows, TrainingRow, encode_rows, read_rows
from prompt_tuning_helpers.engine.soft_prompt import initialise
from prompt_tuning_helpers.engine.trainer import Trainer
from prompt_tuning_helpers.engine.tune import minibatches
from prompt_tuning_helpers.lesson import LOCAL_SETTINGS, reviews_path

from .measure import in_turn, seconds
from .peak_memory import peak_memory_mb

Rows = list[tuple[list[int], list[int]]]


def settings_of(virtual_tokens: int, rows: int = LOCAL_SETTINGS.batch_size) -> TuningSettings:
    """Give the lesson's settings, at another length of the soft prompt and number of rows a step."""
    return replace(LOCAL_SETTINGS, num_virtual_tokens=virtual_tokens, batch_size=rows)


def encoded(settings: TuningSettings) -> EncodedRows:
    """Encode the lesson's training rows."""
    return encode_rows(read_rows(reviews_path("train")), loading.load_tokenizer("smollm2"), settings)


def tune_vs_peft(virtual_tokens: int, rows: int = LOCAL_SETTINGS.batch_size) -> float:
    """Divide samples per second by PEFT's: the same rows, batches and optimizer; PEFT pads to the longest row.

    Args:
        virtual_tokens: of the soft prompt.
        rows: of a step.
    """
    settings = settings_of(virtual_tokens, rows)
    data = encoded(settings)
    ours, theirs = _our_steps(settings, data), _peft_steps(settings, data)
    rounds = 3 if rows <= LOCAL_SETTINGS.batch_size else 1  # PEFT's step of 32 rows takes 20 s
    return in_turn(lambda: next(ours), lambda: next(theirs), rounds).speed_up


def bfloat16(rounds: int = 3) -> Trial:
    """Compare a step in float32 and in bfloat16 as a tuning job does, over several whole minibatches; give medians."""
    data = encoded(LOCAL_SETTINGS)
    loaded = loading.load("smollm2")
    trainer = Trainer(loaded.model, initialise(loaded.model, loaded.tokenizer, LOCAL_SETTINGS), data, LOCAL_SETTINGS)
    batches = (indices for _, indices in minibatches(len(data.rows), LOCAL_SETTINGS))
    trials = [try_bfloat16(trainer, indices) for indices in islice(batches, rounds)]
    return Trial(
        speed_up=statistics.median(trial.speed_up for trial in trials),
        difference=statistics.median(trial.difference for trial in trials),
    )


def onednn_speed_up() -> float:
    """Divide the time of a step through a network of transformers, which multiplies by MKL, by its time by oneDNN."""
    data = encoded(LOCAL_SETTINGS)
    packed = pack(data.rows[: LOCAL_SETTINGS.batch_size])
    theirs = AutoModelForCausalLM.from_pretrained(sources.fetch("smollm2"), dtype=torch.float32).requires_grad_(False)
    ours = copy.deepcopy(theirs)
    onednn.speed_up(ours)
    prompt = TransformersModel(theirs).embed(torch.tensor(data.shared))  # [P, H]

    def step(network: Any) -> None:
        start = prompt.clone().requires_grad_()
        cross_entropy(TransformersModel(network).label_logits(start, packed), packed.labels).backward()

    return in_turn(lambda: step(ours), lambda: step(theirs), rounds=3).speed_up


def gemm_fraction() -> float:
    """Divide useful operations per second while tuning by those of a large float32 matrix product in the same run.

    The product is made by the same library as the engine's.
    """
    settings = LOCAL_SETTINGS
    data = encoded(settings)
    batches = [[data.rows[i] for i in indices] for _, indices in minibatches(len(data.rows), settings)]
    config = loading.load_config("smollm2")
    shared = settings.num_virtual_tokens + len(data.shared)
    steps = _our_steps(settings, data)
    size = 2048
    left, multiply = torch.randn(size, size), FrozenLinear(torch.randn(size, size))
    fractions = []
    next(steps)
    for batch in batches[1:8]:
        work = useful_operations(config, shared, batch)
        ours = seconds(lambda: next(steps))
        product = seconds(lambda: [multiply(left) for _ in range(10)]) / 10
        fractions.append(work / ours / (2 * size**3 / product))
    return statistics.median(fractions)


def useful_operations(config: Any, shared: int, rows: Rows) -> float:
    """Count the floating-point operations that a training step needs: forward, and backward to the activations.

    A product of [n, a] and [a, b] counts 2nab; twice that with its backward. Norms, activations and padding do not
    count. In the last block, only the positions with labels go beyond the keys and values.

    Args:
        config: of the model, a Llama, as transformers gives it.
        shared: the number of tokens before all rows.
        rows: of the minibatch.
    """
    hidden, blocks = config.hidden_size, config.num_hidden_layers
    inner_size = config.num_attention_heads * config.head_dim
    key_value_size = config.num_key_value_heads * config.head_dim
    labels = sum(len(outputs) for _, outputs in rows)
    lengths = [len(inputs) + len(outputs) - 1 for inputs, outputs in rows]
    tokens = shared + sum(lengths)
    query_key_value = hidden * (inner_size + 2 * key_value_size)
    output_and_feed_forward = hidden * (inner_size + 3 * config.intermediate_size)
    projections = blocks * tokens * query_key_value + ((blocks - 1) * tokens + labels) * output_and_feed_forward
    attended = shared * (shared + 1) / 2 + sum(n * shared + n * (n + 1) / 2 for n in lengths)
    attention = blocks * 4 * attended * inner_size
    head = labels * config.vocab_size * hidden
    return float(2 * (2 * projections + attention + 2 * head))


def tuning_memory_mb() -> float:
    """Measure a tuning job's peak memory on the lesson's settings, the base model included, in MiB.

    The job has half of the lesson's rows, and so enough steps to try its numbers as the lesson's does.
    """
    return _peak_of_job(160, "smollm2", LOCAL_SETTINGS)


def rows_scaling() -> float:
    """Divide time per row at 5,000 rows by that at 500: reading, encoding and one epoch on the tiny model.

    There the rows' own cost is not hidden behind the model's.
    """
    return 1 / (10 * in_turn(_epoch_of(5000), _epoch_of(500), rounds=2).speed_up)


def rows_memory() -> float:
    """Divide a tuning job's peak memory on 5,000 rows by that on 500, each in its own process, on the tiny model."""
    return _peak_of_job(5000) / _peak_of_job(500)


def _epoch_of(rows: int) -> Callable[[], None]:
    settings = replace(default_settings("tiny"), num_epochs=1)
    loaded = loading.load("tiny")

    def work() -> None:
        data = encode_rows(_many_rows(rows), loaded.tokenizer, settings)
        trainer = Trainer(loaded.model, initialise(loaded.model, loaded.tokenizer, settings), data, settings)
        for _, indices in minibatches(len(data.rows), settings):
            trainer.step(indices)

    return work


def _many_rows(rows: int) -> list[TrainingRow]:
    return list(islice(cycle(read_rows(reviews_path("train"))), rows))


def _our_steps(settings: TuningSettings, data: EncodedRows) -> Iterator[None]:
    loaded = loading.load("smollm2")
    prompt = initialise(loaded.model, loaded.tokenizer, settings)
    trainer = Trainer(loaded.model, prompt, data, settings)
    for _, indices in minibatches(len(data.rows), settings):
        trainer.step(indices)
        yield


def _peft_steps(settings: TuningSettings, data: EncodedRows) -> Iterator[None]:
    network = AutoModelForCausalLM.from_pretrained(sources.fetch("smollm2"), dtype=torch.float32)
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=settings.num_virtual_tokens)
    model: Any = get_peft_model(network, config)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=settings.learning_rate)
    for _, indices in minibatches(len(data.rows), settings):
        optimizer.zero_grad()
        model(**_padded(data.shared, [data.rows[i] for i in indices])).loss.backward()
        optimizer.step()
        yield


def _padded(shared: list[int], rows: Rows) -> dict[str, torch.Tensor]:
    longest = max(len(shared) + len(inputs) + len(outputs) for inputs, outputs in rows)
    columns: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "labels": []}
    for inputs, outputs in rows:
        tokens = shared + inputs + outputs
        padding = longest - len(tokens)
        columns["input_ids"].append(tokens + [0] * padding)
        columns["attention_mask"].append([1] * len(tokens) + [0] * padding)
        columns["labels"].append([-100] * (len(tokens) - len(outputs)) + outputs + [-100] * padding)
    return {name: torch.tensor(values) for name, values in columns.items()}


def _peak_of_job(rows: int, model: str = "tiny", settings: TuningSettings | None = None) -> float:
    """Measure the peak resident memory of a job of one epoch, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        data, job = Path(folder) / "rows.json", Path(folder) / "job"
        data.write_text(json.dumps([asdict(row) for row in _many_rows(rows)]), encoding="utf-8")
        Job(model, model, data, replace(settings or default_settings(model), num_epochs=1)).write(job)
        return peak_memory_mb([sys.executable, "-m", "prompt_tuning_helpers.engine", "tune", str(job)])
