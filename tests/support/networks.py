"""Small random models of several kinds, and the plain forward that the engine is held to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
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


def _llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False))


def _granite() -> Any:
    multipliers: dict[str, Any] = {
        "embedding_multiplier": 3.0,
        "attention_multiplier": 0.2,
        "residual_multiplier": 0.4,
        "logits_scaling": 2.0,
    }
    return GraniteForCausalLM(GraniteConfig(**SIZES, **multipliers))


def _gpt2() -> Any:
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=256, initializer_range=0.3)
    )


def _qwen2() -> Any:
    return Qwen2ForCausalLM(Qwen2Config(**SIZES))


def _gemma() -> Any:
    return GemmaForCausalLM(GemmaConfig(**SIZES, head_dim=8))


NETWORKS: dict[str, Callable[[], Any]] = {
    "llama": _llama,
    "granite": _granite,
    "gpt2": _gpt2,
    "qwen2": _qwen2,
    "gemma": _gemma,
}


def make_network(kind: str) -> Any:
    """A small random network of a kind."""
    torch.manual_seed(7)
    network = NETWORKS[kind]().eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        if "norm" in name or "ln_" in name:  # gains of 1 would hide a gain that is left out
            weight.data.uniform_(0.5, 1.5)
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
