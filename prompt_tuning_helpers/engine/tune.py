"""Tuning: the optimizer's loop over a frozen model, with checkpoints, on one process or several."""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from .causal_model import CausalModel, pack
from .rows import EncodedRows
from .settings import TuningSettings

WARM_UP_UPDATES = 5
CHECKPOINT_SECONDS = 5.0
# Rows of one update are computed together up to this many tokens; it bounds memory and is large enough for the
# matrix products to run at the machine's full rate.
MAX_PACKED_TOKENS = 2048


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an update of the soft prompt.

    Args:
        update: updates done so far, counted over the whole run.
        updates: updates in the whole run.
        updates_per_epoch: updates in each epoch.
        epoch: the epoch that the update belongs to, from 0.
        loss: mean cross-entropy of the update's labels, in nats, before the update.
    """

    update: int
    updates: int
    updates_per_epoch: int
    epoch: int
    loss: float


class ResidualPrompt(torch.nn.Module):
    """A soft prompt plus a small network of itself, which is folded away when tuning ends.

    Sharing weights across the virtual tokens makes a soft prompt of a small model learn in far fewer updates
    (Razdaibiedina et al., 2023, "Residual Prompt Tuning"). The network's output layer starts at zero, so tuning starts
    from the soft prompt as it was initialised; what is saved is the sum, a plain soft prompt.

    Args:
        prompt: where to start, ``[P, H]``.
        seed: of the network's first layer.
        bottleneck: width of the network.
    """

    def __init__(self, prompt: Tensor, seed: int, bottleneck: int = 128) -> None:
        super().__init__()
        hidden = prompt.shape[1]
        self.prompt = torch.nn.Parameter(prompt.detach().clone())
        generator = torch.Generator().manual_seed(seed)
        inward = torch.randn(bottleneck, hidden, generator=generator) / hidden**0.5
        self.inward = torch.nn.Parameter(inward.to(prompt.device))
        self.outward = torch.nn.Parameter(torch.zeros(hidden, bottleneck, device=prompt.device))

    def forward(self) -> Tensor:
        """The soft prompt as the model sees it, ``[P, H]``."""
        scaled = torch.nn.functional.rms_norm(self.prompt, (self.prompt.shape[1],))
        return self.prompt + torch.tanh(scaled @ self.inward.T) @ self.outward.T


class TuningStopped(Exception):
    """The run was asked to stop; its checkpoint is on disk."""


def tune(
    model: CausalModel,
    prompt: Tensor,
    data: EncodedRows,
    settings: TuningSettings,
    checkpoint: Path | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tensor:
    """Tune a soft prompt.

    The loss is the cross-entropy of the output tokens, averaged over the labels of an update (``batch_size`` times
    ``accumulate_steps`` rows). AdamW's learning rate rises over the first updates, then falls linearly to zero.
    In several processes (``torch.distributed``) each computes its share of every update's rows.

    Args:
        model: the frozen model.
        prompt: the soft prompt to start from, ``[P, H]``.
        data: the training rows.
        settings: of the run.
        checkpoint: file to go on from, and to leave checkpoints in.
        report: called after each update.
        should_stop: asked after each update.

    Returns:
        The tuned soft prompt, ``[P, H]``.

    Raises:
        TuningStopped: after ``should_stop`` said so.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    tuned = ResidualPrompt(prompt, settings.seed)
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=settings.learning_rate)
    shared = model.embed(torch.tensor(data.shared, dtype=torch.long, device=prompt.device))
    schedule = list(_updates(len(data.rows), settings))
    done = _load_checkpoint(checkpoint, tuned, optimizer) if checkpoint else 0
    saved_at = time.monotonic()
    for update, (epoch, indices) in enumerate(schedule[done:], start=done + 1):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate(update, len(schedule))
        optimizer.zero_grad()
        labels = sum(len(data.rows[index][1]) for index in indices)
        mine = [data.rows[index] for index in indices[rank::world]]
        embeddings = tuned()
        leaf = embeddings.detach().to(shared.dtype).requires_grad_()
        loss = torch.zeros((), device=prompt.device)
        for rows in _chunks(mine, MAX_PACKED_TOKENS):
            packed = pack(rows, device=prompt.device)
            logits = model.label_logits(torch.cat([leaf, shared]), packed)
            part = torch.nn.functional.cross_entropy(logits, packed.labels, reduction="sum") / labels
            part.backward()
            loss += part.detach()
        gradient = torch.zeros_like(embeddings) if leaf.grad is None else leaf.grad.to(embeddings.dtype)
        if world > 1:
            dist.all_reduce(gradient)
            dist.all_reduce(loss)
        embeddings.backward(gradient)
        optimizer.step()
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss became {loss.item()} in update {update}")
        stop = should_stop()
        if checkpoint and rank == 0 and (stop or time.monotonic() - saved_at > CHECKPOINT_SECONDS):
            _save_checkpoint(checkpoint, tuned, optimizer, update)
            saved_at = time.monotonic()
        report(Progress(update, len(schedule), len(schedule) // settings.num_epochs, epoch, loss.item()))
        if stop:
            raise TuningStopped
    result: Tensor = tuned().detach()
    return result


def checkpointed_updates(path: Path) -> int:
    """How many updates a checkpoint has behind it; 0 when there is none."""
    from safetensors import safe_open

    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["update"])


def _updates(rows: int, settings: TuningSettings) -> Iterator[tuple[int, list[int]]]:
    """Epoch and row indices of each update; each epoch has its own order, which depends on the seed alone."""
    per_update = settings.batch_size * settings.accumulate_steps
    for epoch in range(settings.num_epochs):
        generator = torch.Generator().manual_seed(settings.seed * 10_007 + epoch)
        order = torch.randperm(rows, generator=generator).tolist()
        for start in range(0, rows, per_update):
            yield epoch, order[start : start + per_update]


def _rate(update: int, updates: int) -> float:
    """The share of the peak learning rate in an update, counted from 1."""
    warm_up = min(WARM_UP_UPDATES, max(1, updates // 10))
    return min(update / warm_up, (updates - update + 1) / (updates - warm_up + 1))


def _chunks(rows: list[tuple[list[int], list[int]]], tokens: int) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Groups of rows of similar length, each within a number of tokens once padded to its longest row."""
    chunk: list[tuple[list[int], list[int]]] = []
    for row in sorted(rows, key=lambda row: len(row[0]) + len(row[1])):
        if chunk and (len(chunk) + 1) * (len(row[0]) + len(row[1])) > tokens:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _save_checkpoint(path: Path, tuned: torch.nn.Module, optimizer: torch.optim.Optimizer, update: int) -> None:
    from safetensors.torch import save

    tensors = {}
    for name, parameter in tuned.named_parameters():
        state = optimizer.state[parameter]
        tensors[name] = parameter.detach().cpu()
        tensors |= {f"{name}.{moment}": state[moment].cpu() for moment in ("exp_avg", "exp_avg_sq")}
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(save(tensors, metadata={"update": str(update)}))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _load_checkpoint(path: Path, tuned: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore soft prompt and optimizer from a checkpoint; how many updates they have behind them."""
    from safetensors import safe_open

    update = checkpointed_updates(path)
    if not update:
        return 0
    with safe_open(path, framework="pt") as file:
        for name, parameter in tuned.named_parameters():
            parameter.data.copy_(file.get_tensor(name))
            moments = {m: file.get_tensor(f"{name}.{m}").to(parameter.device) for m in ("exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {"step": torch.tensor(float(update)), **moments}
    return update
