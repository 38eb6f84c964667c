"""The soft prompts that are looked into, and asking with them."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from prompt_tuning_helpers.engine.causal_model import CausalModel, pack
from prompt_tuning_helpers.engine.rows import EncodedRows, TrainingRow, encode_rows, read_rows
from prompt_tuning_helpers.engine.settings import TuningSettings
from prompt_tuning_helpers.engine.soft_prompt import initialise
from prompt_tuning_helpers.engine.tune import tune

from ..jobs import draw
from ..networks import BaseModel
from ..plan import DATA, TRAINING_FILE
from ..training import tuning_settings
from .kinds import Tuning
from .plan import Plan

ASKED_TOGETHER = 24  # rows

Score = dict[str, Any]  # "accuracy", "loss", and "hits": of each row "1" if it is answered rightly, else "0"


@dataclass(frozen=True)
class Tuned:
    """A soft prompt before and after tuning.

    Args:
        start: before, ``[P, H]``.
        end: after, ``[P, H]``.
    """

    start: Tensor
    end: Tensor

    @property
    def move(self) -> Tensor:
        """What tuning added, ``[P, H]``."""
        return self.end - self.start


@dataclass(frozen=True)
class Asked:
    """A frozen model, and the rows that it is asked about.

    Args:
        model: the model.
        data: the rows.
        labels: the token id that each label begins with, ``[labels]``; the model chooses among them.
    """

    model: CausalModel
    data: EncodedRows
    labels: Tensor

    @torch.no_grad()
    def score(self, prompt: Tensor) -> Score:
        """Ask to choose among the labels after a soft prompt ``[P, H]``; the loss is the mean, in nats."""
        device = prompt.device
        shared = self.model.embed(torch.tensor(self.data.shared, dtype=torch.long, device=device))
        prefix = torch.cat([prompt, shared])
        by_length = sorted(range(len(self.data.rows)), key=lambda index: len(self.data.rows[index][0]))
        hits, loss = ["0"] * len(by_length), 0.0
        for start in range(0, len(by_length), ASKED_TOGETHER):  # those of a length together, for little padding
            indices = by_length[start : start + ASKED_TOGETHER]
            packed = pack([(self.data.rows[index][0], self.data.rows[index][1][:1]) for index in indices], device)
            logits = self.model.label_logits(prefix, packed)[:, self.labels]  # [B, labels]
            truth = (packed.labels[:, None] == self.labels).int().argmax(1)  # [B]
            for index, is_right in zip(indices, (logits.argmax(1) == truth).tolist(), strict=True):
                hits[index] = "01"[is_right]
            loss += float(cross_entropy(logits, truth, reduction="sum"))
        return {"accuracy": hits.count("1") / len(hits), "loss": loss / len(hits), "hits": "".join(hits)}


def ask_about(rows: Sequence[TrainingRow], base: BaseModel, settings: TuningSettings) -> Asked:
    """Make rows ready to be asked about.

    Args:
        rows: the rows.
        base: the base model.
        settings: verbalizer and limits.

    Raises:
        ValueError: if two labels begin with the same token, or a row is too long.
    """
    labels = sorted({row.output for row in rows})
    firsts = [tokens[0] for tokens in base.tokenizer(labels, add_special_tokens=False)["input_ids"]]
    if len(set(firsts)) < len(labels):
        raise ValueError(f"Two of the labels {labels} begin with the same token, so the first token cannot tell them.")
    data = encode_rows(rows, base.tokenizer, settings)
    if len(data.rows) < len(rows):
        raise ValueError(f"{len(rows) - len(data.rows)} rows have more than {settings.max_input_tokens} tokens.")
    return Asked(base.tunable, data, torch.tensor(firsts, device=base.tunable.embedding.device))


def review_settings(plan: Plan, seed: int) -> TuningSettings:
    """Give the settings that the soft prompt of a seed is tuned with on the reviews."""
    return tuning_settings(plan.recipe, seed, plan.virtual_tokens, "text")


def tuned_prompt(plan: Plan, seed: int, base: BaseModel, *, anew: bool = False) -> Tuned:
    """Tune the soft prompt of a seed as the comparison does, or read it, if that was done before.

    Args:
        plan: with the recipe, and the folder that tuned soft prompts are kept in.
        seed: the seed.
        base: the base model.
        anew: whether to tune it in any case: what is kept may be from before a change of the code.
    """
    settings = review_settings(plan, seed)
    start = initialise(base.tunable, base.tokenizer, settings)
    path = plan.cache / f"{_fingerprint(plan, seed)}.safetensors"
    if path.is_file() and not anew:
        end = load_file(path)["end"].to(start.device)
    else:
        rows = draw(read_rows(DATA / TRAINING_FILE), plan.rows, seed)
        end = tune(base.tunable, start, encode_rows(rows, base.tokenizer, settings), settings)
        _keep(end, path)
    return Tuned(start, end)


def _fingerprint(plan: Plan, seed: int) -> str:
    """Name what a tuned soft prompt depends on."""
    told = json.dumps([plan.settings(Tuning), seed])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _keep(end: Tensor, path: Path) -> None:
    """Write a soft prompt, whole or not at all; two processes may do so at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    save_file({"end": end.cpu().contiguous()}, new)
    new.replace(path)
