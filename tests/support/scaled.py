"""The tiny model with larger or smaller embeddings, which computes the same from them."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from prompt_tuning_helpers.engine import sources


def save_scaled(folder: Path, factor: float) -> str:
    """Save the tiny model with all that its blocks read and write multiplied by a factor; their norms undo it."""
    network: Any = AutoModelForCausalLM.from_pretrained(sources.fetch("tiny"), dtype=torch.float32)
    network.lm_head.weight = torch.nn.Parameter(network.lm_head.weight.detach().clone())
    network.config.tie_word_embeddings = False
    network.config.rms_norm_eps *= factor**2
    with torch.no_grad():
        network.model.embed_tokens.weight *= factor
        for layer in network.model.layers:
            layer.self_attn.o_proj.weight *= factor
            layer.mlp.down_proj.weight *= factor
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(sources.fetch("tiny")).save_pretrained(folder)
    return str(folder)
