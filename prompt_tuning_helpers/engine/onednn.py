"""Lets the linear layers of a network of transformers multiply by oneDNN, which comes with PyTorch.

In float32, PyTorch multiplies by MKL, which reaches less than half of what an AMD processor can do: on two cores of an
EPYC, forward and gradient of SmolLM2-135M were 1.75 times as fast by oneDNN (`onednn_speed_up` of `make bench`). The
sums are the same, in another order.
"""

import platform
from typing import Any

import torch
from torch import Tensor

_IS_THERE = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")


def can_multiply(weight: Tensor) -> bool:
    """Tell whether oneDNN is there and computes in these numbers on this device."""
    return _IS_THERE and weight.device.type == "cpu" and weight.dtype == torch.float32


def multiply(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply as ``torch.nn.functional.linear`` does, unseen by autograd.

    Args:
        inputs: ``[N, inputs]``, in float32 on the CPU, as all that follow.
        weight: ``[outputs, inputs]``, of any strides or packed for oneDNN.
        bias: ``[outputs]``; none by default.
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product


class Linear(torch.nn.Linear):
    """A linear layer that multiplies by oneDNN, forward and backward."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``[..., inputs]`` to ``[..., outputs]``."""
        product: Tensor = _Product.apply(inputs.reshape(-1, self.in_features), self.weight, self.bias)  # type: ignore[no-untyped-call]
        return product.view(*inputs.shape[:-1], self.out_features)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs if ctx.needs_input_grad[1] else None, weight)
        return multiply(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        of_inputs, of_weight, of_bias = ctx.needs_input_grad
        # oneDNN knows no sums of nothing, as the gradient of weights would be of no rows.
        product = multiply if len(gradient) else torch.nn.functional.linear
        return (
            product(gradient, weight.t()) if of_inputs else None,
            product(gradient.t(), inputs.t()) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def speed_up(network: torch.nn.Module) -> None:
    """Let all linear layers of a network multiply by oneDNN, where they can.

    Args:
        network: in any numbers, on any device.
    """
    for module in network.modules():
        # Kinds of layers that are derived from these do something else, too.
        if type(module) is torch.nn.Linear and can_multiply(module.weight):
            module.__class__ = Linear
