"""Which models the fast path computes: families of Llama-like blocks, and what their configurations may say.

A configuration is accepted only if every option of it is understood. Whatever else one says, the general path computes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LlamaFamily:
    """What sets a family apart from Llama.

    Biases and norms of single heads need no mention: they are computed where a block has them.

    Args:
        feed_forward: the name of a block's feed-forward layer.
        gate_up: the names of its projections from H to F, the gate first; or of one from H to 2 * F, fused so.
        down: the name of its projection from F to H.
        windows: whether it has layers in which a token attends to the last ``sliding_window`` tokens only.
        options: what its configuration may set to any value, besides what all may.
        required: what its configuration must set to this very value.
    """

    feed_forward: str = "mlp"
    gate_up: tuple[str, ...] = ("gate_proj", "up_proj")
    down: str = "down_proj"
    windows: bool = False
    options: frozenset[str] = frozenset()
    required: Mapping[str, object] = field(default_factory=dict)


_MULTIPLIERS = frozenset({"embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"})

FAMILIES: Mapping[str, LlamaFamily] = {
    "llama": LlamaFamily(options=frozenset({"attention_bias", "mlp_bias"})),
    "mistral": LlamaFamily(windows=True),
    "qwen2": LlamaFamily(windows=True, options=frozenset({"layer_types"})),
    "qwen3": LlamaFamily(windows=True, options=frozenset({"layer_types", "attention_bias"})),
    "granite": LlamaFamily(options=_MULTIPLIERS | {"attention_bias", "mlp_bias"}),
    # Granite 4. With neither experts nor Mamba layers, what is left of a block is Llama's, under other names.
    "granitemoehybrid": LlamaFamily(
        feed_forward="shared_mlp",
        gate_up=("input_linear",),
        down="output_linear",
        options=_MULTIPLIERS
        | {"attention_bias", "layer_types", "position_embedding_type", "shared_intermediate_size"}
        # Of experts and Mamba layers that there are not.
        | {"num_experts_per_tok", "router_aux_loss_coef", "time_step_limit"}
        | {"mamba_n_heads", "mamba_n_groups", "mamba_d_state", "mamba_d_head", "mamba_d_conv", "mamba_expand"}
        | {"mamba_chunk_size", "mamba_conv_bias", "mamba_proj_bias"},
        required={"num_local_experts": 0},
    ),
}

# Options that are the same thing in all families.
_UNDERSTOOD = frozenset(
    {
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
        "max_window_layers",
        "rms_norm_eps",
        "rope_parameters",
        "sliding_window",
        "tie_word_embeddings",
        "use_sliding_window",
    }
)
# What all families must set to this very value.
_REQUIRED: Mapping[str, object] = {"hidden_act": "silu"}
# Options without a bearing on what transformers computes from tokens, and what checkpoints note in their configuration
# though transformers never reads it. Names of single tokens (bos_token_id and so on) belong here, too.
_WITHOUT_BEARING = frozenset(
    {
        "architectures",
        "attention_dropout",
        "dtype",
        "id2label",
        "initializer_range",
        "label2id",
        "model_type",
        "pretraining_tp",
        "problem_type",
        "transformers_version",
        "use_cache",
        "_attn_implementation_autoset",
        "_model_name_or_path",
        "_name_or_path",
        "gradient_checkpointing",
        "init_method",
        "is_llama_config",
        "normalization_function",
        "rope_interleaved",
        "time_step_floor",
        "time_step_max",
        "time_step_min",
        "tokenizer_class",
        "transformers.js_config",
        "unsloth_fixed",
        "unsloth_version",
        "use_mrope",
    }
)
# The rotary embeddings of these depend on a token's position alone; those of "dynamic" and "longrope" also on how long
# the longest row is that it is computed with.
_ROPE_TYPES = ("default", "linear", "llama3", "yarn")


def can_compute(config: Any) -> bool:
    """Tell whether the fast path computes what transformers does for this configuration of transformers."""
    family = FAMILIES.get(getattr(config, "model_type", ""))
    if family is None:
        return False
    options, standard = config.to_dict(), type(config)().to_dict()
    # An option that the library gains later must leave the checkpoints alone that do not set it.
    unknown = any(
        not is_understood(name, family) and (name not in standard or value != standard[name])
        for name, value in options.items()
    )
    required = {**_REQUIRED, **family.required}
    return (
        not unknown
        and all(options.get(name) == value for name, value in required.items())
        and _sees_all_tokens(options, family)
        and _rotates_by_position(options["rope_parameters"] or {})
    )


def is_understood(option: str, family: LlamaFamily) -> bool:
    """Tell whether the fast path heeds an option, or may pass over it, whatever it says."""
    allowed = _UNDERSTOOD | _WITHOUT_BEARING | family.options | _REQUIRED.keys() | family.required.keys()
    return option in allowed or option.endswith("_token_id")


def _sees_all_tokens(options: Mapping[str, Any], family: LlamaFamily) -> bool:
    """Tell whether each token attends to all before it, in sequences as long as the model's longest."""
    window = options.get("sliding_window") if family.windows else None
    # Mistral has one kind of layer, and no list of them.
    layers = set(options.get("layer_types", ["full_attention" if window is None else "sliding_attention"]))
    if window is not None and window >= options["max_position_embeddings"]:
        layers.discard("sliding_attention")
    return layers <= {"full_attention"}


def _rotates_by_position(rope: Mapping[str, Any]) -> bool:
    """Tell whether whole heads are rotated, by angles that depend on the position alone."""
    return rope.get("rope_type") in _ROPE_TYPES and rope.get("partial_rotary_factor") in (None, 1.0)
