"""The size of a base model's embeddings, and the default learning rates that follow from it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_tuning_helpers.engine import loading
from prompt_tuning_helpers.engine.defaults import default_settings
from prompt_tuning_helpers.engine.embedding_scale import embedding_rms
from tests.support.networks import NETWORKS, make_network
from tests.support.scaled import save_scaled


@pytest.mark.parametrize("source", ["tiny", pytest.param("smollm2", marks=pytest.mark.slow)])
def test_the_size_of_our_own_models_embeddings_is_known(source: str) -> None:
    embedding = loading.load(source).model.embedding
    assert embedding_rms(source) == pytest.approx(embedding.double().square().mean().sqrt().item(), rel=1e-3)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_size_of_a_models_embeddings_is_read_from_its_files(kind: str, tmp_path: Path) -> None:
    """Some families, Gemma's for instance, scale their embeddings where they look them up."""
    network = make_network(kind)
    network.save_pretrained(tmp_path)
    read = network.get_input_embeddings()(torch.arange(97))
    assert embedding_rms(str(tmp_path)) == pytest.approx(read.double().square().mean().sqrt().item())


def test_of_a_large_vocabulary_a_part_stands_for_all(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    network = LlamaForCausalLM(
        LlamaConfig(vocab_size=20_000, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    )
    weight: Any = network.get_input_embeddings().weight
    with torch.no_grad():
        weight *= torch.linspace(0.1, 3, 20_000)[:, None]  # frequent tokens have smaller embeddings
    network.save_pretrained(tmp_path)
    assert embedding_rms(str(tmp_path)) == pytest.approx(weight.double().square().mean().sqrt().item(), rel=0.02)


def test_a_model_that_is_not_here_has_no_size_yet(tmp_path: Path) -> None:
    assert embedding_rms("nobody/no-such-model") is None
    assert embedding_rms(str(tmp_path)) is None


def test_the_default_rate_of_unknown_models_is_in_proportion_to_their_embeddings(tmp_path: Path) -> None:
    small, large = (save_scaled(tmp_path / str(factor), factor) for factor in (0.1, 10))
    assert default_settings(small, "text").learning_rate == 0.006
    assert default_settings(large, "text").learning_rate == 0.6
    assert default_settings(small, "random").learning_rate == default_settings(large, "random").learning_rate
    assert default_settings("nobody/no-such-model", "text").learning_rate == 0.01
    # Measured, and so not to be worked out.
    assert default_settings("smollm2", "text").learning_rate == 0.02
    assert default_settings("smollm2", "random").learning_rate == 0.1
