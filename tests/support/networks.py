"""Small random models of several kinds, and the plain forward that the engine is held to."""

import copy
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
)

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}


MULTIPLIERS: dict[str, Any] = {
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.2,
    "residual_multiplier": 0.4,
    "logits_scaling": 2.0,
}
GRANITE_4: dict[str, Any] = {
    **SIZES,
    **MULTIPLIERS,
    "shared_intermediate_size": 40,
    "num_local_experts": 0,
    "layer_types": ["attention"] * 3,
    "mamba_n_heads": 4,
}
# The options of each kind of network, and the family it belongs to.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", SIZES),
    "llama with biases": ("llama", {**SIZES, "attention_bias": True, "mlp_bias": True, "head_dim": 12}),
    "mistral": ("mistral", {**SIZES, "sliding_window": None, "tie_word_embeddings": True}),
    "qwen2": ("qwen2", SIZES),
    "qwen3": ("qwen3", {**SIZES, "head_dim": 16}),
    "granite": ("granite", {**SIZES, **MULTIPLIERS}),
    "granite 4": ("granitemoehybrid", {**GRANITE_4, "position_embedding_type": "rope"}),
    "granite 4 without positions": ("granitemoehybrid", {**GRANITE_4, "position_embedding_type": "nope"}),
    "gpt2": (
        "gpt2",
        {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.3},
    ),
    "gemma": ("gemma", {**SIZES, "head_dim": 8}),
}


def make_network(kind: str, **options: Any) -> Any:
    """A small random network of a kind, with options of its configuration changed."""
    torch.manual_seed(7)
    family, usual = NETWORKS[kind]
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **copy.deepcopy({**usual, **options})))
    network = network.eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        if "norm" in name or "ln_" in name:  # gains of 1 would hide a gain that is left out
            weight.data.uniform_(0.5, 1.5)
        elif name.endswith("bias"):  # and so would biases of 0
            weight.data.uniform_(-0.5, 0.5)
    return network


def plain_logits(network: Any, prefix: Tensor, rows: list[tuple[list[int], list[int]]]) -> Tensor:
    """The ordinary forward, one row at a time: ``[labels, vocabulary]``."""
    embed = network.get_input_embeddings()
    logits = []
    for inputs, outputs in rows:
        tokens = torch.tensor(inputs + outputs[:-1])
        embeddings = torch.cat([prefix, embed(tokens)])
        logits.append(network(inputs_embeds=embeddings[None], use_cache=False).logits[0, -len(outputs) :])
    return torch.cat(logits)


def padded_logits(
    network: Any, prefix: Tensor, rows: list[tuple[list[int], list[int]]], side: Literal["left", "right"]
) -> Tensor:
    """The ordinary forward over a batch, its rows padded on a side: ``[labels, vocabulary]``."""
    embed = network.get_input_embeddings()
    embedded = [torch.cat([prefix, embed(torch.tensor(inputs + outputs[:-1]))]) for inputs, outputs in rows]
    embeddings = pad_sequence(embedded, batch_first=True, padding_side=side)  # [B, L, H]
    ones = [torch.ones(len(row), dtype=torch.long) for row in embedded]
    mask = pad_sequence(ones, batch_first=True, padding_side=side)  # [B, L]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = network(inputs_embeds=embeddings, attention_mask=mask, position_ids=positions).logits
    own = [row[attended.bool()] for row, attended in zip(logits, mask, strict=True)]
    return torch.cat([row[-len(outputs) :] for row, (_, outputs) in zip(own, rows, strict=True)])
