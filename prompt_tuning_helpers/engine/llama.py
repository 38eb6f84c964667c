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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .causal_model import CausalModel, KVCache, PackedRows
from .gated import gated
from .linear import FrozenLinear
from .llama_architecture import LlamaArchitecture
from .llama_attention import Attention, CachedAttention, LlamaKVCache, TrainingAttention, cache_mask
from .llama_families import FAMILIES, can_compute
from .memory import hand_back_freed_memory
from .rotary import rotate
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
        # Products of the labels' positions alone: nothing is to be gained by rounding them.
        self.head = FrozenLinear(self.embedding if head is None else head, is_kept=head is None, is_exact=True)
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
        for linear in self._linears():
            linear.serve_both_ways()
            hand_back_freed_memory()  # each time, or the model would be there twice for a moment

    def keep_only_in_use(self) -> None:
        """Let go of the weights in all numbers but those that products take now."""
        for linear in self._linears():
            linear.keep_only_in_use()
            hand_back_freed_memory()

    def _linears(self) -> Iterator[FrozenLinear]:
        for layer in self.layers:
            yield from (layer.query_key_value, layer.output, layer.gate_up, layer.down)
        yield self.head

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
        masks = [cache_mask(cache, length) for cache, length in zip(extended, lengths, strict=True)]
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
            # Queries and keys, [M, heads + kv_heads, D], and values, [M, kv_heads, D]. Splitting costs less than
            # indexing when gradients come back.
            both, values = projected.split([heads + kv_heads, kv_heads], dim=1)
            if layer.head_gains is not None:
                both = F.rms_norm(both, (size,), eps=self.eps) * layer.head_gains
            if rotation is not None:
                both = rotate(both, *rotation)
            queries, keys = both.split([heads, kv_heads], dim=1)  # [M, heads, D], [M, kv_heads, D]
            attended = F.pad(attend(queries, keys, values), filling)  # [M, heads * D]
            if index == len(self.layers) - 1:
                hidden, attended = hidden[keep], attended[keep]  # [kept, H], [kept, heads * D]
            hidden = hidden + layer.output(attended)
            normed = F.rms_norm(hidden, (width,), eps=self.eps)
            hidden = hidden + layer.down(gated(layer.gate_up(normed)))
        return hidden

    def _rotation(self, hidden: Tensor, positions: Tensor, filling: tuple[int, ...]) -> tuple[Tensor, Tensor] | None:
        """Return cosines and sines of positions ``[N]``, filled up: ``[M, 1, D / 2]`` each, if the model rotates."""
        if self.frequencies is None:
            return None
        angles = (positions[:, None].float() * self.frequencies)[:, None]  # [N, 1, D / 2]
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
    def fuse(
        self, names: Sequence[str], gain: str = "", multiplier: float = 1.0, is_exact: bool = False
    ) -> FrozenLinear:
        """Make one linear map of several that have the same inputs.

        Args:
            names: of the maps.
            gain: the name of the norm before them, which the inputs are multiplied by.
            multiplier: what the outputs are multiplied by.
            is_exact: whether its weights stay in float32 where results would be rounded, too.
        """
        weight = torch.cat([self._tensors[f"{self._prefix}{name}.weight"] for name in names])  # [outputs, inputs]
        biases = [bias for name in names if (bias := self.get(f"{name}.bias")) is not None]
        if gain:
            weight *= self._tensors[f"{self._prefix}{gain}.weight"]
        bias = torch.cat(biases) * multiplier if biases else None
        return FrozenLinear(weight.mul_(multiplier), bias, is_exact=is_exact)


def _layer(block: _Block, architecture: LlamaArchitecture) -> _Layer:
    """Take the weights of a block: projections of the same inputs in one, norms and multipliers folded in."""
    family, residual = FAMILIES[architecture.family], architecture.residual_multiplier
    query_norm, key_norm = block.get("self_attn.q_norm.weight"), block.get("self_attn.k_norm.weight")
    head_gains = None
    if query_norm is not None and key_norm is not None:
        head_gains = torch.stack([query_norm] * architecture.heads + [key_norm] * architecture.kv_heads)
    feed_forward = family.feed_forward
    return _Layer(
        # Exact, for the reason that onednn.QUERIES_AND_KEYS gives.
        query_key_value=block.fuse([f"self_attn.{name}_proj" for name in "qkv"], gain="input_layernorm", is_exact=True),
        head_gains=head_gains,
        output=block.fuse(["self_attn.o_proj"], multiplier=residual),
        gate_up=block.fuse([f"{feed_forward}.{name}" for name in family.gate_up], gain="post_attention_layernorm"),
        down=block.fuse([f"{feed_forward}.{family.down}"], multiplier=residual),
    )
