"""Lets the linear layers of a network of transformers multiply by oneDNN, which comes with PyTorch.

In float32, PyTorch multiplies by MKL, which is slower than oneDNN on AMD's processors: forward and gradient of
SmolLM2-135M were 1.75 times as fast by oneDNN on two cores of an EPYC, and 1.2 times on one with AVX-512
(`onednn_speed_up` of `make bench`). On those of an Intel Xeon they were 0.9 times as fast; but what MKL gives depends
on where in memory the numbers lie, so that the same run would not always give the same soft prompt. The sums are the
same, in another order.

Inside ``rounded_products``, numbers are rounded to bfloat16 before they are multiplied. Sums stay in float32. With AMX,
oneDNN rounds by itself, and results stay in float32, too: a step took 0.62 of the time. With AVX-512 BF16 alone it
multiplies what is in bfloat16 already: layers give it weights in bfloat16, and what it gives back is rounded as well. A
step took 0.75 of the time on an EPYC, and 1.33 times as long on a Xeon: so a job tries it first (``precision.py``).
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_IS_THERE = torch.backends.mkldnn.is_available() and platform.machine() in ("x86_64", "AMD64")
_HAS_AMX, _HAS_AVX512_BF16 = (bool(torch.cpu.get_capabilities().get(name)) for name in ("amx_bf16", "avx512_bf16"))
IS_INTEL = "Intel" in str(torch.cpu.get_capabilities().get("cpu_name", ""))

# What layers of queries and keys are called in transformers, alone or with those of values. Rounded ones put the
# gradient of SmolLM2's soft prompt 7 % off, since attention takes exponentials of their products; all others, 4 %.
QUERIES_AND_KEYS = (
    *("q_proj", "k_proj", "qkv_proj", "query", "key", "query_key_value", "Wqkv", "c_attn"),
    *("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"),
)

_rounds = False  # whether numbers are rounded before they are multiplied


def can_multiply(weight: Tensor) -> bool:
    """Tell whether oneDNN is there and computes in these numbers on this device."""
    return _IS_THERE and weight.device.type == "cpu" and weight.dtype == torch.float32


def multiply(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply as ``torch.nn.functional.linear`` does, unseen by autograd.

    Args:
        inputs: ``[N, inputs]``, in float32 on the CPU.
        weight: ``[outputs, inputs]``, of any strides or packed for oneDNN; in float32, or in bfloat16 for a product of
            rounded numbers.
        bias: ``[outputs]``, in float32; none by default.
    """
    if weight.dtype == torch.bfloat16:
        product = _multiply(inputs.bfloat16(), weight, None).float()
        return product if bias is None else product.add_(bias)
    if not (_rounds and _HAS_AMX):
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
    return _IS_THERE and (_HAS_AMX or _HAS_AVX512_BF16)


def takes_rounded_weights() -> bool:
    """Tell whether layers should multiply with weights in bfloat16 now, since oneDNN does not round by itself."""
    return _rounds and _HAS_AVX512_BF16 and not _HAS_AMX


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

    is_exact = False  # whether the weight stays in float32 where results would be rounded, too
    _rounded: Tensor | None = None  # the weight in bfloat16
    _rounded_at = -1  # the weight's version that it was made from

    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``[..., inputs]`` to ``[..., outputs]``."""
        product: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            inputs.reshape(-1, self.in_features), self.weight, self.bias, self._rounded_weight()
        )
        return product.view(*inputs.shape[:-1], self.out_features)

    def _rounded_weight(self) -> Tensor | None:
        if self.is_exact or not takes_rounded_weights():
            return None
        version = self.weight._version  # which each update of a trained one raises
        if self._rounded is None or self._rounded_at != version:
            self._rounded, self._rounded_at = self.weight.detach().bfloat16(), version
        return self._rounded

    def forget_rounded(self) -> None:
        """Let go of the weight in bfloat16; it is made again when it is needed."""
        self._rounded = None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, rounded: Tensor | None) -> Tensor:
        used = weight if rounded is None else rounded
        ctx.save_for_backward(inputs if ctx.needs_input_grad[1] else None, used)
        return multiply(inputs, used, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        inputs, weight = ctx.saved_tensors
        of_inputs, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            multiply(gradient, weight.t()) if of_inputs else None,
            _gradient_of_weight(gradient, inputs.to(weight.dtype)) if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
        )


def _gradient_of_weight(gradient: Tensor, inputs: Tensor) -> Tensor:
    if not len(gradient):  # oneDNN knows no sums of nothing
        return gradient.t() @ inputs.float()
    return multiply(gradient.t(), inputs.t())


def speed_up(network: torch.nn.Module) -> None:
    """Let all linear layers of a network multiply by oneDNN, where they can.

    Args:
        network: in any numbers, on any device.
    """
    find_logits: Any = getattr(network, "get_output_embeddings", lambda: None)  # what only whole models have
    logits = find_logits()
    for name, module in network.named_modules():
        # Kinds of layers that are derived from these do something else, too.
        if type(module) is torch.nn.Linear and can_multiply(module.weight):
            module.__class__ = Linear
            assert isinstance(module, Linear)
            module.is_exact = module is logits or name.rpartition(".")[2] in QUERIES_AND_KEYS


def keep_only_in_use(network: torch.nn.Module) -> None:
    """Let go of rounded weights if products take none now. Those in float32 stay: other parts may share them."""
    if not takes_rounded_weights():
        for module in network.modules():
            if isinstance(module, Linear):
                module.forget_rounded()
