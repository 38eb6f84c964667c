"""The general path: any causal language model of transformers, through its own forward and ``past_key_values``.

The prefix's keys and values are computed once per update here, too, and shared by the batch; rows are padded.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .causal_model import CausalModel, PackedRows, Past
from .errors import UnavailableModel


class GeneralPast(Past):
    """A transformers cache and how many tokens it holds."""

    def __init__(self, cache: Any, length: int) -> None:
        self.cache = cache
        self.length = length

    @property
    def room(self) -> int:
        """Tokens that memory is taken for."""
        return self.length

    def copy(self, length: int) -> "GeneralPast":
        """The whole past, as a past of its own; a part of it cannot be had for every kind of model."""
        assert length == self.length
        return GeneralPast(copy.deepcopy(self.cache), length)


class GeneralForward(CausalModel):
    """Any causal language model that accepts ``inputs_embeds`` and keeps its past in a ``DynamicCache``.

    Args:
        model: the transformers model, frozen, in evaluation mode.
        first_cache: makes the cache that every sequence starts from, one with PEFT's prefix in it for instance; an
            empty one, if it is not given.

    Raises:
        UnavailableModel: for a model that has no such past.
    """

    can_reuse = False

    def __init__(self, model: Any, first_cache: Callable[[], Any] | None = None) -> None:
        parameters = inspect.signature(model.forward).parameters
        if not {"inputs_embeds", "past_key_values"} <= set(parameters):
            raise UnavailableModel(
                f"Models of type {model.config.model_type!r} take no past_key_values, which prompt tuning needs here. "
                "Use a decoder-only transformer, for instance of the Llama, Granite, GPT-2 or Qwen family.",
            )
        self.network = model
        self._first_cache = first_cache or self._empty_cache
        if not all(hasattr(layer, "batch_repeat_interleave") for layer in self._first_cache().layers):
            raise UnavailableModel(
                f"Models of type {model.config.model_type!r} keep a past that cannot be shared by the rows of a batch. "
                "Use a model that has attention in all its layers.",
            )
        self.embedding: Tensor = model.get_input_embeddings().weight.detach()

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings of token ids: ``[...]`` to ``[..., H]``."""
        # By the model's own module: some families scale their embeddings there.
        embeddings: Tensor = self.network.get_input_embeddings()(tokens)
        return embeddings

    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Logits at the label positions, ``[labels, vocabulary]``, differentiable in ``prefix`` ``[P, H]``."""
        cache = self._first_cache()
        held: int = cache.get_seq_length()
        if prefix.shape[0]:
            self.network(inputs_embeds=prefix[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        shared, batch, longest = held + prefix.shape[0], len(rows.lengths), max(rows.lengths)
        cache.batch_repeat_interleave(batch)
        device = prefix.device
        lengths = torch.tensor(rows.lengths, device=device)
        row = torch.repeat_interleave(torch.arange(batch, device=device), lengths)
        padded = torch.zeros(batch, longest, dtype=torch.long, device=device)
        padded[row, rows.offsets] = rows.tokens
        attended = torch.arange(longest, device=device) < lengths[:, None]
        mask = torch.cat([torch.ones(batch, shared, dtype=torch.bool, device=device), attended], dim=1).long()
        positions = torch.arange(shared, shared + longest, device=device).expand(batch, -1)
        # Logits of any row's label positions, not of all: a vocabulary is large.
        kept, columns = rows.offsets[rows.label_positions].unique(return_inverse=True)
        logits = self.network(
            inputs_embeds=self.embed(padded).to(prefix.dtype),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            logits_to_keep=kept,
        ).logits
        picked: Tensor = logits[row[rows.label_positions], columns]
        return picked.float()

    @torch.no_grad()
    def extend(self, pasts: list[Past], inputs: list[Tensor]) -> Tensor:
        """Append embeddings ``[n_i, H]`` to each sequence; the logits after their last tokens, ``[B, vocabulary]``."""
        logits = []
        for past, embeddings in zip(pasts, inputs, strict=True):
            assert isinstance(past, GeneralPast)
            output = self.network(
                inputs_embeds=embeddings[None], past_key_values=past.cache, use_cache=True, logits_to_keep=1
            )
            past.length += embeddings.shape[0]
            logits.append(output.logits[:, -1])
        return torch.cat(logits).float()

    def new_past(self) -> GeneralPast:
        """The past of a sequence that has no tokens yet."""
        cache = self._first_cache()
        return GeneralPast(cache, cache.get_seq_length())

    def _empty_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self.network.config)
