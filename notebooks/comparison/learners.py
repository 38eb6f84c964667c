"""Teaches the task in each of the ways that are compared; what comes out answers reviews and says what it cost.

PEFT provides prefix tuning and LoRA; prompt tuning is the engine's own. All methods that train a network see the same
rows in the same order, and what all rows share is computed once per update, whatever the method.
"""

import pickle
import random
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from prompt_tuning_helpers.engine import TuningSettings, models
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import GeneralForward
from prompt_tuning_helpers.engine.rows import (
    EncodedRows,
    TrainingRow,
    common_prefix,
    encode_inputs,
    encode_rows,
    wrap,
)
from prompt_tuning_helpers.engine.soft_prompt import initialise, save
from prompt_tuning_helpers.engine.tune import rate_of, schedule_of, tune
from prompt_tuning_helpers.engine.updater import BETAS

from . import hard_prompts
from .plan import CLASSIC, FULL_FINE_TUNING, HARD_PROMPT, LORA, PREFIX_TUNING, PROMPT_TUNING, Method

LABELS = ("0", "1")
MAX_GRADIENT_NORM = 1.0  # customary where a model's own weights are trained
ASKED_TOGETHER = 40  # reviews


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
class Learner:
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

    margins: Callable[[Sequence[str]], list[float]]
    trained_parameters: int
    saved_bytes: int
    tuning_seconds: float
    peak_memory_mb: float
    soft_prompt: SoftPrompt | None = None


def learn(model: str, method: Method, rows: Sequence[TrainingRow], candidate: str, lesson: dict[str, Any]) -> Learner:
    """Learn from some rows.

    Args:
        model: source of the base model.
        method: how to learn.
        rows: what to learn from.
        candidate: one of the method's candidates, a learning rate for instance.
        lesson: settings of the lesson that are the same for all methods, and the seed of the rows' order and of random
            starting points.
    """
    if method.family == HARD_PROMPT:
        return _write_prompt(model, rows, candidate, lesson["seed"])
    if method.family == CLASSIC:
        return _count_words(rows, float(candidate))
    settings = TuningSettings(
        **lesson,
        num_virtual_tokens=method.virtual_tokens or 1,
        init_method=method.init_method or "random",
        learning_rate=float(candidate),
        num_epochs=method.epochs_on(len(rows)),
        accumulate_steps=1,
        max_output_tokens=2,  # the label and the end of the text
    )
    train = _tune_prompt if method.family == PROMPT_TUNING else _train_weights
    return train(model, method, rows, settings)


def _write_prompt(model: str, rows: Sequence[TrainingRow], candidate: str, seed: int) -> Learner:
    """Nothing is trained: the first rows, half of each label, are the examples of the prompt, in random order."""
    name, shots = candidate.split()
    wording = hard_prompts.WORDINGS[name]
    shown = [(row.input, row.output) for row in rows[: int(shots)]]
    examples = random.Random(seed).sample(shown, len(shown))
    tokenizer = models.load_tokenizer(model)
    forward = GeneralForward(_load_network(model))
    words = _first_tokens(wording.words, tokenizer)

    def margins(prompts: Sequence[str]) -> list[float]:
        texts = [hard_prompts.write(wording, examples, prompt, tokenizer) for prompt in prompts]
        return _margins(forward, _nothing(forward), encode_inputs(texts, tokenizer), words)

    asked = rows[0].input
    written = hard_prompts.write(wording, examples, asked, tokenizer)
    kept_bytes = len(written.encode()) - len(hard_prompts.review_of(asked).encode())
    return Learner(margins, 0, kept_bytes, 0.0, peak_memory_mb())


