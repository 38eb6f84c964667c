"""Rotary position embeddings, which keep nothing for the backward pass but the angles."""

from typing import Any

import torch
from torch import Tensor


class _Rotated(torch.autograd.Function):
    """Turns pairs of numbers by an angle, and their gradient back by the same."""

    @staticmethod
    def forward(ctx: Any, heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(heads, cos, sin)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(gradient, cos, -sin), None, None


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate by positions (Su et al., 2021, https://arxiv.org/abs/2104.09864).

    The layout is Llama's: the second half of a head holds the partners of the first.

    Args:
        heads: ``[N, heads, D]``.
        cos: of the angles, ``[N, 1, D / 2]``.
        sin: likewise.
    """
    rotated: Tensor = _Rotated.apply(heads, cos, sin)  # type: ignore[no-untyped-call]
    return rotated


def _turn(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = heads.chunk(2, dim=-1)
    turned = heads.new_empty(heads.shape)
    turned_first, turned_second = turned.chunk(2, dim=-1)
    torch.mul(first, cos, out=turned_first).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=turned_second).addcmul_(first, sin)
    return turned
