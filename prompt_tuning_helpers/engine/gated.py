"""The gated activation of feed-forward layers, which keeps nothing for the backward pass but what it was given."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _Gated(torch.autograd.Function):
    """Computes the gate's activation anew in the backward pass, which costs less than to keep it."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        result = torch.empty_like(gate_up)
        of_gate, of_up = result.chunk(2, dim=-1)
        torch.mul(gradient, F.silu(gate), out=of_up)
        torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=of_gate)
        return result


def gated(gate_up: Tensor) -> Tensor:
    """Return SiLU of the gate times what it lets through (Shazeer, 2020, https://arxiv.org/abs/2002.05202).

    Args:
        gate_up: both, side by side, ``[N, 2 * F]``.

    Returns:
        ``[N, F]``.
    """
    product: Tensor = _Gated.apply(gate_up)  # type: ignore[no-untyped-call]
    return product
