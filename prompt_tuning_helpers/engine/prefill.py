"""How the model reads prompts: once what several begin with alike, and long ones in parts."""

from pathlib import Path

from torch import Tensor, tensor

from .answer import Answer
from .causal_model import KVCache
from .errors import UnusableModel
from .loading import LoadedModel
from .rows import common_prefix
from .soft_prompt import unusable

READ_TOGETHER = 1024  # tokens of a prompt: what a step takes in memory and time does not grow with the prompt then
LEAST_SHARED = 16  # leading tokens of prompts, for which it is worth a step of its own to read them once


def read_waiting(loaded: LoadedModel, active: list[Answer]) -> list[tuple[Answer, Tensor]]:
    """Let the model read what answers wait with; of a long prompt a part, so that the other answers need not wait.

    Args:
        loaded: the model.
        active: the answers in progress, at least one.

    Returns:
        The answers of which it has read all, each with the logits of its next token, ``[vocabulary]``.
    """
    if loaded.model.can_reuse:
        _read_shared(loaded, active)
    parts = [answer.waiting[: READ_TOGETHER if loaded.model.can_reuse else None] for answer in active]
    logits = _extend(loaded, [answer.cache for answer in active], parts)
    for answer, part in zip(active, parts, strict=True):
        answer.waiting = answer.waiting[len(part) :]
    return [(answer, scores) for answer, scores in zip(active, logits, strict=True) if not answer.waiting]


def _read_shared(loaded: LoadedModel, active: list[Answer]) -> None:
    """Let the model read once what new prompts begin with alike, such as the examples of few-shot prompts.

    In a causal model, the keys and values of leading tokens depend on nothing after them, so all of these prompts may
    have copies of the same ones.
    """
    groups: dict[tuple[object, ...], list[Answer]] = {}
    for answer in active:
        begin = tuple(answer.tokens[: answer.tokens_read + LEAST_SHARED])
        if len(answer.waiting) > LEAST_SHARED:
            groups.setdefault((answer.request.soft_prompt, answer.tokens_read, begin), []).append(answer)
    for first, *others in groups.values():
        if not others:
            continue
        # Each prompt keeps a token of its own, whose logits are what is asked for.
        shared = common_prefix([tuple(answer.waiting[:-1]) for answer in (first, *others)])
        for start in range(0, shared, READ_TOGETHER):
            _extend(loaded, [first.cache], [first.waiting[start : min(start + READ_TOGETHER, shared)]])
        for answer in (first, *others):
            answer.waiting = answer.waiting[shared:]
        for answer in others:
            answer.cache = first.cache.copy(first.cache.length)


def _extend(loaded: LoadedModel, caches: list[KVCache], tokens: list[list[int]]) -> Tensor:
    """Let the model read tokens of several sequences; return the logits after the last of each, ``[B, vocabulary]``."""
    device = loaded.model.embedding.device
    inputs = [loaded.model.embed(tensor(own, device=device)) for own in tokens]
    return loaded.model.extend(caches, inputs)


def require_numbers(logits: Tensor, soft_prompt: Path | None) -> None:
    """Refuse logits that are no numbers.

    Args:
        logits: the model's, of any shape.
        soft_prompt: the folder of the soft prompt before them, if there is one.

    Raises:
        UnusableModel: saying that the soft prompt, or without one the model, is damaged.
    """
    if logits.max().isfinite():
        return
    if soft_prompt:
        raise unusable(soft_prompt, "with it, the model computes scores that are no numbers")
    raise UnusableModel(
        "The base model computes scores that are no numbers for this prompt: its weights are damaged. Save or copy the "
        "model to its folder again, then start the runtime again."
    )
