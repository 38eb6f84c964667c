"""The general path: any causal language model of transformers, through its own forward and ``past_key_values``.

As on the fast path, the keys and values of the prefix are computed once per training step and shared by the batch; the
rows are padded.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .causal_model import CausalModel, KVCache, PackedRows
from .errors import UnavailableModel


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
    """Any causal language model that accepts ``inputs_embeds`` and keeps its keys and values in a ``DynamicCache``.

    Args:
        model: the transformers model, frozen, in evaluation mode.
        first_cache: makes the cache that every sequence starts from, for instance one with PEFT's prefix in it. By
            default, this is an empty cache.

    Raises:
        UnavailableModel: if the model has no such cache.
    """

    can_reuse = False

    def __init__(self, model: Any, first_cache: Callable[[], Any] | None = None) -> None:
        parameters = inspect.signature(model.forward).parameters
        if not {"inputs_embeds", "past_key_values"} <= set(parameters):
            raise UnavailableModel(
                f"Models of type {model.config.model_type!r} take no past_key_values, which prompt tuning needs here. "
                "Use a decoder-only transformer, for instance of the Llama, Granite, GPT-2 or Qwen family.",
            )
        self.network = model
        self._first_cache = first_cache or self._empty_cache
        if not all(hasattr(layer, "batch_repeat_interleave") for layer in self._first_cache().layers):
            raise UnavailableModel(
                f"Models of type {model.config.model_type!r} keep a cache that the rows of a batch cannot share. "
                "Use a model that has attention in all its layers.",
            )
        self.embedding: Tensor = model.get_input_embeddings().weight.detach()

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings ``[..., H]`` of token ids ``[...]``."""
        # By the model's own module: some families scale their embeddings there.
        embeddings: Tensor = self.network.get_input_embeddings()(tokens)
        return embeddings

    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Return the logits at the label positions, ``[labels, vocabulary]``, differentiable in ``prefix`` ``[P, H]``.

        In the shapes below, S is the number of tokens that come before each row: those of the first cache and P.
        """
        cache = self._first_cache()
        cached: int = cache.get_seq_length()
        if prefix.shape[0]:
            self.network(inputs_embeds=prefix[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        shared, batch, longest = cached + prefix.shape[0], len(rows.lengths), max(rows.lengths)
        cache.batch_repeat_interleave(batch)
        device = prefix.device
        lengths = torch.tensor(rows.lengths, device=device)  # [B]
        row = torch.repeat_interleave(torch.arange(batch, device=device), lengths)  # [T]
        padded = torch.zeros(batch, longest, dtype=torch.long, device=device)  # [B, L]
        padded[row, rows.offsets] = rows.tokens
        attended = torch.arange(longest, device=device) < lengths[:, None]  # [B, L]
        mask = torch.cat([torch.ones(batch, shared, dtype=torch.bool, device=device), attended], dim=1).long()
        positions = torch.arange(shared, shared + longest, device=device).expand(batch, -1)  # [B, L]
        # The network gives logits at the columns where any row has a label, not at all: a vocabulary is large.
        kept, columns = rows.offsets[rows.label_positions].unique(return_inverse=True)  # [columns], [labels]
        logits = self.network(
            inputs_embeds=self.embed(padded).to(prefix.dtype),  # [B, L, H]
            attention_mask=mask,  # [B, S + L]
            position_ids=positions,
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
                inputs_embeds=embeddings[None], past_key_values=cache.cache, use_cache=True, logits_to_keep=keep
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
