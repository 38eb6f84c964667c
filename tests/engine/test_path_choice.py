"""Which path a model takes, that the plain one is told of once, and that it is tuned and answers there."""

import logging
import shutil
from pathlib import Path

import pytest
import torch

from prompt_tuning_helpers.engine import (
    Engine,
    GenerationParameters,
    GenerationRequest,
    TuningSettings,
    loading,
    sources,
)
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.path_choice import NotTunable, choose_path
from prompt_tuning_helpers.engine.plain import PlainModel
from prompt_tuning_helpers.engine.rows import encode_rows, read_rows
from prompt_tuning_helpers.engine.soft_prompt import initialise, save
from prompt_tuning_helpers.engine.trainer import MAX_PACKED_TOKENS, _chunks
from prompt_tuning_helpers.engine.tune import tune
from tests.support.networks import make_network
from tools.small_models import small_config, small_network


@pytest.fixture
def hybrid(tmp_path: Path) -> Path:
    """A small Granite 4 with a Mamba layer, and the tiny model's tokenizer."""
    config = small_config("granitemoehybrid", vocab_size=259, eos_token_id=2)
    small_network(config).save_pretrained(tmp_path / "hybrid")
    for path in Path(sources.fetch("tiny")).glob("*token*"):
        shutil.copy(path, tmp_path / "hybrid")
    return tmp_path / "hybrid"


def test_a_model_with_mamba_layers_is_tuned_and_answers(
    hybrid: Path, tmp_path: Path, training_file: Path, settings: TuningSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="prompt_tuning_helpers"):
        loaded = loading.load(str(hybrid))
        loading.load(str(hybrid))
    (said,) = [record.getMessage() for record in caplog.records]
    assert "'granitemoehybrid' models keep a state that the rows of a batch cannot share" in said
    assert isinstance(loaded.model, PlainModel)
    assert loaded.model.steps
    data = encode_rows(read_rows(training_file), loaded.tokenizer, settings)
    losses: list[float] = []
    prompt = initialise(loaded.model, loaded.tokenizer, settings)
    tuned = tune(loaded.model, prompt, data, settings, report=lambda progress: losses.append(progress.loss))
    assert losses[-1] < losses[0]
    save(tmp_path / "soft", tuned, "local/hybrid", settings)
    engine = Engine({"local/hybrid": str(hybrid)})
    try:
        asked = [
            GenerationRequest("local/hybrid", text, GenerationParameters(max_new_tokens=5)) for text in ("a", "b c")
        ]
        tuned_asked = [GenerationRequest(one.model_id, one.prompt, one.parameters, tmp_path / "soft") for one in asked]
        futures = [engine.generate(request) for request in [*asked, *tuned_asked]]
        answers = [future.result(timeout=60).text for future in futures]
        assert [engine.generate(request).result(timeout=60).text for request in [*asked, *tuned_asked]] == answers
    finally:
        engine.close()
    assert answers[:2] != answers[2:]


def test_a_model_with_attention_alone_shares_its_prefix(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(choose_path(make_network("gpt2")), TransformersModel)
    assert not caplog.records


def test_what_is_no_number_is_told() -> None:
    network = make_network("gpt2")
    network.transformer.ln_f.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="weights are damaged"):
        choose_path(network)


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("xlnet", "the tokens of 'xlnet' models see those that come after them"),
        ("bert-generation", "see those that come after them"),
        ("deepseek_v4", "give no gradient from embeddings alone"),
    ],
)
def test_what_only_a_trial_tells_is_refused(family: str, reason: str) -> None:
    with pytest.raises(NotTunable, match=reason):
        choose_path(small_network(small_config(family)))


def test_a_chunk_counts_the_prefix_where_each_row_repeats_it() -> None:
    rows = [([1] * 6, [2] * 2)] * 100
    assert max(len(chunk) for chunk in _chunks(rows, repeated=0)) == 100
    assert max(len(chunk) for chunk in _chunks(rows, repeated=120)) == MAX_PACKED_TOKENS // 128
