"""Asks a network about reviews, in two ways: which of two words it would say next, and what it writes by itself.

All methods that have a base model are asked in this way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import common_prefix

ASKED_TOGETHER = {"cpu": 40, "cuda": 120}  # reviews
NEW_TOKENS = 10  # of an answer that is written freely, at most


@dataclass(frozen=True)
class Reply:
    """What a network says to one text.

    Args:
        margin: the logit of the second word less that of the first, right after the text.
        written: the token ids that it writes, greedily, up to the one that ends a text.
    """

    margin: float
    written: list[int]


def first_tokens(words: tuple[str, str], tokenizer: Any) -> tuple[int, int]:
    """Give the token ids that two words begin with."""
    negative, positive = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return negative[0], positive[0]


def no_soft_prompt(forward: TransformersModel) -> Tensor:
    """Make a soft prompt of no virtual tokens."""
    return forward.embedding.new_empty(0, forward.embedding.shape[1])


@torch.no_grad()
def ask(
    forward: TransformersModel,
    prompt: Tensor,
    tokens: Sequence[list[int]],
    words: tuple[int, int],
    ends: frozenset[int] = frozenset(),
    new_tokens: int = 1,
) -> list[Reply]:
    """Ask a network about texts.

    Args:
        forward: the network.
        prompt: the soft prompt before each text, ``[P, H]``.
        tokens: the token ids of each text.
        words: the token ids of the two words to choose between.
        ends: the token ids that end a text.
        new_tokens: how many it writes at most. The first costs nothing.
    """
    shared = common_prefix([tuple(text[:-1]) for text in tokens])  # each text keeps a token of its own
    device = forward.embedding.device
    start = torch.tensor(tokens[0][:shared], dtype=torch.long, device=device)
    prefix = torch.cat([prompt, forward.embed(start)])  # [P + shared, H]
    together = ASKED_TOGETHER[device.type]
    by_length = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))  # for little padding
    replies: dict[int, Reply] = {}
    for first in range(0, len(tokens), together):
        indices = by_length[first : first + together]
        texts = [tokens[index][shared:] for index in indices]
        replies |= zip(indices, _ask_together(forward, prefix, texts, words, ends, new_tokens), strict=True)
    return [replies[index] for index in range(len(tokens))]


def _ask_together(
    forward: TransformersModel,
    prefix: Tensor,
    texts: list[list[int]],
    words: tuple[int, int],
    ends: frozenset[int],
    new_tokens: int,
) -> list[Reply]:
    """Ask about B texts after a prefix ``[P, H]`` that they share; the longest has L tokens of its own."""
    network, device, batch = forward.network, prefix.device, len(texts)
    cache: Any = forward.new_cache().cache
    if len(prefix):
        network(inputs_embeds=prefix[None].clone(), past_key_values=cache, use_cache=True, logits_to_keep=1)
    before = cache.get_seq_length()
    cache.batch_repeat_interleave(batch)
    lengths = torch.tensor([len(text) for text in texts], device=device)  # [B]
    longest = max(map(len, texts))
    # Padded on the right, where no token of a causal model sees it; what is written later has to be kept from it.
    padded = torch.tensor([text + [0] * (longest - len(text)) for text in texts], device=device)  # [B, L]
    # Logits after the last token of each text alone: a vocabulary is large.
    states = network.base_model(inputs_embeds=forward.embed(padded), past_key_values=cache, use_cache=True)[0]
    last = states[torch.arange(batch, device=device), lengths - 1]  # [B, H]
    logits = network.get_output_embeddings()(last)  # [B, vocabulary]
    margins = (logits[:, words[1]] - logits[:, words[0]]).tolist()
    seen = torch.arange(longest, device=device) < lengths[:, None]  # [B, L]
    mask = torch.cat([seen.new_ones(batch, before), seen], dim=1)  # [B, P + L]
    end = torch.tensor(sorted(ends), dtype=torch.long, device=device)
    written = [logits.argmax(-1)]  # [B] each
    ended = torch.isin(written[0], end)  # [B]
    while len(written) < new_tokens and not ended.all():
        mask = torch.cat([mask, mask.new_ones(batch, 1)], dim=1)
        logits = network(
            inputs_embeds=forward.embed(written[-1][:, None]),
            attention_mask=mask.long(),
            position_ids=(before + lengths + len(written) - 1)[:, None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]  # [B, vocabulary]
        written.append(logits.argmax(-1))
        ended |= torch.isin(written[-1], end)
    answers = torch.stack(written, dim=1).tolist()
    return [Reply(margin, _until_end(answer, ends)) for margin, answer in zip(margins, answers, strict=True)]


def _until_end(tokens: list[int], ends: frozenset[int]) -> list[int]:
    return tokens[: next((place for place, token in enumerate(tokens) if token in ends), len(tokens))]
