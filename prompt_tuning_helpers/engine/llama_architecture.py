"""What a Llama-like model is besides its weights, as transformers has built it or as its ``config.json`` says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LlamaArchitecture:
    """The numbers that a forward needs beside the weights.

    Args:
        family: one of ``llama_families.FAMILIES``.
        layers: the number of blocks.
        heads: the number of heads that queries have.
        kv_heads: the number of heads that keys and values have.
        head_size: D.
        eps: what is added to a mean square before its root is taken.
        attention_scale: what the products of queries and keys are multiplied by.
        frequencies: the angles by which a position turns each pair of a head's entries, ``[D / 2]``, in radians;
            ``None`` in a model that is told no positions.
        rotation_scale: what cosines and sines are multiplied by.
        embedding_multiplier: of Granite, as the two that follow.
        residual_multiplier: what each layer adds is multiplied by this.
        logits_scaling: what logits are divided by.
    """

    family: str
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    eps: float
    attention_scale: float
    frequencies: Tensor | None
    rotation_scale: float = 1.0
    embedding_multiplier: float = 1.0
    residual_multiplier: float = 1.0
    logits_scaling: float = 1.0

    @classmethod
    def of_network(cls, network: Any) -> "LlamaArchitecture":
        """Take it from a ``LlamaForCausalLM`` or the like, of a configuration that ``can_compute`` accepts."""
        config, rotary = network.config, network.model.rotary_emb
        attention = network.model.layers[0].self_attn
        return cls(
            family=config.model_type,
            layers=len(network.model.layers),
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_size=attention.head_dim,
            eps=config.rms_norm_eps,
            attention_scale=attention.scaling,
            frequencies=None if rotary is None else rotary.inv_freq,
            rotation_scale=1.0 if rotary is None else rotary.attention_scaling,
            embedding_multiplier=getattr(config, "embedding_multiplier", 1.0),
            residual_multiplier=getattr(config, "residual_multiplier", 1.0),
            logits_scaling=getattr(config, "logits_scaling", 1.0),
        )

    @classmethod
    def of_llama(cls, options: Mapping[str, Any]) -> "LlamaArchitecture":
        """Take it from the ``config.json`` of a Llama, which ``model_files.read`` accepts."""
        head_size: int = options["head_dim"]
        # Of rotary positions (Su et al., 2021, https://arxiv.org/abs/2104.09864, section 3.2.2), in transformers' order
        # of operations.
        exponents = torch.arange(0, head_size, 2, dtype=torch.int64).float() / head_size
        return cls(
            family="llama",
            layers=options["num_hidden_layers"],
            heads=options["num_attention_heads"],
            kv_heads=options["num_key_value_heads"],
            head_size=head_size,
            eps=options["rms_norm_eps"],
            attention_scale=head_size**-0.5,
            frequencies=1.0 / options["rope_parameters"]["rope_theta"] ** exponents,
        )
