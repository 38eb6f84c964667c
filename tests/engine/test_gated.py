"""The gated activation is the ordinary one, forward and backward, and keeps only what it was given."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prompt_tuning_helpers.engine.gated import gated


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (0, 4), (7, 48), (200, 33)])
@pytest.mark.parametrize("size", [0.1, 1.0, 30.0])
def test_values_and_gradients(rows: int, width: int, size: float) -> None:
    generator = torch.Generator().manual_seed(rows)
    values = size * torch.randn(rows, 2 * width, generator=generator)
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    gate, up = theirs.chunk(2, dim=-1)
    product, expected = gated(ours), F.silu(gate) * up
    torch.testing.assert_close(product, expected)
    gradient = torch.randn(rows, width, generator=generator)
    product.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_nothing_else_is_kept_for_the_backward_pass() -> None:
    kept: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    gate_up = torch.randn(5, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        gated(gate_up)
    assert [tensor.data_ptr() for tensor in kept] == [gate_up.data_ptr()]
