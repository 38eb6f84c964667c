"""Attention of the fast path: while training, of rows that share a prefix; while answering, of sequences with caches.

Shapes: P prefix tokens, T row tokens, N = P + T, M = N and what fills up, B rows, L the longest row, D head size.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .causal_model import KVCache, PackedRows


class LlamaKVCache(KVCache):
    """The keys and values of one sequence, in a buffer ``[layers, 2, kv_heads, capacity, D]`` that grows in steps.

    Args:
        layers: of the model.
        kv_heads: the number of heads that keys and values have.
        head_size: D.
        like: a tensor whose device and type the buffer takes.
    """

    _CAPACITY_STEP = 64

    def __init__(self, layers: int, kv_heads: int, head_size: int, like: Tensor) -> None:
        self.length = 0
        self.buffer = like.new_empty(layers, 2, kv_heads, 0, head_size)

    @property
    def capacity(self) -> int:
        """Return the number of tokens that memory is allocated for."""
        return self.buffer.shape[3]

    def reserve(self, tokens: int) -> None:
        """Allocate memory for ``tokens`` tokens in all."""
        if tokens > self.capacity:
            layers, two, heads, _, size = self.buffer.shape
            capacity = -(-tokens // self._CAPACITY_STEP) * self._CAPACITY_STEP
            grown = self.buffer.new_empty(layers, two, heads, capacity, size)
            grown[:, :, :, : self.length] = self.buffer[:, :, :, : self.length]
            self.buffer = grown

    def copy(self, length: int) -> "LlamaKVCache":
        """Return a cache of its own that holds the first ``length`` tokens of this one."""
        layers, _, heads, _, size = self.buffer.shape
        copy = LlamaKVCache(layers, heads, size, self.buffer)
        copy.reserve(length)
        copy.buffer[:, :, :, :length] = self.buffer[:, :, :, :length]
        copy.length = length
        return copy


class Attention(Protocol):
    """How the tokens of one layer attend to each other."""

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend with ``[M, heads, D]`` to ``[M, kv_heads, D]``; return ``[N, heads * D]``.

        The first N of M tokens count; the others only fill up.
        """
        ...