def _count_words(rows: Sequence[TrainingRow], strength: float) -> Learner:
    """TF-IDF of words and pairs of words, and a logistic regression; no language model at all."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    classifier = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=strength, max_iter=1000))
    started = process_time()
    classifier.fit([hard_prompts.review_of(row.input) for row in rows], [row.output for row in rows])
    seconds = process_time() - started

    def margins(prompts: Sequence[str]) -> list[float]:
        decided: list[float] = classifier.decision_function([hard_prompts.review_of(p) for p in prompts]).tolist()
        return decided

    regression = classifier[-1]
    return Learner(
        margins,
        trained_parameters=regression.coef_.size + regression.intercept_.size,
        saved_bytes=len(pickle.dumps(classifier)),
        tuning_seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
    )


def _tune_prompt(model: str, method: Method, rows: Sequence[TrainingRow], settings: TuningSettings) -> Learner:
    loaded = models.load(model)
    data = encode_rows(rows, loaded.tokenizer, settings)
    initial = initialise(loaded.model, models.fetch(model), settings)
    started = process_time()
    tuned = tune(loaded.model, initial, data, settings)
    seconds, memory = process_time() - started, peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "soft_prompt", tuned, model, settings)
        saved_bytes = _size_of_weights(Path(folder))
    forward = GeneralForward(_load_network(model))  # asked the same way as all others
    words = _first_tokens(LABELS, loaded.tokenizer)

    def margins_with(prompt: Tensor, prompts: Sequence[str]) -> list[float]:
        texts = [wrap(settings.verbalizer, text) for text in prompts]
        return _margins(forward, prompt, encode_inputs(texts, loaded.tokenizer), words)

    return Learner(
        lambda prompts: margins_with(tuned, prompts),
        trained_parameters=tuned.numel(),
        saved_bytes=saved_bytes,
        tuning_seconds=seconds,
        peak_memory_mb=memory,
        soft_prompt=SoftPrompt(initial, tuned, forward.embedding, loaded.tokenizer, margins_with),
    )


def _train_weights(model: str, method: Method, rows: Sequence[TrainingRow], settings: TuningSettings) -> Learner:
    """Prefix tuning, LoRA or full fine-tuning."""
    from peft import initialize_kv_prefix_from_text

    tokenizer = models.load_tokenizer(model)
    data = encode_rows(rows, tokenizer, settings)
    torch.manual_seed(settings.seed)
    network = _load_network(model)
    adapter = _adapt(network, method)
    if method.init_method == "text":
        # PEFT's random start of a prefix, far from any keys and values of the model, does not learn in so few updates.
        initialize_kv_prefix_from_text(adapter, tokenizer, text=settings.init_text or "", use_chat_template=False)
    forward = _PrefixForward(network, adapter) if method.family == PREFIX_TUNING else GeneralForward(network)
    trained = [parameter for parameter in adapter.parameters() if parameter.requires_grad]
    started = process_time()
    _train(forward, trained, data, settings)
    seconds, memory = process_time() - started, peak_memory_mb()
    with tempfile.TemporaryDirectory() as folder:
        adapter.save_pretrained(folder)
        saved_bytes = _size_of_weights(Path(folder))
    words = _first_tokens(LABELS, tokenizer)

    def margins(prompts: Sequence[str]) -> list[float]:
        texts = [wrap(settings.verbalizer, text) for text in prompts]
        return _margins(forward, _nothing(forward), encode_inputs(texts, tokenizer), words)

    return Learner(
        margins,
        trained_parameters=sum(parameter.numel() for parameter in trained),
        saved_bytes=saved_bytes,
        tuning_seconds=seconds,
        peak_memory_mb=memory,
    )


def _adapt(network: Any, method: Method) -> Any:
    """What is trained: PEFT's model around the frozen network, or the network itself."""
    from peft import LoraConfig, PrefixTuningConfig, get_peft_model

    if method.family == PREFIX_TUNING:
        prefix = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=method.virtual_tokens)
        return get_peft_model(network, prefix)
    if method.family == LORA:
        # Which matrices is PEFT's own choice for this kind of model: those of queries and values.
        return get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", r=method.rank, lora_alpha=2 * method.rank))
    assert method.family == FULL_FINE_TUNING
    return network.requires_grad_(True)


class _PrefixForward(GeneralForward):
    """A network that starts from PEFT's trained keys and values."""

    def __init__(self, network: Any, adapter: Any) -> None:
        super().__init__(network)
        self._adapter = adapter

    def _empty_cache(self) -> Any:
        adapter = getattr(self, "_adapter", None)  # not there yet while the network is examined
        return adapter.get_prompt(batch_size=1) if adapter else super()._empty_cache()


def _train(forward: GeneralForward, trained: list[Any], data: EncodedRows, settings: TuningSettings) -> None:
    """As the engine tunes: Adam on the cross-entropy of the outputs, the same batches and course of the learning rate.

    Raises:
        FloatingPointError: if the loss is no number any more.
    """
    optimizer = torch.optim.Adam(trained, betas=BETAS)
    schedule = list(schedule_of(len(data.rows), settings))
    shared = torch.tensor(data.shared, dtype=torch.long)
    for update, (_, indices) in enumerate(schedule, start=1):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate_of(update, len(schedule))
        packed = pack([data.rows[index] for index in indices])
        loss = cross_entropy(forward.label_logits(forward.embed(shared), packed), packed.labels)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} in update {update}")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM)
        optimizer.step()


@torch.no_grad()
def _margins(
    forward: GeneralForward, prompt: Tensor, tokens: Sequence[list[int]], words: tuple[int, int]
) -> list[float]:
    """The logit of the second word less that of the first, after a soft prompt and each text's token ids."""
    shared = common_prefix(tokens)
    prefix = torch.cat([prompt, forward.embed(torch.tensor(tokens[0][:shared], dtype=torch.long))])
    by_length = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))  # for little padding
    found = [0.0] * len(tokens)
    for start in range(0, len(tokens), ASKED_TOGETHER):
        indices = by_length[start : start + ASKED_TOGETHER]
        logits = forward.label_logits(prefix, pack([(tokens[index][shared:], [words[0]]) for index in indices]))
        for index, margin in zip(indices, (logits[:, words[1]] - logits[:, words[0]]).tolist(), strict=True):
            found[index] = margin
    return found


def _first_tokens(words: tuple[str, str], tokenizer: Any) -> tuple[int, int]:
    negative, positive = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return negative[0], positive[0]


def _nothing(forward: GeneralForward) -> Tensor:
    """A soft prompt of no virtual tokens."""
    return forward.embedding.new_empty(0, forward.embedding.shape[1])


def _load_network(model: str) -> Any:
    """The base model as transformers gives it, frozen, in evaluation mode and float32."""
    from transformers import AutoModelForCausalLM

    models.quiet_libraries()
    network = AutoModelForCausalLM.from_pretrained(models.fetch(model), dtype=torch.float32, use_safetensors=True)
    return network.eval().requires_grad_(False)


def _size_of_weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def peak_memory_mb() -> float:
    """Peak resident memory of this process so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
