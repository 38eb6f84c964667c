"""The fast path: a lean forward of Llama-type models over packed sequences.

The soft prompt and every token that all rows share, the prefix, stand once at the head of one packed sequence; the
rows follow without padding between them. Every projection is one matrix product over that sequence, and each row
attends to the prefix and to itself. In a causal model the prefix does not depend on the row, so this is the ordinary
forward, not an approximation of it.

Shapes: P prefix tokens, T row tokens, N = P + T, B rows, L the longest row, H hidden size, D head size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .causal_model import CausalModel, PackedRows, Past
from .linear import FrozenLinear

FEW_TOKENS = 8  # what a step of decoding has at most
TOKENS_STEP = 32

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class _Layer:
    """Frozen weights of one block; the gains of the norms are folded into the projections that follow them."""

    query_key_value: FrozenLinear  # H to (heads + 2 * kv_heads) * D
    output: FrozenLinear  # heads * D to H
    gate_up: FrozenLinear  # H to 2 * F
    down: FrozenLinear  # F to H


class LlamaPast(Past):
    """Keys and values of one sequence, in buffers that grow in steps.

    Args:
        layers, kv_heads, head_size: the model's dimensions.
        like: a tensor whose device and type the buffers take.
    """

    _STEP = 64

    def __init__(self, layers: int, kv_heads: int, head_size: int, like: Tensor) -> None:
        self.length = 0
        self.buffer = like.new_empty(layers, 2, kv_heads, 0, head_size)

    @property
    def room(self) -> int:
        """Tokens that memory is taken for."""
        return self.buffer.shape[3]

    def reserve(self, tokens: int) -> None:
        """Make room for this many tokens in all."""
        if tokens > self.room:
            layers, two, heads, _, size = self.buffer.shape
            grown = self.buffer.new_empty(layers, two, heads, -(-tokens // self._STEP) * self._STEP, size)
            grown[:, :, :, : self.length] = self.buffer[:, :, :, : self.length]
            self.buffer = grown

    def copy(self, length: int) -> "LlamaPast":
        """The first ``length`` tokens of this past, as a past of its own."""
        layers, _, heads, _, size = self.buffer.shape
        copy = LlamaPast(layers, heads, size, self.buffer)
        copy.reserve(length)
        copy.buffer[:, :, :, :length] = self.buffer[:, :, :, :length]
        copy.length = length
        return copy


class LlamaForward(CausalModel):
    """Llama and Granite (dense) checkpoints, computed without transformers' modules.

    Args:
        model: a ``LlamaForCausalLM`` or ``GraniteForCausalLM`` in evaluation mode; it is not needed afterwards.
    """

    can_reuse = True

    def __init__(self, model: Any) -> None:
        config = model.config
        body = model.model
        self.eps: float = config.rms_norm_eps
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.head_size: int = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.embedding: Tensor = body.embed_tokens.weight.detach()
        self.head = FrozenLinear(model.lm_head.weight)
        self.final_gain: Tensor = body.norm.weight.detach()
        self.rotary: Any = body.rotary_emb
        # Granite's multipliers; a Llama has none of them.
        self.embedding_multiplier: float = getattr(config, "embedding_multiplier", 1.0)
        self.attention_scale: float = getattr(config, "attention_multiplier", self.head_size**-0.5)
        self.logits_scaling: float = getattr(config, "logits_scaling", 1.0)
        residual: float = getattr(config, "residual_multiplier", 1.0)
        self.layers = [self._fuse(block, residual) for block in body.layers]

    @staticmethod
    def supports(config: object) -> bool:
        """Whether a model of this transformers configuration can be computed here."""
        return (
            getattr(config, "model_type", None) in ("llama", "granite")
            and getattr(config, "hidden_act", None) == "silu"
            and not getattr(config, "attention_bias", False)
            and not getattr(config, "mlp_bias", False)
        )

    @staticmethod
    @torch.no_grad()
    def _fuse(block: Any, residual: float) -> _Layer:
        attention, mlp = block.self_attn, block.mlp
        query_key_value = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        return _Layer(
            query_key_value=FrozenLinear(query_key_value * block.input_layernorm.weight),
            output=FrozenLinear(attention.o_proj.weight * residual),
            gate_up=FrozenLinear(gate_up * block.post_attention_layernorm.weight),
            down=FrozenLinear(mlp.down_proj.weight * residual),
        )

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings of token ids: ``[...]`` to ``[..., H]``."""
        return F.embedding(tokens, self.embedding)

    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Logits at the label positions, ``[labels, vocabulary]``, differentiable in ``prefix`` ``[P, H]``."""
        shared = prefix.shape[0]
        hidden = torch.cat([prefix, self.embed(rows.tokens).to(prefix.dtype)])
        positions = torch.cat([torch.arange(shared, device=prefix.device), shared + rows.offsets])
        hidden = self._blocks(hidden, positions, self._attend_rows(shared, rows), keep=shared + rows.label_positions)
        return self._logits(hidden)

    @torch.no_grad()
    def extend(self, pasts: list[Past], inputs: list[Tensor]) -> Tensor:
        """Append embeddings ``[n_i, H]`` to each sequence; the logits after their last tokens, ``[B, vocabulary]``."""
        lengths = [embeddings.shape[0] for embeddings in inputs]
        for past, length in zip(pasts, lengths, strict=True):
            assert isinstance(past, LlamaPast)
            past.reserve(past.length + length)
        device = inputs[0].device
        positions = torch.cat(
            [torch.arange(p.length, p.length + n, device=device) for p, n in zip(pasts, lengths, strict=True)]
        )
        last = torch.tensor(lengths, device=device).cumsum(0) - 1
        hidden = self._blocks(torch.cat(inputs), positions, self._attend_pasts(pasts, lengths), keep=last)
        for past, length in zip(pasts, lengths, strict=True):
            past.length += length
        return self._logits(hidden)

    def new_past(self) -> LlamaPast:
        """The past of a sequence that has no tokens yet."""
        return LlamaPast(len(self.layers), self.kv_heads, self.head_size, self.embedding)

    def _blocks(self, hidden: Tensor, positions: Tensor, attend: Attend, keep: Tensor) -> Tensor:
        """All blocks over packed embeddings ``[N, H]``; only the positions ``keep`` leave the last one."""
        if self.embedding_multiplier != 1.0:
            hidden = hidden * self.embedding_multiplier
        cos, sin = (part[0, :, None].to(hidden.dtype) for part in self.rotary(hidden[None], positions[None]))
        size, heads, kv_heads = self.head_size, self.heads, self.kv_heads
        tokens, width = hidden.shape
        # oneDNN keeps a compiled kernel, of a good half megabyte, for each number of tokens it meets. Rows of zeros,
        # which stay zero to the end, make these numbers few.
        filling = (0, 0, 0, -tokens % TOKENS_STEP if tokens > FEW_TOKENS else 0)
        hidden, cos, sin = F.pad(hidden, filling), F.pad(cos, (0, 0, *filling)), F.pad(sin, (0, 0, *filling))
        for index, layer in enumerate(self.layers):
            normed = F.rms_norm(hidden, (width,), eps=self.eps)
            projected = layer.query_key_value(normed).view(-1, heads + 2 * kv_heads, size)
            rotated = _rotate(projected[:, : heads + kv_heads], cos, sin)
            query, key, value = rotated[:, :heads], rotated[:, heads:], projected[:, heads + kv_heads :]
            attended = F.pad(attend(index, query[:tokens], key[:tokens], value[:tokens]), filling)
            if index == len(self.layers) - 1:
                hidden, attended = hidden[keep], attended[keep]
            hidden = hidden + layer.output(attended)
            normed = F.rms_norm(hidden, (width,), eps=self.eps)
            gate, up = layer.gate_up(normed).chunk(2, dim=-1)
            hidden = hidden + layer.down(F.silu(gate) * up)
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        normed = F.rms_norm(hidden, (hidden.shape[1],), self.final_gain, self.eps)
        return self.head(normed).float() / self.logits_scaling

    def _attend_rows(self, shared: int, rows: PackedRows) -> Attend:
        """Attention of the prefix to itself, and of each row to the prefix and itself."""
        batch, longest = len(rows.lengths), max(rows.lengths)
        device = rows.tokens.device
        lengths = torch.tensor(rows.lengths, device=device)
        slots = torch.repeat_interleave(torch.arange(batch, device=device), lengths) * longest + rows.offsets
        # Rows are padded on the right here, and only here. Causality alone keeps a row's tokens from its padding, so
        # one mask serves all rows.
        causal = torch.ones(longest, longest, dtype=torch.bool, device=device).tril()
        mask = torch.cat([torch.ones(longest, shared, dtype=torch.bool, device=device), causal], dim=1)

        def pad(packed: Tensor) -> Tensor:
            padded = packed.new_zeros(batch * longest, *packed.shape[1:]).index_copy(0, slots, packed)
            return padded.view(batch, longest, *packed.shape[1:]).transpose(1, 2)

        def attend(_: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            own_query, own_key, own_value = (packed[:shared].transpose(0, 1)[None] for packed in (query, key, value))
            prefix_out = self._attention(own_query, own_key, own_value, None, causal=True)[0].transpose(0, 1)
            keys, values = (
                torch.cat([prefix.expand(batch, -1, -1, -1), pad(packed[shared:])], dim=2)
                for prefix, packed in ((own_key, key), (own_value, value))
            )
            rows_out = self._attention(pad(query[shared:]), keys, values, mask, causal=False)
            rows_out = rows_out.transpose(1, 2).reshape(batch * longest, -1).index_select(0, slots)
            return torch.cat([prefix_out.reshape(shared, -1), rows_out])

        return attend

    def _attend_pasts(self, pasts: list[Past], lengths: list[int]) -> Attend:
        """Attention of each sequence's new tokens to its past and themselves, one sequence at a time."""
        masks = [
            None
            if n == 1 or past.length == 0
            else torch.ones(n, past.length + n, dtype=torch.bool, device=self.embedding.device).tril(past.length)
            for past, n in zip(pasts, lengths, strict=True)
        ]

        def attend(index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            outputs = []
            for past, mask, q, k, v in zip(
                pasts, masks, query.split(lengths), key.split(lengths), value.split(lengths), strict=True
            ):
                assert isinstance(past, LlamaPast)
                begin, end = past.length, past.length + q.shape[0]
                past.buffer[index, 0, :, begin:end] = k.transpose(0, 1)
                past.buffer[index, 1, :, begin:end] = v.transpose(0, 1)
                keys, values = past.buffer[index, :, None, :, :end]
                causal = mask is None and q.shape[0] > 1
                attended = self._attention(q.transpose(0, 1)[None], keys, values, mask, causal)
                outputs.append(attended[0].transpose(0, 1).reshape(q.shape[0], -1))
            return torch.cat(outputs)

        return attend

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """Attention of ``[B, heads, n, D]`` to ``[B, kv_heads, m, D]``."""
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal, scale=self.attention_scale, enable_gqa=True
        )


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al., 2021) of ``[N, heads, D]``, in the half-split layout of Llama."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-second, first], dim=-1) * sin
