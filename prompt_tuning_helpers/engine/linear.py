"""Products with frozen weights, in float32 or rounded, laid out in memory as the processor reads them fastest."""

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
        is_exact: whether the weight stays in float32 where results would be rounded, too.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, is_kept: bool = False, is_exact: bool = False
    ) -> None:
        weight = weight.detach()
        self._bias = None if bias is None else bias.detach()
        self._by_onednn = onednn.can_multiply(weight)
        self._kept = weight if is_kept else None
        self._weight = _pack(weight) if self._by_onednn else weight
        self._is_exact = is_exact
        self._rounded: Tensor | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map inputs ``[N, inputs]`` to outputs ``[N, outputs]``."""
        if not self._by_onednn:
            return F.linear(inputs, self._weight, self._bias)
        product: Tensor = _FrozenProduct.apply(inputs, self)  # type: ignore[no-untyped-call]
        return product

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiply, unseen by autograd."""
        return onednn.multiply(inputs, self._weight_now(), self._bias)

    def backward(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the inputs, ``[N, inputs]``, from that of the outputs, ``[N, outputs]``."""
        self.serve_both_ways()
        return onednn.multiply(gradient, self._weight_now().t())

    def serve_both_ways(self) -> None:
        """Lay the weights out so that they serve outputs and gradients alike.

        Packed ones serve one direction, and a second packing would take as much memory again. As they are, they serve
        both as fast for as many rows as a training step has; only for a few rows, as when decoding, packed ones are
        faster.
        """
        if self._weight.is_mkldnn:  # still packed
            self._weight = _for_both_ways(self._weight.to_dense()) if self._kept is None else self._kept

    def keep_only_in_use(self) -> None:
        """Let go of the weight in all numbers but those that products take now; they stay for good."""
        self._weight, self._rounded = self._weight_now(), None

    def _weight_now(self) -> Tensor:
        """Return the weight in the numbers that products take now."""
        if self._is_exact or not (self._by_onednn and onednn.takes_rounded_weights()):
            return self._weight
        if self._rounded is None:
            self.serve_both_ways()
            self._rounded = self._weight.bfloat16()
        return self._rounded


class _FrozenProduct(torch.autograd.Function):
    """Teaches autograd a product with frozen weights."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, linear: FrozenLinear) -> Tensor:
        ctx.linear = linear
        return linear.forward(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.linear.backward(gradient), None


def _for_both_ways(weight: Tensor) -> Tensor:
    """Store a weight transposed, which is the faster way round for outputs, unless Intel's processors cache that badly.

    Where the numbers that follow each other in a column are a multiple of 4 KiB apart, all of them fall on the same few
    lines of the cache. On a Xeon, outputs took 10.2 ms that way (500 rows, 576 inputs, 3,072 outputs), and 4.9 ms as
    the weight is. On an AMD EPYC, steps were faster with all weights transposed, these included.
    """
    is_cached_badly = onednn.IS_INTEL and weight.shape[0] * weight.element_size() % 4096 == 0
    return weight if is_cached_badly else weight.t().contiguous().t()


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return packed
