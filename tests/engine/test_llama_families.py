"""Whatever a configuration says, the path that is chosen for it computes what transformers does."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CONFIG_MAPPING

from prompt_tuning_helpers.engine.causal_model import CausalModel, pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.llama import LlamaModel
from prompt_tuning_helpers.engine.llama_families import FAMILIES
from prompt_tuning_helpers.engine.path_choice import NotTunable, choose_path
from tests.support.networks import NETWORKS, make_network, plain_logits

Options = dict[str, Any]

KINDS = [kind for kind, (family, _) in NETWORKS.items() if family in FAMILIES]
LAYERS = 3
FULL, SLIDING, MAMBA = "full_attention", "sliding_attention", "linear_attention"
VIRTUAL_TOKENS = 9
ROWS = [([3], [4, 5, 6]), ([7, 8, 9, 10, 11], [12]), (list(range(20, 90)), [1, 2, 3])]
LONGEST = VIRTUAL_TOKENS + 70 + 2  # the last token is only predicted


# What the fast path understands, where the family has such an option.
UNDERSTOOD: list[Options] = [
    {"vocab_size": 120},
    {"hidden_size": 48},
    {"intermediate_size": 20},
    {"shared_intermediate_size": 20},
    {"num_hidden_layers": 1},
    {"num_hidden_layers": 1, "layer_types": [FULL]},
    {"num_attention_heads": 2},
    {"num_key_value_heads": 4},
    {"num_key_value_heads": None},
    {"head_dim": 20},
    {"max_position_embeddings": 512},
    {"rms_norm_eps": 0.1},
    {"tie_word_embeddings": True},
    {"tie_word_embeddings": False},
    {"attention_bias": True},
    {"attention_bias": False},
    {"mlp_bias": True},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    {"rope_parameters": {"rope_type": "linear", "factor": 4.0}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
    {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        }
    },
    {"sliding_window": None},
    {"sliding_window": 256},
    {"sliding_window": 256, "use_sliding_window": True, "max_window_layers": 1},
    {"sliding_window": LONGEST, "max_position_embeddings": LONGEST},
    {"sliding_window": LONGEST, "max_position_embeddings": LONGEST, "use_sliding_window": True, "max_window_layers": 0},
    {"use_sliding_window": False, "sliding_window": 8},
    {"layer_types": [FULL] * LAYERS},
    {"embedding_multiplier": 0.5},
    {"attention_multiplier": 0.7},
    {"residual_multiplier": 1.3},
    {"logits_scaling": 0.3},
    {"position_embedding_type": "rope"},
    {"position_embedding_type": None},
    {"mamba_n_heads": 8, "mamba_d_head": 8},
    {"mamba_n_groups": 2},
    {"mamba_d_state": 8},
    {"mamba_d_conv": 2},
    {"mamba_expand": 4},
    {"mamba_chunk_size": 8},
    {"mamba_conv_bias": False},
    {"mamba_proj_bias": True},
    {"time_step_limit": [0.1, 0.2]},
    {"num_experts_per_tok": 0},
    {"router_aux_loss_coef": 0.5},
    {"attention_dropout": 0.5},
    {"initializer_range": 0.2},
    {"use_cache": False},
    {"pretraining_tp": 2},
    {"bos_token_id": 5},
    {"eos_token_id": [5, 6]},
    {"pad_token_id": 7},
    {"architectures": ["Another"]},
    {"dtype": "float32"},
    {"id2label": {0: "a", 1: "b", 2: "c"}},
    {"label2id": {"a": 0, "b": 1}},
    {"problem_type": "regression"},
    {"transformers_version": "4.0.0"},
]
# What it does not: here, the general path computes whatever transformers does.
NOT_UNDERSTOOD: list[Options] = [
    {"hidden_act": "gelu"},
    {"hidden_act": "relu"},
    {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}},
    {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "partial_rotary_factor": 0.5}},
    {"rope_parameters": {"rope_type": "proportional", "rope_theta": 500.0, "partial_rotary_factor": 0.5}},
    {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 1},
    {"sliding_window": 8, "layer_types": [FULL, SLIDING, FULL], "use_sliding_window": True},
    {"layer_types": [FULL, MAMBA, FULL]},
    {"num_local_experts": 4},
    {"output_router_logits": True},
    {"chunk_size_feed_forward": 4},
    {"is_encoder_decoder": True},
    {"output_hidden_states": True},
    {"return_dict": False},
    {"per_layer_config": {1: {"intermediate_size": 20}}},
    {"is_causal": True},
    {"something_new": 1},
]
# What stands in a configuration though the family does not read it.
NOTES: list[Options] = [
    {"unk_token_id": 0, "_model_name_or_path": "mine"},
    {"is_llama_config": True, "rope_interleaved": False, "transformers.js_config": {"dtype": "q4"}},
    {"init_method": "mup", "normalization_function": "rmsnorm", "time_step_min": 0.001, "use_mrope": False},
    # As older versions of transformers wrote it.
    {"rope_theta": 500.0, "rope_scaling": None, "torch_dtype": "float32"},
    {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
]
# Options of some family; the others do not read them.
STRAYS: list[Options] = [
    {"embedding_multiplier": 0.5, "attention_multiplier": 0.7, "residual_multiplier": 1.3, "logits_scaling": 0.3},
    {"attention_bias": True, "mlp_bias": True},
    {"sliding_window": 8},
    {"position_embedding_type": "nope"},
]


def declared_options(family: str) -> set[str]:
    return {option.name for option in dataclasses.fields(CONFIG_MAPPING[family])}


DECLARED_SOMEWHERE = {name for family in FAMILIES for name in declared_options(family)}


def changes(kind: str) -> Iterator[tuple[Options, type[CausalModel] | None]]:
    """Options to change in a configuration, and the path that the model must take then, if only one may be taken."""
    family, usual = NETWORKS[kind]
    paths: dict[type[CausalModel], list[Options]] = {LlamaModel: UNDERSTOOD, TransformersModel: NOT_UNDERSTOOD}
    for path, options in paths.items():
        for change in options:
            if change.keys() & DECLARED_SOMEWHERE <= declared_options(family):
                yield change, path
    yield from ((note, LlamaModel) for note in NOTES)
    yield from ((stray, None) for stray in STRAYS)
    factors = [float(number + 1) for number in range(usual.get("head_dim", 8) // 2)]
    lengths = {"original_max_position_embeddings": 128, "factor": 2.0}
    long_rope = {"rope_type": "longrope", "short_factor": factors, "long_factor": factors[::-1], **lengths}
    yield {"rope_parameters": long_rope}, TransformersModel


@pytest.mark.parametrize("family", FAMILIES)
def test_each_option_of_a_family_is_changed(family: str) -> None:
    changed = {name for kind in KINDS if NETWORKS[kind][0] == family for change, _ in changes(kind) for name in change}
    assert declared_options(family) <= changed


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_an_option_says_the_result_is_that_of_the_plain_forward(kind: str) -> None:
    compared = 0
    for change, path in changes(kind):
        try:
            network = make_network(kind, **change)
            prefix = torch.randn(VIRTUAL_TOKENS, network.config.hidden_size, generator=torch.Generator().manual_seed(1))
            expected = _logits_and_gradient(plain_logits(network, prefix.requires_grad_(), ROWS), prefix)
        except Exception:  # of any kind: transformers cannot compute this itself
            continue
        fast = LlamaModel.supports(network.config)
        assert path is None or (path is LlamaModel) == fast, change
        try:
            model = LlamaModel.of_network(network) if fast else choose_path(network)
        except NotTunable:
            continue
        found = _logits_and_gradient(model.label_logits(prefix, pack(ROWS)), prefix)
        for mine, theirs in zip(found, expected, strict=True):
            assert (mine - theirs).norm() <= 1e-4 * theirs.norm(), change
        compared += 1
    assert compared > 25


def _logits_and_gradient(logits: Tensor, prefix: Tensor) -> tuple[Tensor, Tensor]:
    loss = torch.nn.functional.cross_entropy(logits, pack(ROWS).labels)
    return logits.detach(), torch.autograd.grad(loss, prefix)[0]
