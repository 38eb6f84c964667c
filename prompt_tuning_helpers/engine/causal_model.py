"""What tuning and serving need of a frozen causal language model, whichever way it is computed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedRows:
    """Rows of token ids laid end to end, without the prefix that all of them share.

    Args:
        tokens: the token ids of all rows, ``[T]``.
        offsets: the position of each token within its row, ``[T]``.
        lengths: the number of tokens in each row.
        label_positions: for each label, the index into ``tokens`` of the token it follows, ``[labels]``.
        labels: the token ids to predict there, ``[labels]``.
    """

    tokens: Tensor
    offsets: Tensor
    lengths: list[int]
    label_positions: Tensor
    labels: Tensor


class KVCache(ABC):
    """The attention keys and values of the first ``length`` tokens of a sequence, in every layer of a model."""

    length: int

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Return the number of tokens that memory is allocated for: ``length`` or more."""

    @abstractmethod
    def copy(self, length: int) -> "KVCache":
        """Return a cache of its own that holds the first ``length`` tokens of this one."""


class CausalModel(ABC):
    """A frozen causal language model: none of its weights has a gradient."""

    embedding: Tensor  # [vocabulary, H]
    can_reuse: bool  # whether the beginning of a cache can be copied, so that another sequence resumes from there
    shares_prefix: bool = True  # whether the rows of a step share what the prefix computes

    def prepare_for_gradients(self) -> None:  # noqa: B027 most models need nothing
        """Make ready to be trained with, before the first step; answering may be slower afterwards."""

    @abstractmethod
    def keep_only_in_use(self) -> None:
        """Let go of weights in other numbers than products take now, for good; answers come from what is left, too."""

    @abstractmethod
    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings ``[..., H]`` of token ids ``[...]``."""

    @abstractmethod
    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Return the logits at the label positions, ``[labels, vocabulary]``, differentiable in the prefix.

        Args:
            prefix: the embeddings that come before each row, ``[P, H]``: the soft prompt and what all rows share.
            rows: the rows, each of which attends to the prefix and to itself.
        """

    @abstractmethod
    def new_cache(self) -> KVCache:
        """Return the cache of a sequence that has no tokens yet."""

    @abstractmethod
    def extend(self, caches: list[KVCache], inputs: list[Tensor], keep: int = 1) -> Tensor:
        """Append tokens to sequences and return the logits after the last of each, ``[B * keep, vocabulary]``.

        Args:
            caches: the cache of each sequence; the new tokens are added to it.
            inputs: for each sequence, the embeddings of its new tokens, ``[n, H]``.
            keep: after how many of the last new tokens of each sequence logits are returned.
        """


def pack(rows: list[tuple[list[int], list[int]]], device: torch.device | str = "cpu") -> PackedRows:
    """Lay rows end to end.

    Args:
        rows: for each row, the token ids of its input (at least one) and of its output.
        device: where the tensors go.
    """
    tokens: list[int] = []
    offsets: list[int] = []
    lengths: list[int] = []
    label_positions: list[int] = []
    labels: list[int] = []
    for inputs, outputs in rows:
        # The last output token is predicted but never read.
        row = inputs + outputs[:-1]
        first_label = len(tokens) + len(inputs) - 1
        label_positions.extend(range(first_label, first_label + len(outputs)))
        labels.extend(outputs)
        tokens.extend(row)
        offsets.extend(range(len(row)))
        lengths.append(len(row))
    return PackedRows(
        tokens=torch.tensor(tokens, device=device),
        offsets=torch.tensor(offsets, device=device),
        lengths=lengths,
        label_positions=torch.tensor(label_positions, device=device),
        labels=torch.tensor(labels, device=device),
    )
