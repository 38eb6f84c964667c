"""What tuning and serving need of a frozen causal language model, whichever way it is computed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PackedRows:
    """Rows of token ids laid end to end, without what all of them share.

    Args:
        tokens: all rows' token ids, ``[T]``.
        offsets: each token's position within its row, ``[T]``.
        lengths: tokens in each row.
        label_positions: for each label, the index into ``tokens`` of the token it follows, ``[labels]``.
        labels: the token ids to predict there, ``[labels]``.
    """

    tokens: Tensor
    offsets: Tensor
    lengths: list[int]
    label_positions: Tensor
    labels: Tensor


class Past(ABC):
    """What a model remembers of a sequence: the keys and values of ``length`` tokens."""

    length: int

    @property
    @abstractmethod
    def room(self) -> int:
        """Tokens that memory is taken for, ``length`` or more."""

    @abstractmethod
    def copy(self, length: int) -> "Past":
        """The first ``length`` tokens of this past, as a past of its own."""


class CausalModel(ABC):
    """A frozen causal language model: nothing in it has a gradient."""

    embedding: Tensor  # [vocabulary, H]
    can_reuse: bool  # whether a past can be cut short, so that another sequence goes on from there

    @abstractmethod
    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings of token ids: ``[...]`` to ``[..., H]``."""

    @abstractmethod
    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Logits at the label positions, ``[labels, vocabulary]``, differentiable in ``prefix`` ``[P, H]``.

        The prefix (the soft prompt and the tokens that all rows share) comes before each row.
        """

    @abstractmethod
    def new_past(self) -> Past:
        """The past of a sequence that has no tokens yet."""

    @abstractmethod
    def extend(self, pasts: list[Past], inputs: list[Tensor]) -> Tensor:
        """Append embeddings ``[n_i, H]`` to each sequence; the logits after their last tokens, ``[B, vocabulary]``."""


def pack(rows: list[tuple[list[int], list[int]]], device: torch.device | str = "cpu") -> PackedRows:
    """Lay rows end to end.

    Args:
        rows: for each row, its input's token ids (one at least) and its output's.
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
