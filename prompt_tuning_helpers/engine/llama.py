"""The fast path: a lean forward of Llama-type models over packed sequences.

The soft prompt and every token that all rows share, the prefix, stand once at the head of one packed sequence; the
rows follow without padding between them. Every projection is one matrix product over that sequence, and each row
attends to the prefix and to itself. In a causal model the prefix does not depend on the row, so this is the ordinary
forward, not an approximation of it.

The blocks are those of Llama (Touvron et al., 2023, https://arxiv.org/abs/2302.13971): RMSNorm, rotary positions,
grouped-query attention and a gated feed-forward layer. ``llama_families.py`` says which models have such blocks.

Shapes: P prefix tokens, T row tokens, N = P + T, B rows, L the longest row, H hidden size, D head size, F feed-forward
size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .causal_model import CausalModel, KVCache, PackedRows
from .gated import gated
from .linear import FrozenLinear
from .llama_architecture import LlamaArchitecture
from .llama_families import FAMILIES, can_compute
from .threads import map_on_cores

DECODING_TOKENS = 8  # the most that a decoding step has
TOKENS_MULTIPLE = 32  # what longer inputs are filled up to


@dataclass(frozen=True)
class _Layer:
    """Frozen weights of one block; the gains of the norms are folded into the projections that follow them."""

    query_key_value: FrozenLinear  # H to (heads + 2 * kv_heads) * D
    head_gains: Tensor | None  # of the norms of each query and key, where there are any, [heads + kv_heads, D]
    output: FrozenLinear  # heads * D to H
    gate_up: FrozenLinear  # H to 2 * F
    down: FrozenLinear  # F to H


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
        """Attend with ``[N, heads, D]`` to ``[N, kv_heads, D]``; return ``[N, heads * D]``."""
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
        self._prefix_length, self._batch, self._longest, self._scale = prefix_length, batch, longest, scale

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend with ``[N, heads, D]`` to ``[N, kv_heads, D]``; return ``[N, heads * D]``."""
        length = self._prefix_length
        prefix_queries = queries[:length].transpose(0, 1)[None]  # [1, heads, P, D]
        prefix_keys = keys[:length].transpose(0, 1)[None]  # [1, kv_heads, P, D]
        prefix_values = values[:length].transpose(0, 1)[None]  # [1, kv_heads, P, D]
        prefix_outputs = _attend(prefix_queries, prefix_keys, prefix_values, self._scale, causal=True)
        prefix_outputs = prefix_outputs[0].transpose(0, 1)  # [P, heads, D]
        row_keys = self._after_prefix(prefix_keys, keys[length:])  # [B, kv_heads, P + L, D]
        row_values = self._after_prefix(prefix_values, values[length:])  # [B, kv_heads, P + L, D]
        row_queries = self._pad(queries[length:])  # [B, heads, L, D]
        row_outputs = _attend(row_queries, row_keys, row_values, self._scale, self._mask)  # [B, heads, L, D]
        row_outputs = row_outputs.transpose(1, 2).reshape(self._batch * self._longest, -1)  # [B * L, heads * D]
        row_outputs = row_outputs.index_select(0, self._slots)  # [T, heads * D]
        return torch.cat([prefix_outputs.reshape(length, -1), row_outputs])  # [N, heads * D]

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
        masks: of the sequences, as ``_cache_mask`` makes them; they serve all layers.
        scale: what the products of queries and keys are multiplied by.
    """

    def __init__(
        self, layer: int, caches: list[LlamaKVCache], lengths: list[int], masks: list[Tensor | None], scale: float
    ) -> None:
        self._layer, self._caches, self._lengths, self._masks, self._scale = layer, caches, lengths, masks, scale

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend with ``[N, heads, D]`` to ``[N, kv_heads, D]`` and the caches; return ``[N, heads * D]``."""
        outputs = []
        for cache, mask, own_queries, own_keys, own_values in zip(
            self._caches,
            self._masks,
            queries.split(self._lengths),  # [n, heads, D] each
            keys.split(self._lengths),  # [n, kv_heads, D] each
            values.split(self._lengths),  # [n, kv_heads, D] each
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


def _cache_mask(cache: LlamaKVCache, new: int) -> Tensor | None:
    """Tell which tokens each of ``new`` tokens after a cache attends to, ``[new, length + new]``.

    The mask is ``None`` for one new token, which attends to all, and for an empty cache, where causality is enough.
    """
    if new == 1 or cache.length == 0:
        return None
    mask = torch.ones(new, cache.length + new, dtype=torch.bool, device=cache.buffer.device)
    return mask.tril(cache.length)


class LlamaModel(CausalModel):
    """Checkpoints of Llama and the families like it, computed without transformers' modules.

    Args:
        architecture: what there is besides the weights.
        tensors: the weights, by the names that transformers gives them. Each is asked for once; without a
            ``lm_head.weight``, the embeddings give the logits, too.
    """

    can_reuse = True

    def __init__(self, architecture: LlamaArchitecture, tensors: Mapping[str, Tensor]) -> None:
        self.eps = architecture.eps
        self.heads, self.kv_heads, self.head_size = architecture.heads, architecture.kv_heads, architecture.head_size
        self.attention_scale = architecture.attention_scale
        self.embedding = tensors["model.embed_tokens.weight"]
        head = tensors.get("lm_head.weight")
        self.head = FrozenLinear(self.embedding, is_kept=True) if head is None else FrozenLinear(head)
        self.final_gain = tensors["model.norm.weight"]
        frequencies = architecture.frequencies
        self.frequencies = None if frequencies is None else frequencies.float().to(self.embedding.device)
        self.rotation_scale = architecture.rotation_scale
        self.embedding_multiplier = architecture.embedding_multiplier
        self.logits_scaling = architecture.logits_scaling
        blocks = [_Block(tensors, index) for index in range(architecture.layers)]
        self.layers = map_on_cores(lambda block: _layer(block, architecture), blocks)

    @classmethod
    def of_network(cls, network: Any) -> "LlamaModel":
        """Make one of a ``LlamaForCausalLM`` or the like, of a supported configuration; it is not needed afterwards."""
        return cls(LlamaArchitecture.of_network(network), network.state_dict())

    @staticmethod
    def supports(config: object) -> bool:
        """Tell whether a model of this transformers configuration can be computed here."""
        return can_compute(config)

    def prepare_for_gradients(self) -> None:
        """Lay the weights out for both directions."""
        for layer in self.layers:
            for linear in (layer.query_key_value, layer.output, layer.gate_up, layer.down):
                linear.serve_both_ways()
        self.head.serve_both_ways()

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings ``[..., H]`` of token ids ``[...]``."""
        return F.embedding(tokens, self.embedding)

    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Return the logits at the label positions, ``[labels, vocabulary]``, differentiable in the prefix."""
        length = prefix.shape[0]
        hidden = torch.cat([prefix, self.embed(rows.tokens).to(prefix.dtype)])  # [N, H]
        positions = torch.cat([torch.arange(length, device=prefix.device), length + rows.offsets])  # [N]
        attention = TrainingAttention(length, rows, self.attention_scale)
        hidden = self._blocks(hidden, positions, [attention] * len(self.layers), keep=length + rows.label_positions)
        return self._logits(hidden)

    @torch.no_grad()
    def extend(self, caches: list[KVCache], inputs: list[Tensor], keep: int = 1) -> Tensor:
        """Append embeddings ``[n, H]`` to each; return the logits after the last, ``[B * keep, vocabulary]``."""
        lengths = [embeddings.shape[0] for embeddings in inputs]
        device = inputs[0].device
        extended: list[LlamaKVCache] = []
        positions = []
        for cache, length in zip(caches, lengths, strict=True):
            assert isinstance(cache, LlamaKVCache)
            cache.reserve(cache.length + length)
            extended.append(cache)
            positions.append(torch.arange(cache.length, cache.length + length, device=device))
        ends = torch.tensor(lengths, device=device).cumsum(0)  # [B]
        last = (ends[:, None] - torch.arange(keep, 0, -1, device=device)).flatten()  # [B * keep]
        masks = [_cache_mask(cache, length) for cache, length in zip(extended, lengths, strict=True)]
        attentions = [
            CachedAttention(layer, extended, lengths, masks, self.attention_scale) for layer in range(len(self.layers))
        ]
        hidden = self._blocks(torch.cat(inputs), torch.cat(positions), attentions, keep=last)
        for cache, length in zip(caches, lengths, strict=True):
            cache.length += length
        return self._logits(hidden)

    def new_cache(self) -> LlamaKVCache:
        """Return the cache of a sequence that has no tokens yet."""
        return LlamaKVCache(len(self.layers), self.kv_heads, self.head_size, self.embedding)

    def _blocks(self, hidden: Tensor, positions: Tensor, attentions: Sequence[Attention], keep: Tensor) -> Tensor:
        """Put packed embeddings through all blocks.

        Args:
            hidden: the embeddings, ``[N, H]``.
            positions: of the tokens, ``[N]``.
            attentions: one for each layer.
            keep: the indices of the tokens that leave the last block, ``[kept]``.

        Returns:
            What the last block gives for the tokens to keep, ``[kept, H]``.
        """
        if self.embedding_multiplier != 1.0:
            hidden = hidden * self.embedding_multiplier
        size, heads, kv_heads = self.head_size, self.heads, self.kv_heads
        tokens, width = hidden.shape
        # oneDNN keeps a compiled kernel, of a good half megabyte, for each number of tokens it meets. Rows of zeros,
        # which no token attends to, make these numbers few. In the shapes below, M is the number of rows with these.
        filling = (0, 0, 0, -tokens % TOKENS_MULTIPLE if tokens > DECODING_TOKENS else 0)
        rotation = self._rotation(hidden, positions, filling)
        hidden = F.pad(hidden, filling)  # [M, H]
        for index, (layer, attend) in enumerate(zip(self.layers, attentions, strict=True)):
            normed = F.rms_norm(hidden, (width,), eps=self.eps)  # [M, H]
            projected = layer.query_key_value(normed).view(-1, heads + 2 * kv_heads, size)
            both = projected[:, : heads + kv_heads]  # queries and keys, [M, heads + kv_heads, D]
            if layer.head_gains is not None:
                both = F.rms_norm(both, (size,), eps=self.eps) * layer.head_gains
            if rotation is not None:
                both = _rotate(both, *rotation)
            queries, keys = both[:tokens, :heads], both[:tokens, heads:]  # [N, heads, D], [N, kv_heads, D]
            values = projected[:tokens, heads + kv_heads :]  # [N, kv_heads, D]
            attended = F.pad(attend(queries, keys, values), filling)  # [M, heads * D]
            if index == len(self.layers) - 1:
                hidden, attended = hidden[keep], attended[keep]  # [kept, H], [kept, heads * D]
            hidden = hidden + layer.output(attended)
            normed = F.rms_norm(hidden, (width,), eps=self.eps)
            hidden = hidden + layer.down(gated(layer.gate_up(normed)))
        return hidden

    def _rotation(self, hidden: Tensor, positions: Tensor, filling: tuple[int, ...]) -> tuple[Tensor, Tensor] | None:
        """Return the cosines and sines of positions ``[N]``, filled up: ``[M, 1, D]`` each, if the model rotates."""
        if self.frequencies is None:
            return None
        angles = positions[:, None].float() * self.frequencies  # [N, D / 2]
        angles = torch.cat([angles, angles], dim=-1)[:, None]  # [N, 1, D]
        cos, sin = ((part * self.rotation_scale).to(hidden.dtype) for part in (angles.cos(), angles.sin()))
        return F.pad(cos, (0, 0, *filling)), F.pad(sin, (0, 0, *filling))

    def _logits(self, hidden: Tensor) -> Tensor:
        normed = F.rms_norm(hidden, (hidden.shape[1],), self.final_gain, self.eps)
        return self.head(normed).float() / self.logits_scaling


class _Block:
    """The tensors of one block, by their names within it.

    Args:
        tensors: of the model.
        index: of the block.
    """

    def __init__(self, tensors: Mapping[str, Tensor], index: int) -> None:
        self._tensors, self._prefix = tensors, f"model.layers.{index}."

    def get(self, name: str) -> Tensor | None:
        """Return a tensor; ``None`` if the block has none of this name."""
        return self._tensors.get(self._prefix + name)

    @torch.no_grad()
    def fuse(self, names: Sequence[str], gain: str = "", multiplier: float = 1.0) -> FrozenLinear:
        """Make one linear map of several that have the same inputs.

        Args:
            names: of the maps.
            gain: the name of the norm before them, which the inputs are multiplied by.
            multiplier: what the outputs are multiplied by.
        """
        weight = torch.cat([self._tensors[f"{self._prefix}{name}.weight"] for name in names])  # [outputs, inputs]
        biases = [bias for name in names if (bias := self.get(f"{name}.bias")) is not None]
        if gain:
            weight *= self._tensors[f"{self._prefix}{gain}.weight"]
        return FrozenLinear(weight.mul_(multiplier), torch.cat(biases) * multiplier if biases else None)


def _layer(block: _Block, architecture: LlamaArchitecture) -> _Layer:
    """Take the weights of a block: projections of the same inputs in one, norms and multipliers folded in."""
    family, residual = FAMILIES[architecture.family], architecture.residual_multiplier
    query_norm, key_norm = block.get("self_attn.q_norm.weight"), block.get("self_attn.k_norm.weight")
    head_gains = None
    if query_norm is not None and key_norm is not None:
        head_gains = torch.stack([query_norm] * architecture.heads + [key_norm] * architecture.kv_heads)
    feed_forward = family.feed_forward
    return _Layer(
        query_key_value=block.fuse([f"self_attn.{name}_proj" for name in "qkv"], gain="input_layernorm"),
        head_gains=head_gains,
        output=block.fuse(["self_attn.o_proj"], multiplier=residual),
        gate_up=block.fuse([f"{feed_forward}.{name}" for name in family.gate_up], gain="post_attention_layernorm"),
        down=block.fuse([f"{feed_forward}.{family.down}"], multiplier=residual),
    )


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


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate ``[N, heads, D]`` by rotary position embeddings (Su et al., 2021, https://arxiv.org/abs/2104.09864).

    The layout is Llama's: the second half of a head holds the partners of the first.
    """
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-second, first], dim=-1) * sin
