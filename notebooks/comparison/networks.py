"""The base model as jobs get it: loaded once in a process that runs many, on a GPU or on the processor."""

import copy
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from prompt_tuning_helpers.engine import loading, onednn, sources
from prompt_tuning_helpers.engine.causal_model import CausalModel, pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.llama import LlamaModel

TOLERANCE = 1e-3  # of two ways to compute the same in float32, as a share of the norm


def choose_device(name: str) -> str:
    """Give the device that a name stands for: ``"auto"`` is a GPU by CUDA where there is one, or else the processor."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_network(source: str, device: str = "cpu") -> Any:
    """Load the base model as transformers gives it, frozen, in evaluation mode and float32 on any device."""
    from transformers import AutoModelForCausalLM

    sources.quiet_libraries()
    torch.set_float32_matmul_precision("highest")  # no TF32: what a GPU computes is what a processor does
    network = AutoModelForCausalLM.from_pretrained(sources.fetch(source), dtype=torch.float32, use_safetensors=True)
    network = network.eval().requires_grad_(False).to(device)
    onednn.speed_up(network)  # as the engine does
    return network


def is_same(one: CausalModel, other: CausalModel) -> bool:
    """Tell whether two models compute the same logits, and the same gradient of a soft prompt, for a few tokens."""
    device = one.embedding.device
    rows = pack([([5, 6, 7, 8], [20, 30]), ([9, 10], [40])], device)
    prompt = one.embed(torch.arange(100, 107, device=device)).detach()  # [7, H]

    def compute(model: CausalModel) -> tuple[Tensor, Tensor]:
        start = prompt.clone().requires_grad_()
        logits = model.label_logits(start, rows)
        (gradient,) = torch.autograd.grad(cross_entropy(logits, rows.labels), start)
        return logits.detach(), gradient

    try:
        found = compute(one)
    except (RuntimeError, TypeError, NotImplementedError):  # what it needs is not there on this device
        return False
    expected = compute(other)
    return all(
        bool((ours - theirs).norm() <= TOLERANCE * theirs.norm()) for ours, theirs in zip(found, expected, strict=True)
    )


class BaseModel:
    """The base model; what of it is needed is loaded when it is first asked for.

    Args:
        source: of the model.
        device: ``"cpu"`` or ``"cuda"``.
        is_kept: whether other jobs will use it, too. Then what is trained is a copy.
    """

    def __init__(self, source: str, device: str = "cpu", is_kept: bool = True) -> None:
        self.source, self.device, self._is_kept = source, device, is_kept

    @cached_property
    def tokenizer(self) -> Any:
        """Give its tokenizer."""
        return loading.load_tokenizer(self.source)

    @cached_property
    def network(self) -> Any:
        """Give the network, frozen; not to be changed."""
        return load_network(self.source, self.device)

    @cached_property
    def forward(self) -> TransformersModel:
        """Give the network, to be asked."""
        return TransformersModel(self.network)

    @cached_property
    def tunable(self) -> CausalModel:
        """Give the network as the engine tunes soft prompts on it."""
        if self.device == "cpu":
            return loading.load(self.source).model
        network = load_network(self.source, self.device)  # one of its own, which the engine's fast path lets go
        general = TransformersModel(network)
        if not LlamaModel.supports(network.config):
            return general
        # The fast path was written for processors, where it is tested. On a GPU it has to show that it fits.
        fast = LlamaModel.of_network(network)
        return fast if is_same(fast, general) else general

    def network_to_change(self) -> Any:
        """Give a network that may be changed."""
        return copy.deepcopy(self.network) if self._is_kept else self.network

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Give the ids of the tokens that end a text."""
        ends = (self.network.generation_config.eos_token_id, self.tokenizer.eos_token_id)
        return frozenset(
            token for end in ends for token in (end if isinstance(end, list) else [end]) if token is not None
        )
