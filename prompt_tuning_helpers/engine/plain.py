"""The plain path: any causal language model of transformers, through its ordinary forward, with nothing shared.

It is for models whose state after some tokens cannot be given to several sequences, or resumed with several tokens at
once: those with Mamba or other recurrent layers, and those that keep no keys and values. Each training row is computed
with the whole prefix before it, and a prompt is read at once, the soft prompt included.
"""

import inspect
from typing import Any

import torch
from torch import Tensor

from . import onednn
from .causal_model import CausalModel, KVCache, PackedRows


class Sequence(KVCache):
    """A sequence's embeddings, and the model's state after them.

    Args:
        embeddings: of all its tokens, ``[n, H]``.
    """

    def __init__(self, embeddings: Tensor) -> None:
        self.embeddings = embeddings
        self.length = embeddings.shape[0]
        self.state: dict[str, Any] = {}  # by the name that the model's forward takes it by; empty if there is none

    @property
    def capacity(self) -> int:
        """Return the number of tokens that memory is allocated for."""
        return self.length

    def copy(self, length: int) -> "Sequence":
        """Return a sequence of the first ``length`` tokens, which are to be read anew."""
        return Sequence(self.embeddings[:length])


class PlainModel(CausalModel):
    """Any causal language model that accepts ``inputs_embeds``.

    Args:
        model: the transformers model, frozen, in evaluation mode.
        steps: whether the model can read one more token given the state that it left after those before. If not, a
            sequence is read anew for each token.
    """

    can_reuse = False
    shares_prefix = False

    def __init__(self, model: Any, steps: bool = False) -> None:
        self.network = model
        self.steps = steps
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.embedding: Tensor = model.get_input_embeddings().weight.detach()

    def keep_only_in_use(self) -> None:
        """Let go of weights in bfloat16 if products take none now."""
        onednn.keep_only_in_use(self.network)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings ``[..., H]`` of token ids ``[...]``."""
        # By the model's own module: some families scale their embeddings there.
        embeddings: Tensor = self.network.get_input_embeddings()(tokens)
        return embeddings

    def label_logits(self, prefix: Tensor, rows: PackedRows) -> Tensor:
        """Return the logits at the label positions, ``[labels, vocabulary]``, differentiable in ``prefix`` ``[P, H]``.

        Rows are padded on the right, where no token of a causal model sees the padding.
        """
        batch, longest, device = len(rows.lengths), max(rows.lengths), prefix.device
        lengths = torch.tensor(rows.lengths, device=device)  # [B]
        row = torch.repeat_interleave(torch.arange(batch, device=device), lengths)  # [T]
        padded = torch.zeros(batch, longest, dtype=torch.long, device=device)  # [B, L]
        padded[row, rows.offsets] = rows.tokens
        embeddings = self.embed(padded).to(prefix.dtype)  # [B, L, H]
        inputs = torch.cat([prefix.expand(batch, -1, -1), embeddings], dim=1)  # [B, P + L, H]
        # Where the network can, it gives logits only at the columns where any row has a label: a vocabulary is large.
        kept, columns = (prefix.shape[0] + rows.offsets[rows.label_positions]).unique(return_inverse=True)
        logits = self.network(inputs_embeds=inputs, use_cache=False, **self._keep(kept)).logits
        if not self._keeps_logits:
            logits = logits[:, kept]
        picked: Tensor = logits[row[rows.label_positions], columns]  # [labels, vocabulary]
        return picked.float()

    def _keep(self, positions: Tensor | int) -> dict[str, Any]:
        """Say which logits the network is to compute, if it can be told."""
        return {"logits_to_keep": positions} if self._keeps_logits else {}

    @torch.no_grad()
    def extend(self, caches: list[KVCache], inputs: list[Tensor], keep: int = 1) -> Tensor:
        """Append embeddings ``[n, H]`` to each; return the logits after the last, ``[B * keep, vocabulary]``."""
        logits = []
        for sequence, embeddings in zip(caches, inputs, strict=True):
            assert isinstance(sequence, Sequence)
            sequence.embeddings = torch.cat([sequence.embeddings, embeddings])
            sequence.length = sequence.embeddings.shape[0]
            step = bool(sequence.state) and embeddings.shape[0] == 1
            unread = embeddings if step else sequence.embeddings
            state = sequence.state if step else {}
            # A copy, since some families scale their input in place.
            output = self.network(inputs_embeds=unread[None].clone(), use_cache=self.steps, **state, **self._keep(keep))
            sequence.state = _state_of(output) if self.steps else {}
            logits.append(output.logits[0, -keep:])
        return torch.cat(logits).float()

    def new_cache(self) -> Sequence:
        """Return a sequence that has no tokens yet."""
        return Sequence(self.embedding.new_empty(0, self.embedding.shape[1]))


def _state_of(output: Any) -> dict[str, Any]:
    """Return a model's state after its input, by the name that its forward takes it by."""
    from transformers.generation.utils import ALL_CACHE_NAMES

    return {name: output[name] for name in ALL_CACHE_NAMES if output.get(name) is not None}
