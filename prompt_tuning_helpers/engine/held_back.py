"""How well a soft prompt does on rows that it was not tuned on: their loss, and the share that is answered rightly."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .causal_model import pack
from .loading import LoadedModel
from .rows import TrainingRow, encode_rows
from .settings import TuningSettings

ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class HeldBack:
    """What was measured.

    Args:
        rows: how many were measured; those longer than ``max_input_tokens`` are not.
        right: how many of them are answered rightly.
        loss: mean cross-entropy of the tokens of their outputs, in nats.
    """

    rows: int
    right: int
    loss: float


@torch.no_grad()
def measure(
    loaded: LoadedModel, prompt: Tensor, rows: Sequence[TrainingRow], labels: Sequence[str], settings: TuningSettings
) -> HeldBack:
    """Measure a soft prompt on rows.

    Where the outputs are labels, the answer is the label whose first token is the most probable of all first tokens of
    labels. Where they are not, or two labels begin alike, a row is right if each token of its output, the end-of-text
    token included, is the most probable of all: then greedy decoding gives exactly this output.

    Args:
        loaded: the base model.
        prompt: the soft prompt, ``[P, H]``.
        rows: with their right outputs.
        labels: the outputs to choose among; empty for text.
        settings: verbalizer and limits.
    """
    data = encode_rows(rows, loaded.tokenizer, settings)
    firsts = _first_tokens(loaded, labels)
    prefix = torch.cat([prompt, loaded.model.embed(torch.tensor(data.shared, dtype=torch.long, device=prompt.device))])
    right, loss, tokens = 0, 0.0, 0
    for start in range(0, len(data.rows), ROWS_AT_ONCE):
        part = data.rows[start : start + ROWS_AT_ONCE]
        packed = pack(part, device=prompt.device)
        logits = loaded.model.label_logits(prefix, packed)  # [labels, vocabulary]
        loss += float(torch.nn.functional.cross_entropy(logits, packed.labels, reduction="sum"))
        tokens += len(packed.labels)
        lengths = [len(output) for _, output in part]
        if firsts is not None:
            places = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)  # of the first token of each output
            chosen = firsts[logits[places][:, firsts].argmax(1)]  # [B]
            right += int((chosen == packed.labels[places]).sum())
        else:
            hits = (logits.argmax(1) == packed.labels).split(lengths)
            right += sum(bool(hit.all()) for hit in hits)
    return HeldBack(len(data.rows), right, loss / tokens)


def _first_tokens(loaded: LoadedModel, labels: Sequence[str]) -> Tensor | None:
    """Give the first token of each label, ``[labels]``; ``None`` where they do not tell the labels apart."""
    encoded = loaded.tokenizer(list(labels), add_special_tokens=False)["input_ids"] if labels else []
    firsts = [tokens[0] for tokens in encoded if tokens]
    if len(firsts) < 2 or len(set(firsts)) < len(labels):
        return None
    return torch.tensor(firsts, device=loaded.model.embedding.device)
