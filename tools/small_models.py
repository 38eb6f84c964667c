"""Small random models of every family of causal language models in transformers, from each family's configuration.

``small_config`` takes what a configuration class has by default and makes its numbers small, by their names. What a
family needs beyond that is in ``CHANGES``; ``NOT_BUILT`` says why a family has no small model.
"""

import copy
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

FAMILIES: list[str] = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
VOCABULARY = 97  # a number that nothing else has: PEFT finds the embeddings by it
WINDOW = 16  # tokens that a layer with a window sees
_NAMES_BY_SIZE = {
    VOCABULARY: "vocab_size vocab_size_per_layer_input unpadded_vocab_size decoder_vocab_size",
    128: "max_position_embeddings n_positions max_seq_len n_ctx context_length max_source_positions "
    "max_target_positions original_max_position_embeddings model_max_length",
    48: "intermediate_size moe_intermediate_size dense_intermediate_size shared_intermediate_size "
    "shared_expert_intermediate_size shared_experts_intermediate_size moe_shared_expert_intermediate_size "
    "intermediate_size_mlp ffn_dim decoder_ffn_dim encoder_ffn_dim ffn_hidden_size expert_ffn_hidden_size "
    "feed_forward_size d_inner dff dim_ff d_ff n_inner mlp_dim",
    32: "hidden_size d_model n_embd emb_dim embedding_dim embedding_size input_embedding_size output_embedding_size "
    "word_embed_proj_dim attention_hidden_size hidden_size_global backbone_hidden_size out_hidden_size "
    "vision_output_dim adapter_in_dim adapter_out_dim adapter_input_size lru_width ext_pw_out_channel "
    "depthwise_separable_out_channel nemo_conv_channels output_channels",
    WINDOW: "sliding_window sliding_window_size attention_window_size attention_chunk_size local_attention window_size "
    "index_topk keep_window_size qk_head_dim",
    12: "shape_vocab_size pronunciation_vocab_size ngram_vocab_size_base",
    8: "head_dim swa_head_dim v_head_dim qk_nope_head_dim qk_rope_head_dim attention_head_dim attention_head_size "
    "d_head d_kv dim_head kv_channels rotary_dim index_head_dim linear_head_dim linear_key_head_dim "
    "linear_value_head_dim mamba_d_head mamba_head_dim mamba_headdim mamba_n_heads mamba_num_heads mamba_d_state "
    "state_size ssm_state_size mamba_chunk_size chunk_size time_step_rank mamba_dt_rank q_lora_rank kv_lora_rank "
    "o_lora_rank adapter_rank laurel_rank hidden_size_per_layer_input router_hidden_size shape_embed_dim "
    "pronunciation_embed_dim ple_embed_dim hc_lowrank split_ngram_parts",
    4: "num_attention_heads n_head n_heads num_heads attention_heads decoder_attention_heads encoder_attention_heads "
    "num_encoder_attention_heads num_decoder_attention_heads swa_num_attention_heads conf_num_attention_heads "
    "index_n_heads linear_num_heads linear_num_value_heads num_experts n_routed_experts num_local_experts "
    "moe_num_experts zero_expert_num",
    2: "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers num_encoder_layers num_blocks "
    "num_decoder_layers num_layers_per_stack depth num_key_value_heads swa_num_key_value_heads num_kv_heads "
    "linear_num_key_heads num_query_groups num_experts_per_tok num_experts_per_token moe_topk moe_k n_group n_groups "
    "topk_group num_expert_group mamba_n_groups hc_mult",
}
_SIZES = {name: size for size, names in _NAMES_BY_SIZE.items() for name in names.split()}
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_LEFT_OUT = ("transformers_version", "architectures", "model_type", "dtype", "_name_or_path")

