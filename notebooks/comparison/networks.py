"""The base model as jobs get it: loaded once in a process that runs many, on a GPU or on the processor."""

import copy
from functools import cached_property
from typing import Any

import torch

from prompt_tuning_helpers.engine import loading, sources
from prompt_tuning_helpers.engine.causal_model import CausalModel
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.llama import LlamaModel


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
    return network.eval().requires_grad_(False).to(device)


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
        network = load_network(self.source, self.device)  # one of its own, which the engine's fast path lets go
        return LlamaModel(network) if LlamaModel.supports(network.config) else TransformersModel(network)

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
