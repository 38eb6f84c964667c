"""Soft prompts begin as PEFT's do, and PEFT reads the files of ours and gives the same answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig, PeftModel, PromptEmbedding, PromptTuningConfig
from torch import Tensor

from prompt_tuning_helpers.engine import TuningSettings, sources
from prompt_tuning_helpers.engine.job import run_job
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.rows import encode_inputs, wrap
from prompt_tuning_helpers.engine.soft_prompt import initialise, load, save


def peft_config(settings: TuningSettings, tokenizer: str, **more: Any) -> PromptTuningConfig:
    text = settings.init_method == "text"
    return PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.num_virtual_tokens,
        token_dim=16,
        num_transformer_submodules=1,
        num_layers=1,
        num_attention_heads=1,
        prompt_tuning_init="TEXT" if text else "RANDOM",
        prompt_tuning_init_text=settings.init_text if text else None,
        tokenizer_name_or_path=tokenizer if text else None,
        **more,
    )


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize(("virtual_tokens", "method"), [(3, "text"), (24, "text"), (40, "text"), (7, "random")])
def test_the_start_is_that_of_peft(
    tiny: LoadedModel, tiny_network: Any, settings: TuningSettings, virtual_tokens: int, method: str, seed: int
) -> None:
    settings = replace(settings, num_virtual_tokens=virtual_tokens, init_method=method, seed=seed)
    torch.manual_seed(seed)
    theirs = PromptEmbedding(peft_config(settings, sources.fetch("tiny")), tiny_network.get_input_embeddings())
    assert torch.equal(initialise(tiny.model, tiny.tokenizer, settings), theirs.embedding.weight)


@pytest.mark.parametrize("method", ["text", "random"])
def test_peft_reads_of_an_adapter_what_it_would_have_written(
    start: Tensor, settings: TuningSettings, method: str, tmp_path: Path
) -> None:
    settings = replace(settings, init_method=method)
    save(tmp_path / "adapter", start, "some/model", settings)
    expected = peft_config(settings, "some/model", base_model_name_or_path="some/model", inference_mode=True)
    assert PeftConfig.from_pretrained(str(tmp_path / "adapter")) == expected


def test_plain_peft_gives_the_same_answers(
    job: Path, tiny: LoadedModel, tiny_network: torch.nn.Module, settings: TuningSettings
) -> None:
    assert run_job(job) == 0
    adapter = job / "soft_prompt"
    peft_model = PeftModel.from_pretrained(tiny_network, str(adapter)).eval()
    tuned = load(adapter)
    assert tuned.verbalizer == settings.verbalizer
    for text in ("review good 1:", "something else"):
        tokens = torch.tensor(encode_inputs([wrap(tuned.verbalizer, text)], tiny.tokenizer))
        theirs = peft_model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0, -1]
        inputs = torch.cat([tuned.embeddings, tiny.model.embed(tokens[0])])
        ours = tiny.model.extend([tiny.model.new_cache()], [inputs])[0]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
