"""Trains a classifier in each of the ways that are compared; it answers reviews and says what it cost.

PEFT provides prefix tuning and LoRA; prompt tuning is the engine's own. All methods that train a network see the same
rows in the same order, and what all rows share is computed once per step, whatever the method.
"""

import pickle
import random
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, singledispatch
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from prompt_tuning_helpers.engine import TuningSettings, loading
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import EncodedRows, TrainingRow, encode_inputs, encode_rows, wrap
from prompt_tuning_helpers.engine.soft_prompt import initialise, save
from prompt_tuning_helpers.engine.trainer import BETAS
from prompt_tuning_helpers.engine.tune import learning_rate_factor, minibatches, tune
from prompt_tuning_helpers.evaluation import LABELS
from prompt_tuning_helpers.lesson import review_of

from . import hard_prompts
from .asking import first_tokens, load_network, margins, no_soft_prompt
from .methods import (
    Candidate,
    FullFineTuning,
    GradientMethod,
    HardPrompt,
    LoRA,
    Method,
    PrefixTuning,
    PromptCandidate,
    PromptTuning,
    TfIdf,
)
from .plan import lesson_settings

MAX_GRADIENT_NORM = 1.0  # customary where a model's own weights are trained

Margins = Callable[[Sequence[str]], list[float]]


@dataclass(frozen=True)
class SoftPrompt:
    """A soft prompt with the model it belongs to.

    Args:
        initial: before tuning, ``[P, H]``.
        tuned: after tuning, ``[P, H]``.
        embedding: of the vocabulary, ``[vocabulary, H]``.
        tokenizer: of the model.
        margins: what the model says with any soft prompt in place of this one.
    """

    initial: Tensor
    tuned: Tensor
    embedding: Tensor
    tokenizer: Any
    margins: Callable[[Tensor, Sequence[str]], list[float]]


@dataclass(frozen=True)
class TrainedClassifier:
    """What has learnt the task, and what that took.

    Args:
        margins: for each prompt, how much more likely "satisfied" is than "not satisfied", as a difference of
            log-odds. Choosing the likelier of the two is kinder to an untaught model than reading what it writes.
        trained_parameters: how many numbers were learnt.
        saved_bytes: size of what has to be kept, without the base model where that stays as it is.
        tuning_seconds: of one processor core.
        peak_memory_mb: of the process up to the end of training, in MiB.
        soft_prompt: of prompt tuning.
    """

    margins: Margins
    trained_parameters: int
    saved_bytes: int
    tuning_seconds: float
    peak_memory_mb: float
    soft_prompt: SoftPrompt | None = None


@singledispatch
def train(
    method: Method, candidate: Candidate, rows: Sequence[TrainingRow], model: str, seed: int
) -> TrainedClassifier:
    """Train a classifier.

    Args:
        method: how to learn; each kind of method has an implementation below.
        candidate: one of the method's candidates, a learning rate for instance.
        rows: what to learn from.
        model: source of the base model.
        seed: of the rows' order and of random starting points.

    Raises:
        FloatingPointError: if the loss is no number any more.
    """
    raise TypeError(f"Nothing says how a {type(method).__name__} is trained.")


@train.register
def _write_prompt(
    method: HardPrompt, candidate: PromptCandidate, rows: Sequence[TrainingRow], model: str, seed: int
) -> TrainedClassifier:
    """Train nothing: the first rows, half of each label, are the examples of the prompt, in random order."""
    wording = hard_prompts.WORDINGS[candidate.wording]
    shown = [(row.input, row.output) for row in rows[: candidate.examples]]
    examples = random.Random(seed).sample(shown, len(shown))
    tokenizer = loading.load_tokenizer(model)
    write = partial(hard_prompts.write, wording, examples, tokenizer=tokenizer)
    asked = rows[0].input
    kept_bytes = len(write(asked).encode()) - len(review_of(asked).encode())
    ask = _asker(TransformersModel(load_network(model)), tokenizer, write, wording.words)
    return TrainedClassifier(ask, 0, kept_bytes, 0.0, peak_memory_mb())


@train.register
def _count_words(
    method: TfIdf, candidate: float, rows: Sequence[TrainingRow], model: str, seed: int
) -> TrainedClassifier:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=candidate, max_iter=1000))
    started = process_time()
    classifier.fit([review_of(row.input) for row in rows], [row.output for row in rows])
    seconds = process_time() - started

    def ask(prompts: Sequence[str]) -> list[float]:
        decided: list[float] = classifier.decision_function([review_of(p) for p in prompts]).tolist()
        return decided

    regression = classifier[-1]
    return TrainedClassifier(
        ask,
        trained_parameters=regression.coef_.size + regression.intercept_.size,
        saved_bytes=len(pickle.dumps(classifier)),
        tuning_seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
    )


@train.register
def _tune_prompt(
    method: PromptTuning, candidate: float, rows: Sequence[TrainingRow], model: str, seed: int
) -> TrainedClassifier:
    """Tune a soft prompt by the project's own engine."""
    settings = _tuning_settings(method, candidate, len(rows), seed, method.virtual_tokens, method.init_method)
    loaded = loading.load(model)
    data = encode_rows(rows, loaded.tokenizer, settings)
    initial = initialise(loaded.model, loaded.tokenizer, settings)
    started = process_time()
    tuned = tune(loaded.model, initial, data, settings)
    seconds, memory = process_time() - started, peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "soft_prompt", tuned, model, settings)
        saved_bytes = _size_of_weights(Path(folder))
    forward = TransformersModel(load_network(model))  # asked the same way as all others

    def ask_with(prompt: Tensor, prompts: Sequence[str]) -> list[float]:
        return _asker(forward, loaded.tokenizer, partial(wrap, settings.verbalizer), LABELS, prompt)(prompts)

    return TrainedClassifier(
        partial(ask_with, tuned),
        trained_parameters=tuned.numel(),
        saved_bytes=saved_bytes,
        tuning_seconds=seconds,
        peak_memory_mb=memory,
        soft_prompt=SoftPrompt(initial, tuned, forward.embedding, loaded.tokenizer, ask_with),
    )


