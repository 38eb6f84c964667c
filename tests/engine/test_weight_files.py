"""However a model's weights are stored, either path computes the same with them."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from prompt_tuning_helpers.engine import UnusableModel, loading, sources
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.llama import LlamaModel
from tests.support.networks import make_network, plain_logits

KINDS = {"llama": LlamaModel, "qwen3": LlamaModel, "granite 4": LlamaModel, "gemma": TransformersModel}
ROWS = [([3], [4, 5, 6]), (list(range(20, 60)), [1, 2])]
VOCABULARY = 259  # of the tokenizer
SHARD = "20KB"  # some of a tiny model's weights

Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Saves a network in a folder, with a tokenizer."""

    def save(network: Any, **options: Any) -> Path:
        network.save_pretrained(tmp_path / "model", **options)
        for path in Path(sources.fetch("tiny")).glob("tokenizer*"):
            shutil.copy(path, tmp_path / "model")
        return tmp_path / "model"

    return save


def stored(folder: Path) -> dict[str, torch.dtype]:
    """The type of each tensor in the files of a folder."""
    types: dict[str, torch.dtype] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            types |= {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    return types


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("sharded", [True, False], ids=["sharded", "whole"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_stored_weights_are_loaded(kind: str, dtype: torch.dtype, sharded: bool, tied: bool, saved: Saved) -> None:
    network = make_network(kind, vocab_size=VOCABULARY, tie_word_embeddings=tied)
    for weight in network.parameters():
        weight.data.copy_(weight.to(dtype))
    # A copy, since the buffers of rotary embeddings, which are never stored, stay as they are.
    folder = saved(copy.deepcopy(network).to(dtype), **{"max_shard_size": SHARD} if sharded else {})
    types = stored(folder)
    assert set(types.values()) == {dtype}
    assert ("lm_head.weight" in types) != tied
    assert (len(list(folder.glob("*.safetensors"))) > 1) == sharded
    loaded = loading.load(str(folder))
    assert type(loaded.model) is KINDS[kind]
    prefix = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    expected = plain_logits(network, prefix, ROWS)
    assert (loaded.model.label_logits(prefix, pack(ROWS)) - expected).norm() <= 1e-4 * expected.norm()


def test_a_missing_shard_is_told(saved: Saved) -> None:
    folder = saved(make_network("llama", vocab_size=VOCABULARY), max_shard_size=SHARD)
    max(folder.glob("*.safetensors")).unlink()
    with pytest.raises(UnusableModel, match=r"00\d\.safetensors|lack \d+ tensors"):
        loading.check(str(folder))
