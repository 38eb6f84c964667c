"""Lets the linear layers of a network of transformers multiply by oneDNN, which comes with PyTorch.

In float32, PyTorch multiplies by MKL, which reaches less than half of what an AMD processor can do: on two cores of an
EPYC, forward and gradient of SmolLM2-135M were 1.75 times as fast by oneDNN (`onednn_speed_up` of `make bench`). On
those of an Intel Xeon they were 0.9 times as fast; but what MKL gives depends on where in memory the numbers lie, so
that the same run would not always give the same soft prompt. The sums are the same, in another order.

Inside ``rounded_products``, numbers are rounded to bfloat16 before they are multiplied, which processors with
instructions for that do several times as fast. Sums and results stay in float32.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_IS_THERE = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")
_BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")  # as PyTorch calls what a processor can do
IS_INTEL = "Intel" in str(torch.cpu.get_capabilities().get("cpu_name", ""))

_rounds = False  # whether numbers are rounded before they are multiplied


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
    if not _rounds:
        return _multiply(inputs, weight, bias)
    # For this product alone: those within attention are small, and take three times as long when rounded.
    precision = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = precision.fp32_precision
    precision.fp32_precision = "bf16"
    try:
        return _multiply(inputs, weight, bias)
    finally:
        precision.fp32_precision = before


def can_round() -> bool:
    """Tell whether the processor has instructions for products in bfloat16."""
    return _IS_THERE and any(torch.cpu.get_capabilities().get(name) for name in _BFLOAT16_INSTRUCTIONS)


@contextmanager
def rounded_products() -> Iterator[None]:
    """Multiply numbers rounded to bfloat16 inside the block, in all threads."""
    global _rounds
    before, _rounds = _rounds, True
    try:
        yield
    finally:
        _rounds = before


def _multiply(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
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
