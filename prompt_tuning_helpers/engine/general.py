"""The general path: causal language models of transformers, through their own forward and ``past_key_values``.

As on the fast path, the keys and values of the prefix are computed once per training step and shared by the batch. The
rows are padded on the right, where no token of a causal model sees the padding: so no mask is needed.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import onednn
from .causal_model import CausalModel, KVCache, PackedRows


class TransformersKVCache(KVCache):
    """A cache of transformers and the number of tokens in it.

    Args:
        cache: a ``DynamicCache``.
        length: the number of tokens that it holds.
    """

    def __init__(self, cache: Any, length: int) -> None:
        self.cache = cache
        self.length = length

    @property
    def capacity(self) -> int:
        """Return the number of tokens that memory is allocated for."""
        return self.length

    def copy(self, length: int) -> "TransformersKVCache":
        """Return a copy of the whole cache; not every kind of model can give a part of it."""
        assert length == self.length
        return TransformersKVCache(copy.deepcopy(self.cache), length)


class TransformersModel(CausalModel):
    """A causal language model that accepts ``inputs_embeds`` and keeps all that it keeps in a ``DynamicCache``.

    ``path_choice.choose_path`` finds out whether a model is one.

    Args:
        model: the transformers model, frozen, in evaluation mode.
        first_cache: makes the cache that every sequence starts from, for instance one with PEFT's prefix in it. By
            default, this is an empty cache.
    """

    can_reuse = False

    def __init__(self, model: Any, first_cache: Callable[[], Any] | None = None) -> None:
        self.network = model
        self._first_cache = first_cache or self._empty_cache
        self.embedding: Tensor = model.get_input_embeddings().weight.detach()

    def keep_only_in_use(self) -> None:
        """Let go of weights in bfloat16 if products take none now."""
        onednn.keep_only_in_use(self.network)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings ``[..., H]`` of token ids ``[...]``."""
        # By the model's own module: some families scale their embeddings there.
        embeddings: Tensor = self.network.get_input_embeddings()(tokens)
        return embeddings

    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Return the logits at the label positions, ``[labels, vocabulary]``, differentiable in ``[P, H]``."""
        cache = self._first_cache()
        if prefix.shape[0]:  # a copy of it, since some families scale their input in place
            self.network(inputs_embeds=prefix[None].clone(), past_key_values=cache, use_cache=True, logits_to_keep=1)
        batch, longest = len(rows.lengths), max(rows.lengths)
        cache.batch_repeat_interleave(batch)
        device = prefix.device
        lengths = torch.tensor(rows.lengths, device=device)  # [B]
        row = torch.repeat_interleave(torch.arange(batch, device=device), lengths)  # [T]
        padded = torch.zeros(batch, longest, dtype=torch.long, device=device)  # [B, L]
        padded[row, rows.offsets] = rows.tokens
        # The network gives logits at the columns where any row has a label, not at all: a vocabulary is large.
        kept, columns = rows.offsets[rows.label_positions].unique(return_inverse=True)  # [columns], [labels]
        logits = self.network(
            inputs_embeds=self.embed(padded).to(prefix.dtype),  # [B, L, H]
            past_key_values=cache,
            logits_to_keep=kept,
        ).logits  # [B, columns, vocabulary]
        picked: Tensor = logits[row[rows.label_positions], columns]  # [labels, vocabulary]
        return picked.float()

    @torch.no_grad()
    def extend(self, caches: list[KVCache], inputs: list[Tensor], keep: int = 1) -> Tensor:
        """Append embeddings ``[n, H]`` to each; return the logits after the last, ``[B * keep, vocabulary]``."""
        logits = []
        for cache, embeddings in zip(caches, inputs, strict=True):
            assert isinstance(cache, TransformersKVCache)
            output = self.network(
                inputs_embeds=embeddings[None].clone(),
                past_key_values=cache.cache,
                use_cache=True,
                logits_to_keep=keep,
            )
            cache.length += embeddings.shape[0]
            logits.append(output.logits[0, -keep:])
        return torch.cat(logits).float()

    def new_cache(self) -> TransformersKVCache:
        """Return the cache of a sequence that has no tokens yet."""
        cache = self._first_cache()
        return TransformersKVCache(cache, cache.get_seq_length())

    def _empty_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self.network.config)
