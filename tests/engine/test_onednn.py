"""Linear layers of a network multiply by oneDNN as they did before, forward and backward."""

import copy

import pytest
import torch
from torch import nn

from prompt_tuning_helpers.engine import onednn
from prompt_tuning_helpers.engine.onednn import speed_up

NEEDED = pytest.mark.skipif(not onednn.can_multiply(torch.empty(1)), reason="PyTorch has no oneDNN here")


def network(bias: bool) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 40, bias=bias), nn.Tanh(), nn.Linear(40, 8, bias=bias))


@NEEDED
@pytest.mark.parametrize("shape", [(24,), (1, 24), (5, 24), (3, 7, 24), (0, 24)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_values_and_all_gradients_are_as_before(shape: tuple[int, ...], bias: bool, frozen: bool) -> None:
    ours, theirs = network(bias).requires_grad_(not frozen), network(bias).requires_grad_(not frozen)
    speed_up(ours)
    assert [type(layer) for layer in ours] == [onednn.Linear, nn.Tanh, onednn.Linear]
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    our_input, their_input = values.clone().requires_grad_(), values.clone().requires_grad_()
    product, expected = ours(our_input), theirs(their_input)
    torch.testing.assert_close(product, expected)
    gradient = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    product.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(our_input.grad, their_input.grad)
    for our, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(our.grad, their.grad)


@NEEDED
def test_a_copy_multiplies_with_weights_of_its_own() -> None:
    first = network(bias=True)
    speed_up(first)
    second = copy.deepcopy(first)
    inputs = torch.randn(2, 24)
    before = first(inputs)
    with torch.no_grad():
        next(second.parameters()).zero_()
    torch.testing.assert_close(first(inputs), before)
    assert not torch.equal(second(inputs), before)


def test_what_oneDNN_does_not_compute_stays_as_it_is() -> None:  # noqa: N802 its name
    class Special(nn.Linear):
        pass

    layers = nn.Sequential(Special(4, 4), nn.Linear(4, 4, dtype=torch.bfloat16), nn.Linear(4, 4, device="meta"))
    speed_up(layers)
    assert [type(layer) for layer in layers] == [Special, nn.Linear, nn.Linear]
