"""Tuning: the loop over epochs and updates, with checkpoints to go on from."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from .causal_model import CausalModel
from .rows import EncodedRows
from .settings import TuningSettings
from .trainer import Updater

WARM_UP_UPDATES = 5
CHECKPOINT_SECONDS = 5.0


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
    ``accumulate_steps`` rows). Adam's learning rate rises over the first updates, then falls linearly to zero.
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
    updater = Updater(model, prompt, data, settings)
    per_epoch = updates_per_epoch(len(data.rows), settings)
    updates = per_epoch * settings.num_epochs
    done = updater.restore(checkpoint) if checkpoint else 0
    saved_at = time.monotonic()
    schedule = schedule_of(len(data.rows), settings)
    for update, (epoch, indices) in enumerate(islice(schedule, done, None), start=done + 1):
        loss = updater.update(indices, rate_of(update, updates))
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss} in update {update}")
        stop = updater.any_process(should_stop())
        # Reported first: what was reported and not yet saved is reported again, but what was saved never is.
        report(Progress(update, updates, per_epoch, epoch, loss))
        if checkpoint and (stop or time.monotonic() - saved_at > CHECKPOINT_SECONDS):
            updater.save(checkpoint, update)
            saved_at = time.monotonic()
        if stop:
            raise TuningStopped
    if not updater.prompt.isfinite().all():
        raise FloatingPointError("the last update left values that are no numbers")
    return updater.prompt


def schedule_of(rows: int, settings: TuningSettings) -> Iterator[tuple[int, list[int]]]:
    """Epoch and row indices of each update; each epoch has its own order, which depends on the seed alone.

    Args:
        rows: how many there are.
        settings: epochs, rows per update and seed.
    """
    per_update = _rows_per_update(settings)
    for epoch in range(settings.num_epochs):
        generator = torch.Generator().manual_seed((settings.seed * 10_007 + epoch) % 2**64)  # torch takes 64 bits
        order = torch.randperm(rows, generator=generator).tolist()
        for start in range(0, rows, per_update):
            yield epoch, order[start : start + per_update]


def updates_per_epoch(rows: int, settings: TuningSettings) -> int:
    """How many updates an epoch over so many rows has."""
    return math.ceil(rows / _rows_per_update(settings))


def _rows_per_update(settings: TuningSettings) -> int:
    return settings.batch_size * settings.accumulate_steps


def rate_of(update: int, updates: int) -> float:
    """The share of the peak learning rate in an update, counted from 1: it rises over a few, then falls to zero."""
    warm_up = min(WARM_UP_UPDATES, max(1, updates // 10))
    return min(update / warm_up, (updates - update + 1) / (updates - warm_up + 1))
