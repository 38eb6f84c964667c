"""Asks a network which of two words it would say next. All methods that have a base model are asked in this way."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from prompt_tuning_helpers.engine import sources
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import common_prefix

ASKED_TOGETHER = 40  # reviews


def load_network(model: str) -> Any:
    """Load the base model as transformers gives it, frozen, in evaluation mode and float32."""
    from transformers import AutoModelForCausalLM

    sources.quiet_libraries()
    network = AutoModelForCausalLM.from_pretrained(sources.fetch(model), dtype=torch.float32, use_safetensors=True)
    return network.eval().requires_grad_(False)


def first_tokens(words: tuple[str, str], tokenizer: Any) -> tuple[int, int]:
    """Give the token ids that two words begin with."""
    negative, positive = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return negative[0], positive[0]


def no_soft_prompt(forward: TransformersModel) -> Tensor:
    """Make a soft prompt of no virtual tokens."""
    return forward.embedding.new_empty(0, forward.embedding.shape[1])


@torch.no_grad()
def margins(
    forward: TransformersModel, prompt: Tensor, tokens: Sequence[list[int]], words: tuple[int, int]
) -> list[float]:
    """Give the logit of the second word less that of the first, after a soft prompt and each text.

    Args:
        forward: the network.
        prompt: the soft prompt, ``[P, H]``.
        tokens: the token ids of each text.
        words: the token ids of the two words.
    """
    shared = common_prefix([tuple(text[:-1]) for text in tokens])  # each text keeps a token of its own
    prefix = torch.cat([prompt, forward.embed(torch.tensor(tokens[0][:shared], dtype=torch.long))])
    by_length = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))  # for little padding
    found = [0.0] * len(tokens)
    for start in range(0, len(tokens), ASKED_TOGETHER):
        indices = by_length[start : start + ASKED_TOGETHER]
        logits = forward.label_logits(prefix, pack([(tokens[index][shared:], [words[0]]) for index in indices]))
        for index, margin in zip(indices, (logits[:, words[1]] - logits[:, words[0]]).tolist(), strict=True):
            found[index] = margin
    return found
