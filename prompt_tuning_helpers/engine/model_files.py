"""Reads a Llama's files directly, its configuration and each tensor by its name, which takes no transformers.

Only files that leave no question open are read so: each option that counts is set, and each tensor that the options
call for is there, in its shape, and no other. Whatever else a folder holds, transformers reads, and says what is wrong.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .llama_families import FAMILIES, is_understood

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WEIGHTS = "model.safetensors"
BLOCKS = "model.layers."  # what the names of their tensors begin with
_SIZES = (
    "hidden_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "num_hidden_layers",
    "max_position_embeddings",
)
_FLOATS = ("F32", "BF16", "F16")  # as safetensors names them

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class ModelFiles:
    """The files of a Llama.

    Args:
        folder: that they are in.
        options: what ``config.json`` says.
        shapes: of the tensors, by name.
        end_tokens: the ids of the tokens that end a text, as far as the model, not the tokenizer, names them.
    """

    folder: Path
    options: Mapping[str, Any]
    shapes: Shapes
    end_tokens: frozenset[int]

    @property
    def max_length(self) -> int:
        """Return the number of tokens that the model can attend to."""
        return int(self.options["max_position_embeddings"])

    @property
    def vocabulary(self) -> int:
        """Return the number of embeddings."""
        return int(self.options["vocab_size"])

    @property
    def parameters(self) -> int:
        """Return the number of weights."""
        return sum(map(prod, self.shapes.values()))

    def tensors(self, device: str, dtype: "torch.dtype") -> "StoredTensors":
        """Return the tensors, each of which is read when it is asked for."""
        return StoredTensors(self.folder / WEIGHTS, frozenset(self.shapes), device, dtype)


def read(folder: Path) -> ModelFiles | None:
    """Read what a model's files say of it, without its weights.

    Args:
        folder: as transformers' ``save_pretrained`` writes it.

    Returns:
        ``None`` for any files but the sound ones of a plain Llama.
    """
    try:
        options = json.loads((folder / "config.json").read_bytes())
        shapes = _stored_shapes(folder / WEIGHTS)
        if not _is_plain_llama(options) or options["num_hidden_layers"] > len(shapes) or shapes != _shapes(options):
            return None
        generation = folder / "generation_config.json"
        named = [options, json.loads(generation.read_bytes())] if generation.exists() else [options]
        return ModelFiles(folder, options, shapes, frozenset().union(*map(_end_tokens, named)))
    except Exception:  # the files may hold anything; transformers, which reads them next, says what is wrong
        return None


class StoredTensors(Mapping[str, "Tensor"]):
    """Tensors in a file, each of which is read when it is asked for: so no two copies of all of them exist at once.

    Args:
        path: of the file, in safetensors format.
        names: of the tensors.
        device: where the tensors go.
        dtype: what they are turned into.
    """

    def __init__(self, path: Path, names: frozenset[str], device: str, dtype: "torch.dtype") -> None:
        self._path, self._names, self._device, self._dtype = path, names, device, dtype

    def __getitem__(self, name: str) -> "Tensor":
        """Read a tensor."""
        from safetensors import safe_open

        if name not in self._names:
            raise KeyError(name)
        # The file is opened anew, since all that was ever read of one that is open counts as this process's memory.
        # What is kept as it is must be a copy: it would be lost with the file. Tensors of blocks are fused to new ones.
        with safe_open(self._path, framework="pt") as file:
            kept = not name.startswith(BLOCKS)
            tensor: Tensor = file.get_tensor(name).to(self._device, self._dtype, copy=kept)
        return tensor

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._names)


def _is_plain_llama(options: Mapping[str, Any]) -> bool:
    """Tell whether a configuration is that of a Llama without anything special, and says all that counts."""
    sizes = [options[name] for name in _SIZES]
    hidden, heads, kv_heads, head_size = (options[name] for name in _SIZES[:4])
    rope, eps = options["rope_parameters"], options["rms_norm_eps"]
    return (
        options["model_type"] == "llama"
        and all(is_understood(name, FAMILIES["llama"]) for name in options)
        and options["hidden_act"] == "silu"
        and options["attention_bias"] is options["mlp_bias"] is False
        and isinstance(options["tie_word_embeddings"], bool)
        and all(type(size) is int and size > 0 for size in sizes)
        and hidden % heads == heads % kv_heads == head_size % 2 == 0
        and type(eps) is float
        and eps > 0
        and rope == {"rope_type": "default", "rope_theta": rope["rope_theta"]}
        and type(rope["rope_theta"]) in (int, float)
        and rope["rope_theta"] > 0
    )


def _shapes(options: Mapping[str, Any]) -> Shapes:
    """Give the name and shape of each tensor that a plain Llama has."""
    hidden, heads, kv_heads, head_size, feed_forward, vocabulary, layers = (options[name] for name in _SIZES[:7])
    block = {
        "self_attn.q_proj": (heads * head_size, hidden),
        "self_attn.k_proj": (kv_heads * head_size, hidden),
        "self_attn.v_proj": (kv_heads * head_size, hidden),
        "self_attn.o_proj": (hidden, heads * head_size),
        "mlp.gate_proj": (feed_forward, hidden),
        "mlp.up_proj": (feed_forward, hidden),
        "mlp.down_proj": (hidden, feed_forward),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    embedding = (vocabulary, hidden)
    return {
        "model.embed_tokens.weight": embedding,
        **({} if options["tie_word_embeddings"] else {"lm_head.weight": embedding}),
        **{f"{BLOCKS}{layer}.{name}.weight": shape for layer in range(layers) for name, shape in block.items()},
        "model.norm.weight": (hidden,),
    }


def _stored_shapes(path: Path) -> Shapes:
    """Read the name and shape of each tensor in a file of floating-point numbers."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 the file is no dictionary
        if any(stored.get_dtype() not in _FLOATS for stored in slices.values()):
            raise ValueError("the weights are no floating-point numbers")
        return {name: tuple(stored.get_shape()) for name, stored in slices.items()}


def _end_tokens(options: Mapping[str, Any]) -> set[int]:
    """Return the ids of the tokens that end a text."""
    named = options.get("eos_token_id")
    ends = named if isinstance(named, list) else [] if named is None else [named]
    if not all(type(end) is int for end in ends):
        raise ValueError("eos_token_id names no token")
    return set(ends)