@train.register
def _train_with_peft(
    method: GradientMethod, candidate: float, rows: Sequence[TrainingRow], model: str, seed: int
) -> TrainedClassifier:
    """Train by prefix tuning, LoRA or full fine-tuning."""
    settings = _tuning_settings(method, candidate, len(rows), seed)
    tokenizer = loading.load_tokenizer(model)
    data = encode_rows(rows, tokenizer, settings)
    torch.manual_seed(seed)
    adapted = adapt(method, load_network(model), tokenizer, settings.init_text or "")
    trained = [parameter for parameter in adapted.module.parameters() if parameter.requires_grad]
    started = process_time()
    _train(adapted.forward, trained, data, settings)
    seconds, memory = process_time() - started, peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        adapted.module.save_pretrained(folder)
        saved_bytes = _size_of_weights(Path(folder))
    return TrainedClassifier(
        _asker(adapted.forward, tokenizer, partial(wrap, settings.verbalizer), LABELS),
        trained_parameters=sum(parameter.numel() for parameter in trained),
        saved_bytes=saved_bytes,
        tuning_seconds=seconds,
        peak_memory_mb=memory,
    )


@dataclass(frozen=True)
class Adapted:
    """A network that is ready to be trained.

    Args:
        module: what is trained and saved: PEFT's model around the frozen network, or the network itself.
        forward: how it is computed.
    """

    module: Any
    forward: TransformersModel


@singledispatch
def adapt(method: GradientMethod, network: Any, tokenizer: Any, text: str) -> Adapted:
    """Make a frozen network ready to be trained.

    Args:
        method: what is trained in it or around it.
        network: as transformers gives it.
        tokenizer: of the network.
        text: that a prefix starts from.
    """
    raise TypeError(f"Nothing says what a {type(method).__name__} trains.")


@adapt.register
def _(method: PrefixTuning, network: Any, tokenizer: Any, text: str) -> Adapted:
    from peft import PrefixTuningConfig, get_peft_model, initialize_kv_prefix_from_text

    config = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=method.virtual_tokens)
    module = get_peft_model(network, config)
    # PEFT's random start of a prefix, far from any keys and values of the model, does not learn in so few steps.
    initialize_kv_prefix_from_text(module, tokenizer, text=text, use_chat_template=False)
    return Adapted(module, TransformersModel(network, first_cache=lambda: module.get_prompt(batch_size=1)))


@adapt.register
def _(method: LoRA, network: Any, tokenizer: Any, text: str) -> Adapted:
    from peft import LoraConfig, get_peft_model

    # Which matrices is PEFT's own choice for this kind of model: those of queries and values.
    config = LoraConfig(task_type="CAUSAL_LM", r=method.rank, lora_alpha=2 * method.rank)
    return Adapted(get_peft_model(network, config), TransformersModel(network))


@adapt.register
def _(method: FullFineTuning, network: Any, tokenizer: Any, text: str) -> Adapted:
    return Adapted(network.requires_grad_(True), TransformersModel(network))


def _tuning_settings(
    method: GradientMethod,
    learning_rate: float,
    rows: int,
    seed: int,
    virtual_tokens: int = 1,
    init_method: str = "random",
) -> TuningSettings:
    return TuningSettings(
        **lesson_settings(),
        num_virtual_tokens=virtual_tokens,
        init_method=init_method,
        learning_rate=learning_rate,
        num_epochs=method.epochs_on(rows),
        accumulate_steps=1,
        max_output_tokens=2,  # the label and the end of the text
        seed=seed,
    )


def _train(forward: TransformersModel, trained: list[Any], data: EncodedRows, settings: TuningSettings) -> None:
    """Train as the engine tunes: Adam on the cross-entropy of the outputs, the same batches and learning-rate schedule.

    Raises:
        FloatingPointError: if the loss is no number any more.
    """
    optimizer = torch.optim.Adam(trained, betas=BETAS)
    schedule = list(minibatches(len(data.rows), settings))
    shared = torch.tensor(data.shared, dtype=torch.long)
    for step, (_, indices) in enumerate(schedule, start=1):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(step, len(schedule))
        packed = pack([data.rows[index] for index in indices])
        loss = cross_entropy(forward.label_logits(forward.embed(shared), packed), packed.labels)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} in step {step}")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM)
        optimizer.step()


def _asker(
    forward: TransformersModel,
    tokenizer: Any,
    write: Callable[[str], str],
    words: tuple[str, str],
    soft_prompt: Tensor | None = None,
) -> Margins:
    """Ask for margins between two words, after what is written around each prompt, and after any soft prompt.

    Args:
        forward: the network.
        tokenizer: of the network.
        write: the whole text for a prompt of the lesson's files.
        words: for a negative and a positive answer.
        soft_prompt: ``[P, H]``.
    """
    tokens = first_tokens(words, tokenizer)
    prompt = no_soft_prompt(forward) if soft_prompt is None else soft_prompt

    def ask(prompts: Sequence[str]) -> list[float]:
        return margins(forward, prompt, encode_inputs([write(text) for text in prompts], tokenizer), tokens)

    return ask


def _size_of_weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def peak_memory_mb() -> float:
    """Give the peak resident memory of this process so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