class TrainingAttention:
    """Attention of the prefix to itself, and of each row to the prefix and itself.

    Args:
        prefix_length: P.
        rows: what follows the prefix.
        scale: what the products of queries and keys are multiplied by.
    """

    def __init__(self, prefix_length: int, rows: PackedRows, scale: float) -> None:
        batch, longest, device = len(rows.lengths), max(rows.lengths), rows.tokens.device
        lengths = torch.tensor(rows.lengths, device=device)  # [B]
        row = torch.repeat_interleave(torch.arange(batch, device=device), lengths)  # [T]
        # Rows are padded on the right here, and only here. Causality alone keeps a row's tokens from its padding, so
        # one mask serves all rows.
        causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()  # [L, L]
        prefix = torch.ones(longest, prefix_length, dtype=torch.bool, device=device)  # [L, P]
        self._mask = torch.cat([prefix, causal], dim=1)  # [L, P + L]
        self._slots = row * longest + rows.offsets  # [T], where each token goes among the padded rows
        # For each slot, the token that goes there; the padding gets what comes after all tokens, a row of zeros.
        self._sources = torch.full((batch * longest,), len(row), device=device)  # [B * L]
        self._sources[self._slots] = torch.arange(len(row), device=device)
        self._prefix_length, self._tokens, self._scale = prefix_length, len(row), scale
        self._batch, self._longest = batch, longest

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend with ``[M, heads, D]`` to ``[M, kv_heads, D]``; return ``[N, heads * D]``."""
        parts = [self._prefix_length, self._tokens, len(queries) - self._prefix_length - self._tokens]
        (prefix_queries, own_queries), (prefix_keys, own_keys), (prefix_values, own_values) = (
            each.split(parts)[:2] for each in (queries, keys, values)
        )
        prefix_queries = prefix_queries.transpose(0, 1)[None]  # [1, heads, P, D]
        prefix_keys = prefix_keys.transpose(0, 1)[None]  # [1, kv_heads, P, D]
        prefix_values = prefix_values.transpose(0, 1)[None]  # [1, kv_heads, P, D]
        prefix_outputs = _attend(prefix_queries, prefix_keys, prefix_values, self._scale, causal=True)
        prefix_outputs = prefix_outputs[0].transpose(0, 1)  # [P, heads, D]
        row_keys = self._after_prefix(prefix_keys, own_keys)  # [B, kv_heads, P + L, D]
        row_values = self._after_prefix(prefix_values, own_values)  # [B, kv_heads, P + L, D]
        row_queries = self._pad(own_queries)  # [B, heads, L, D]
        row_outputs = _attend(row_queries, row_keys, row_values, self._scale, self._mask)  # [B, heads, L, D]
        row_outputs = row_outputs.transpose(1, 2).reshape(self._batch * self._longest, -1)  # [B * L, heads * D]
        row_outputs = row_outputs.index_select(0, self._slots)  # [T, heads * D]
        return torch.cat([prefix_outputs.flatten(1), row_outputs])  # [N, heads * D]

    def _after_prefix(self, prefix: Tensor, packed: Tensor) -> Tensor:
        """Put rows ``[T, kv_heads, D]`` after the prefix ``[1, kv_heads, P, D]``: ``[B, kv_heads, P + L, D]``."""
        return torch.cat([prefix.expand(self._batch, -1, -1, -1), self._pad(packed)], dim=2)

    def _pad(self, packed: Tensor) -> Tensor:
        """Pad packed rows ``[T, heads, D]`` to the longest: ``[B, heads, L, D]``."""
        # Unlike index_copy, this does not keep the tokens for the backward pass.
        padded = F.pad(packed, (0, 0, 0, 0, 0, 1)).index_select(0, self._sources)  # [B * L, heads, D]
        return padded.view(self._batch, self._longest, *packed.shape[1:]).transpose(1, 2)


class CachedAttention:
    """Attention of each sequence's new tokens to its cache and themselves, one sequence at a time.

    Args:
        layer: the index of the layer, for the caches.
        caches: of the sequences; the new keys and values are added to them.
        lengths: the number of new tokens of each sequence, n.
        masks: of the sequences, as ``cache_mask`` makes them; they serve all layers.
        scale: what the products of queries and keys are multiplied by.
    """

    def __init__(
        self, layer: int, caches: list[LlamaKVCache], lengths: list[int], masks: list[Tensor | None], scale: float
    ) -> None:
        self._layer, self._caches, self._lengths, self._masks, self._scale = layer, caches, lengths, masks, scale

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend with ``[M, heads, D]`` to ``[M, kv_heads, D]`` and the caches; return ``[N, heads * D]``."""
        outputs = []
        tokens = sum(self._lengths)
        for cache, mask, own_queries, own_keys, own_values in zip(
            self._caches,
            self._masks,
            queries[:tokens].split(self._lengths),  # [n, heads, D] each
            keys[:tokens].split(self._lengths),  # [n, kv_heads, D] each
            values[:tokens].split(self._lengths),  # [n, kv_heads, D] each
            strict=True,
        ):
            new = own_queries.shape[0]
            begin, end = cache.length, cache.length + new
            cache.buffer[self._layer, 0, :, begin:end] = own_keys.transpose(0, 1)  # [kv_heads, n, D]
            cache.buffer[self._layer, 1, :, begin:end] = own_values.transpose(0, 1)  # [kv_heads, n, D]
            all_keys, all_values = cache.buffer[self._layer, :, None, :, :end]  # [1, kv_heads, end, D] each
            batched = own_queries.transpose(0, 1)[None]  # [1, heads, n, D]
            attended = _attend(batched, all_keys, all_values, self._scale, mask, causal=mask is None and new > 1)
            outputs.append(attended[0].transpose(0, 1).reshape(new, -1))  # [n, heads * D]
        return torch.cat(outputs)  # [N, heads * D]


def cache_mask(cache: LlamaKVCache, new: int) -> Tensor | None:
    """Tell which tokens each of ``new`` tokens after a cache attends to, ``[new, length + new]``.

    The mask is ``None`` for one new token, which attends to all, and for an empty cache, where causality is enough.
    """
    if new == 1 or cache.length == 0:
        return None
    mask = torch.ones(new, cache.length + new, dtype=torch.bool, device=cache.buffer.device)
    return mask.tril(cache.length)


def _attend(
    queries: Tensor, keys: Tensor, values: Tensor, scale: float, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Compute grouped-query attention (Ainslie et al., 2023, https://arxiv.org/abs/2305.13245).

    Args:
        queries: ``[B, heads, n, D]``.
        keys: ``[B, kv_heads, m, D]``.
        values: ``[B, kv_heads, m, D]``.
        scale: what the products of queries and keys are multiplied by.
        mask: which keys each query attends to, ``[n, m]``; all by default.
        causal: whether each query attends to no later keys, where n is m.

    Returns:
        ``[B, heads, n, D]``.
    """
    return F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=True
    )
