"""Every family of causal language models in transformers computes here what it computes there, or is refused.

The small models are those of ``tools/small_models.py``; ``docs/families.md`` says what the engine decides for each.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from prompt_tuning_helpers.engine.causal_model import CausalModel, pack
from prompt_tuning_helpers.engine.settings import TuningSettings
from prompt_tuning_helpers.engine.soft_prompt import save
from tests.support.networks import plain_logits
from tools import families
from tools.small_models import CHANGES, FAMILIES, NOT_BUILT, VARIANTS, WINDOW

PAGE = Path("docs/families.md").read_text()
ROWS = [([40, 41], [42, 43, 44]), ([30, 31, 32, 33, 34, 35, 36, 37, 38], [39]), ([50, 51, 52], [53, 54])]
VIRTUAL_TOKENS = WINDOW + 4  # more than a layer with a window sees
NEW_TOKENS = 6
# Their generate counts positions from 0, and XLM's adds a mask; their forward, which training goes through, does not.
OTHER_POSITIONS = ["camembert", "data2vec-text", "roberta", "roberta-prelayernorm", "xlm", "xlm-roberta"]
OTHER_POSITIONS += ["xlm-roberta-xl", "xmod"]
# PEFT looks for embeddings of exactly as many tokens as the vocabulary has.
NOT_IN_PEFT = ["mllama", "moshi"]
PROMPT = torch.tensor([[60, 33, 47, 38, 52]])


def test_each_family_has_its_line_on_the_page() -> None:
    lines = [line.split(" | ")[0].removeprefix("| ") for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert lines == families.cases()
    assert set(CHANGES) | set(NOT_BUILT) <= set(FAMILIES)
    assert {family for family, _ in VARIANTS.values()} <= set(FAMILIES)


def test_the_page_says_what_a_configuration_is_refused_for() -> None:
    for case in families.cases():
        if case not in NOT_BUILT and (reason := families.refusal(families.config_of(case))):
            assert families.row(case, families.Decision("refused", reason)) in PAGE


@pytest.mark.slow
@pytest.mark.parametrize("case", families.cases())
def test_a_family_computes_what_transformers_computes(case: str, tmp_path: Path, settings: TuningSettings) -> None:
    decision = families.decide(case)
    assert families.row(case, decision) in PAGE, "python -m tools.families > docs/families.md"
    if decision.model is None:
        return
    network, model = decision.network, decision.model
    words = model.embed(torch.arange(30, 30 + 2 * VIRTUAL_TOKENS)).detach()
    prompt = (words[:VIRTUAL_TOKENS] + words[VIRTUAL_TOKENS:]) / 2
    _check_loss_and_gradient(network, model, prompt)
    for virtual in (prompt[:0], prompt):
        assert _greedy(model, virtual) == _generated(network, virtual)
    if case not in NOT_IN_PEFT:
        adapter = tmp_path / "adapter"
        save(adapter, prompt, case, replace(settings, num_virtual_tokens=len(prompt), init_method="random"))
        _check_peft(network, model, prompt, adapter)


def _check_loss_and_gradient(network: Any, model: CausalModel, prompt: Tensor) -> None:
    packed = pack(ROWS)
    found: list[Tensor] = []
    expected: list[Tensor] = []
    paths: tuple[tuple[Callable[[Tensor], Tensor], list[Tensor]], ...] = (
        (lambda prefix: model.label_logits(prefix, packed), found),
        (lambda prefix: plain_logits(network, prefix, ROWS), expected),
    )
    for logits_of, results in paths:
        prefix = prompt.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits_of(prefix), packed.labels)
        results += [loss.detach(), torch.autograd.grad(loss, prefix)[0]]
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()
        assert other.norm() > 0


def _greedy(model: CausalModel, virtual: Tensor) -> list[int]:
    """The answer to the prompt as the generator gets it: the soft prompt is read, then copied, then continued."""
    cache = model.new_cache()
    if len(virtual):
        model.extend([cache], [virtual])
        cache = cache.copy(len(virtual))
    answer: list[int] = []
    waiting = PROMPT[0]
    for _ in range(NEW_TOKENS):
        answer.append(int(model.extend([cache], [model.embed(waiting)])[0].argmax()))
        waiting = torch.tensor(answer[-1:])
    return answer


def _generated(network: Any, virtual: Tensor) -> list[int]:
    """The answer of transformers: of ``generate``, or of the ordinary forward where ``generate`` gives another."""
    network.generation_config = GenerationConfig(max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0)
    inputs = torch.cat([virtual, network.get_input_embeddings()(PROMPT[0])])[None]
    if network.config.model_type in OTHER_POSITIONS or (len(virtual) and not _generates_from_embeddings(network)):
        answer: list[int] = []
        for _ in range(NEW_TOKENS):
            answer.append(int(network(inputs_embeds=inputs.clone(), use_cache=False).logits[0, -1].argmax()))
            inputs = torch.cat([inputs, network.get_input_embeddings()(torch.tensor([answer[-1:]]))], dim=1)
        return answer
    mask = torch.ones(inputs.shape[:2], dtype=torch.long)
    if len(virtual):
        written: Tensor = network.generate(inputs_embeds=inputs, attention_mask=mask)[0]
    else:
        written = network.generate(PROMPT, attention_mask=mask)[0, PROMPT.shape[1] :]
    return [int(token) for token in written]


def _generates_from_embeddings(network: Any) -> bool:
    return "inputs_embeds" in inspect.signature(network.prepare_inputs_for_generation).parameters


def _check_peft(network: Any, model: CausalModel, prompt: Tensor, adapter: Path) -> None:
    from peft import PeftModel

    peft = PeftModel.from_pretrained(network, adapter)
    logits = peft(input_ids=PROMPT, attention_mask=torch.ones_like(PROMPT)).logits[0]
    cache = model.new_cache()
    expected = model.extend([cache], [torch.cat([prompt, model.embed(PROMPT[0])])])[0]
    torch.testing.assert_close(logits[-1], expected, rtol=1e-4, atol=1e-4)
