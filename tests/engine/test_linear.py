"""Products with frozen weights equal the ordinary ones, forward and backward."""

import pytest
import torch
import torch.nn.functional as F

from prompt_tuning_helpers.engine import onednn
from prompt_tuning_helpers.engine.linear import FrozenLinear

SHAPES = [(1, 1, 1), (1, 96, 48), (7, 48, 96), (333, 96, 160), (0, 16, 16)]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("layout", ["as given", "packed", "both ways", "both ways, kept"])
@pytest.mark.parametrize(("rows", "outputs", "inputs"), SHAPES)
def test_product_and_gradient(
    rows: int, outputs: int, inputs: int, layout: str, with_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "_IS_THERE", onednn._IS_THERE and layout != "as given")
    generator = torch.Generator().manual_seed(rows)
    weight = torch.randn(outputs, inputs, generator=generator)
    values = torch.randn(rows, inputs, generator=generator)
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    bias = torch.randn(outputs, generator=generator) if with_bias else None
    ours_of = FrozenLinear(weight, bias, is_kept="kept" in layout)
    if "both ways" in layout:
        ours_of.serve_both_ways()
    product, expected = ours_of(ours), F.linear(theirs, weight, bias)
    torch.testing.assert_close(product, expected)
    gradient = torch.randn(rows, outputs, generator=generator)
    product.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_weights_stay_frozen() -> None:
    weight, bias = torch.randn(8, 8, requires_grad=True), torch.randn(8, requires_grad=True)
    FrozenLinear(weight, bias)(torch.randn(3, 8, requires_grad=True)).sum().backward()
    assert weight.grad is None
    assert bias.grad is None


def test_weights_that_something_else_keeps_are_not_copied_for_gradients() -> None:
    weight = torch.randn(8, 6)
    product = FrozenLinear(weight, is_kept=True)
    product.serve_both_ways()
    inputs = torch.randn(3, 6)
    before = product(inputs)
    weight.mul_(2)
    torch.testing.assert_close(product(inputs), 2 * before)
