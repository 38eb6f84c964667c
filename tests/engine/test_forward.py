"""Both paths compute what the plain forward computes: loss, gradient and next-token logits."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prompt_tuning_helpers.engine.causal_model import CausalModel, pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.llama import LlamaModel
from tests.support.networks import make_network, padded_logits, plain_logits

FAST = [
    "llama",
    "llama with biases",
    "mistral",
    "qwen2",
    "qwen3",
    "granite",
    "granite 4",
    "granite 4 without positions",
]
PATHS: list[tuple[str, type[CausalModel]]] = [
    *((kind, LlamaModel) for kind in FAST),
    *((kind, TransformersModel) for kind in ("llama", "granite", "gpt2", "qwen2", "gemma")),
]
MAKE: dict[type[CausalModel], Callable[[Any], CausalModel]] = {
    LlamaModel: LlamaModel.of_network,
    TransformersModel: TransformersModel,
}
CASES = {(kind, path): (network := make_network(kind), MAKE[path](network)) for kind, path in PATHS}

token = st.integers(0, 96)
row = st.tuples(st.lists(token, min_size=1, max_size=40), st.lists(token, min_size=1, max_size=3))


def _loss_and_gradient(logits: Tensor, labels: Tensor, prefix: Tensor) -> tuple[Tensor, Tensor]:
    loss = torch.nn.functional.cross_entropy(logits, labels)
    return loss, torch.autograd.grad(loss, prefix)[0]


@pytest.mark.parametrize("case", CASES, ids=[f"{kind}-{path.__name__}" for kind, path in CASES])
@settings(max_examples=15, deadline=None)
@given(rows=st.lists(row, min_size=1, max_size=5), virtual_tokens=st.integers(1, 100))
def test_loss_and_gradient_are_those_of_the_plain_forward(
    case: tuple[str, type[CausalModel]], rows: list[tuple[list[int], list[int]]], virtual_tokens: int
) -> None:
    network, model = CASES[case]
    prefix = torch.randn(virtual_tokens, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    packed = pack(rows)
    loss, gradient = _loss_and_gradient(model.label_logits(prefix, packed), packed.labels, prefix)
    expected_loss, expected_gradient = _loss_and_gradient(plain_logits(network, prefix, rows), packed.labels, prefix)
    assert abs(loss - expected_loss) <= 1e-4 * abs(expected_loss)
    # A loss near zero has a gradient of rounding errors, so the norm's floor is the float's.
    assert (gradient - expected_gradient).norm() <= 1e-4 * expected_gradient.norm() + 1e-6


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("case", CASES, ids=[f"{kind}-{path.__name__}" for kind, path in CASES])
def test_rows_without_padding_are_as_those_of_a_padded_batch(
    case: tuple[str, type[CausalModel]], side: Literal["left", "right"]
) -> None:
    network, model = CASES[case]
    rows = [([3], [4, 5]), ([7, 8, 9, 10, 11], [12]), (list(range(20, 60)), [1, 2, 3])]
    prefix = torch.randn(9, 32, generator=torch.Generator().manual_seed(1))
    expected = padded_logits(network, prefix, rows, side)
    torch.testing.assert_close(model.label_logits(prefix, pack(rows)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind, path in PATHS if path is TransformersModel])
def test_the_general_path_needs_no_prefix(kind: str) -> None:
    network, model = CASES[kind, TransformersModel]
    rows = [([3], [4, 5]), ([7, 8, 9, 10, 11], [12]), (list(range(20, 60)), [1, 2, 3])]
    nothing = torch.empty(0, 32)
    expected = plain_logits(network, nothing, rows)
    torch.testing.assert_close(model.label_logits(nothing, pack(rows)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=[f"{kind}-{path.__name__}" for kind, path in CASES])
def test_sequences_extended_together_are_as_each_on_its_own(case: tuple[str, type[CausalModel]]) -> None:
    network, model = CASES[case]
    rows = [([3], [4, 5, 6]), ([7, 8, 9, 10, 11], [12, 13, 14]), (list(range(20, 90)), [1, 2, 3])]
    prefix = torch.randn(9, 32)
    expected = plain_logits(network, prefix, rows).view(len(rows), 3, -1)
    caches = [model.new_cache() for _ in rows]
    steps = [[torch.cat([prefix, model.embed(torch.tensor(inputs))]) for inputs, _ in rows]]
    steps += [[model.embed(torch.tensor([outputs[i]])) for _, outputs in rows] for i in range(2)]
    for step, inputs in enumerate(steps):
        torch.testing.assert_close(model.extend(caches, inputs), expected[:, step], rtol=1e-4, atol=1e-4)


def test_a_copied_cache_is_extended_on_its_own() -> None:
    _, model = CASES["llama", LlamaModel]
    first, whole = model.new_cache(), model.new_cache()
    model.extend([first], [model.embed(torch.tensor([1, 2, 3, 4]))])
    second = first.copy(2)
    model.extend([first], [model.embed(torch.tensor([5]))])
    logits = model.extend([second], [model.embed(torch.tensor([8, 9]))])
    torch.testing.assert_close(logits, model.extend([whole], [model.embed(torch.tensor([1, 2, 8, 9]))]))
    assert (first.length, second.length) == (5, 4)