_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_TWO_KINDS = ["linear_attention", "hybrid", "linear_attention", "hybrid"]
_QWEN4_EXP = {
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": WINDOW,
    "indexer_compress_ratio": 4,
}
# Where small numbers do not fit together, where the defaults have one kind of layer alone, or none that works.
CHANGES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "clip_qkv": 8.0}},
    "blt": {"encoder_hash_byte_group_vocab": VOCABULARY},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "deepseek_v32": {"index_topk": 64},  # where tokens are chosen, ties are decided by rounding
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note": {"text_config": {"head_dim": 16}},
    "dots3_note_text": {"head_dim": 16},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {"num_kv_shared_layers": 0, "intermediate_size": 48},
    "granitemoehybrid": {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]},
    "hrm_text": {"num_layers_per_stack": 1, "num_hidden_layers": 8},
    "hy_v4": {"index_topk": 64},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"num_hidden_layers": 2, "full_attn_idxs": [1], "layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 8},
    "moshi": {"sliding_window": 128, "audio_encoder_config": {"codebook_size": 16}},  # it never sees more than that
    "nemotron": {"num_key_value_heads": 2},
    "qwen4_exp": {"text_config": _QWEN4_EXP},
    "qwen4_exp_text": _QWEN4_EXP,
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"axial_pos_shape": [8, 16], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh"]},
    "xlstm": {"hidden_size": 128, "embedding_dim": 128},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "num_hidden_layers": 4,
        "layers_block_type": _TWO_KINDS,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
    },
    "zamba2": {
        "num_hidden_layers": 4,
        "layers_block_type": _TWO_KINDS,
        "hybrid_layer_ids": [1, 3],
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "n_mamba_heads": 8,
    },
}
NOT_BUILT: dict[str, str] = {
    "gemma3n": "its images need timm; gemma3n_text is the same without them",
    "gemma4_assistant": "a draft model, which reads the keys and values of the model that it helps",
    "gemma4_unified_assistant": "a draft model, which reads the keys and values of the model that it helps",
}
_DECODERS = (
    "bart",
    "bert",
    "bert-generation",
    "big_bird",
    "bigbird_pegasus",
    "blenderbot",
    "blenderbot-small",
    "camembert",
    "data2vec-text",
    "electra",
    "ernie",
    "marian",
    "mbart",
    "megatron-bert",
    "mvp",
    "pegasus",
    "plbart",
    "prophetnet",
    "reformer",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "roc_bert",
    "roformer",
    "whisper",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
_AS_DECODER: dict[str, Any] = {"is_decoder": True, "is_encoder_decoder": False}
# Families have models of several kinds: the name of the other kind, its family, and what its configuration says.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma4_text without per-layer inputs": ("gemma4_text", {"hidden_size_per_layer_input": 0}),
    "granitemoehybrid without Mamba layers": (
        "granitemoehybrid",
        {"layer_types": ["full_attention"] * 2, "num_local_experts": 0, "num_experts_per_tok": 0},
    ),
    "xlm as a decoder": ("xlm", {"causal": True}),
    **{f"{family} as a decoder": (family, _AS_DECODER) for family in _DECODERS},
}


def small_config(family: str, **changes: Any) -> Any:
    """Make a configuration of a family, of few and small layers.

    Args:
        family: what transformers calls a ``model_type``.
        changes: what is to be otherwise.
    """
    config_class = CONFIG_MAPPING[family]
    values = _shrunk(config_class().to_dict())
    _change(values, copy.deepcopy(CHANGES.get(family, {}) | changes))
    return config_class(**values)


def small_network(config: Any) -> Any:
    """Make a random network, always the same, frozen and in evaluation mode.

    Args:
        config: of transformers.
    """
    config = copy.deepcopy(config)
    for part in [config, *(getattr(config, name) for name in config.sub_configs)]:
        for name in ("initializer_range", "init_std"):
            if hasattr(part, name):
                setattr(part, name, 0.2)  # wide enough that a token more or less makes a difference
    torch.manual_seed(7)
    network = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    for weight in network.parameters():  # gains of 1 and biases of 0 would hide that they are left out
        weight.mul_(1 + 0.2 * torch.randn_like(weight)).add_(0.05 * torch.randn_like(weight))
    return network


def _shrunk(values: dict[str, Any]) -> dict[str, Any]:
    """Make the numbers in the dictionary of a configuration small, in its parts, too."""
    kept = _kept_layers(values)
    small: dict[str, Any] = {}
    for name, value in values.items():
        if name in _LEFT_OUT:
            continue
        if name == "per_layer_config":
            layers = {int(layer): _shrunk(changes) for layer, changes in value.items()}
            small[name] = {str(kept.index(layer)): layers[layer] for layer in layers if layer in kept}
        elif isinstance(value, dict):
            small[name] = {key: value[key] for key in ("model_type",) if key in value} | _shrunk(value)
        elif isinstance(value, list) and kept and len(value) == _layers(values):
            small[name] = [value[index] for index in kept]
        elif name in _LAYERS and kept:
            small[name] = len(kept)
        elif name == "head_dim" and value is None:
            small[name] = _SIZES[name]
        elif isinstance(value, bool) or not isinstance(value, int):
            small[name] = value
        elif name.endswith(("_token_id", "_token_index")):
            small[name] = min(value, VOCABULARY - 1)
        else:
            small[name] = min(value, _SIZES.get(name, value))
    if values.get("num_key_value_heads") and values["num_key_value_heads"] == values.get("num_attention_heads"):
        small["num_key_value_heads"] = small["num_attention_heads"]
    return small


def _layers(values: dict[str, Any]) -> int:
    layers: int = next((values[name] for name in _LAYERS if isinstance(values.get(name), int)), 0)
    return layers


def _kept_layers(values: dict[str, Any]) -> list[int]:
    """Choose the first layer of each kind where a configuration lists the kinds, and two at least."""
    lists = [value for value in values.values() if isinstance(value, list) and len(value) == _layers(values)]
    lists = [kinds for kinds in lists if len(set(kinds)) < len(kinds)]  # others number the layers
    firsts = {kinds.index(kind) for kinds in lists for kind in kinds}
    return sorted(firsts if len(firsts) > 1 else {0, 1}) if lists else []


def _change(values: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            _change(values[name], value)
        else:
            values[name] = value
