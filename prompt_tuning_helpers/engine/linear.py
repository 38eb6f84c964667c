"""Products with frozen weights: exact in float32, and laid out in memory as the processor reads them fastest."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import onednn


class FrozenLinear:
    """A linear map that gives a gradient to its inputs but not to its weights.

    oneDNN multiplies with weights that it has laid out for its own kernels. PyTorch's compiler does the same to frozen
    weights. In pairs on two cores, a training step was 1.19 times as fast as with F.linear, and a
    decoding step 1.4 to 2.2 times; ``onednn.py`` tells of AMD.

    Args:
        weight: ``[outputs, inputs]``.
        bias: ``[outputs]``; none by default.
        is_kept: whether the weight stays in memory as it is, since something else uses it, too.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, is_kept: bool = False) -> None:
        weight = weight.detach()
        self._bias = None if bias is None else bias.detach()
        self._packed = onednn.can_multiply(weight)
        self._weight = _pack(weight) if self._packed else weight
        # [inputs, outputs], in place of the packed weights once a gradient is asked for.
        self._both_ways: Tensor | None = None
        self._kept = weight if is_kept else None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map inputs ``[N, inputs]`` to outputs ``[N, outputs]``."""
        if not self._packed:
            return F.linear(inputs, self._weight, self._bias)
        product: Tensor = _PackedProduct.apply(inputs, self)  # type: ignore[no-untyped-call]
        return product

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiply, unseen by autograd."""
        return onednn.multiply(inputs, self._weight, self._bias)

    def backward(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the inputs, ``[N, inputs]``, from that of the outputs, ``[N, outputs]``."""
        if self._both_ways is None:
            self.serve_both_ways()
        assert self._both_ways is not None
        return onednn.multiply(gradient, self._both_ways)

    def serve_both_ways(self) -> None:
        """Lay the weights out so that they serve outputs and gradients alike.

        Packed ones serve one direction, and a second packing would take as much memory again. As they are, they serve
        both as fast for as many rows as a training step has; only for a few rows, as when decoding, packed ones are
        faster.
        """
        if self._packed and self._both_ways is None:
            plain = self._weight.to_dense().t().contiguous() if self._kept is None else self._kept.t()
            self._both_ways, self._weight = plain, plain.t()


class _PackedProduct(torch.autograd.Function):
    """Teaches autograd a product with packed weights."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, linear: FrozenLinear) -> Tensor:
        ctx.linear = linear
        return linear.forward(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.linear.backward(gradient), None


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return packed
