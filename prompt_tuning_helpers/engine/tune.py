"""Prompt tuning: the loop over epochs and steps, with checkpoints to resume from.

The method is that of Lester et al. (2021, https://arxiv.org/abs/2104.08691): the model is frozen, and only the
embeddings of virtual tokens before its input are trained.
"""

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
from .trainer import Trainer

WARM_UP_STEPS = 5
CHECKPOINT_SECONDS = 5.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a training step.

    Args:
        step: the number of steps taken so far in the whole run.
        steps: the number of steps in the whole run.
        steps_per_epoch: the number of steps in each epoch.
        epoch: the epoch that the step belongs to, from 0.
        loss: the mean cross-entropy of the minibatch's labels before the step, in nats.
        prompt: the soft prompt after the step, ``[P, H]``; the next step changes it in place.
    """

    step: int
    steps: int
    steps_per_epoch: int
    epoch: int
    loss: float
    prompt: Tensor

    @property
    def ends_epoch(self) -> bool:
        """Whether the step was the last of its epoch."""
        return self.step % self.steps_per_epoch == 0


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

    The loss is the cross-entropy of the output tokens, averaged over the labels of a minibatch (``batch_size`` times
    ``accumulate_steps`` rows). Adam's learning rate rises linearly over the first steps, then falls linearly to zero.
    In several processes (``torch.distributed``) each computes its share of every minibatch.

    Args:
        model: the frozen model.
        prompt: the soft prompt to start from, ``[P, H]``.
        data: the training rows.
        settings: of the run.
        checkpoint: the file to resume from and to leave checkpoints in; none by default.
        report: called after each step.
        should_stop: asked after each step.

    Returns:
        The tuned soft prompt, ``[P, H]``.

    Raises:
        TuningStopped: after ``should_stop`` said so.
        FloatingPointError: if the loss or the soft prompt is no longer finite.
        UnusableCheckpoint: if the checkpoint is damaged or another run's.
    """
    trainer = Trainer(model, prompt, data, settings)
    per_epoch = steps_per_epoch(len(data.rows), settings)
    steps = per_epoch * settings.num_epochs
    done = trainer.restore(checkpoint) if checkpoint else 0
    saved_at = time.monotonic()
    remaining = islice(minibatches(len(data.rows), settings), done, None)
    for step, (epoch, indices) in enumerate(remaining, start=done + 1):
        loss = trainer.step(indices, learning_rate_factor(step, steps))
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss} in step {step}")
        stop = trainer.any_process(should_stop())
        # Reported first: what was reported and not yet saved is reported again, but what was saved never is.
        report(Progress(step, steps, per_epoch, epoch, loss, trainer.prompt))
        if checkpoint and (stop or time.monotonic() - saved_at > CHECKPOINT_SECONDS):
            trainer.save(checkpoint, step)
            saved_at = time.monotonic()
        if stop:
            raise TuningStopped
    if not trainer.prompt.isfinite().all():
        raise FloatingPointError("the last step left values that are no numbers")
    return trainer.prompt


def minibatches(rows: int, settings: TuningSettings) -> Iterator[tuple[int, list[int]]]:
    """Give the epoch and the row indices of each step; each epoch has its own order, which only the seed decides.

    Args:
        rows: the number of rows.
        settings: epochs, rows per step and seed.
    """
    per_step = _rows_per_step(settings)
    for epoch in range(settings.num_epochs):
        generator = torch.Generator().manual_seed((settings.seed * 10_007 + epoch) % 2**64)  # torch takes 64 bits
        order = torch.randperm(rows, generator=generator).tolist()
        for start in range(0, rows, per_step):
            yield epoch, order[start : start + per_step]


def steps_per_epoch(rows: int, settings: TuningSettings) -> int:
    """Return the number of steps in an epoch over ``rows`` rows."""
    return math.ceil(rows / _rows_per_step(settings))


def _rows_per_step(settings: TuningSettings) -> int:
    return settings.batch_size * settings.accumulate_steps


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the share of the peak learning rate in a step: linear warm-up, then linear decay.

    This is the schedule of transformers' ``get_linear_schedule_with_warmup``, but no step has a rate of zero.

    Args:
        step: the step, counted from 1.
        steps: the number of steps in the whole run.
    """
    warm_up = min(WARM_UP_STEPS, max(1, steps // 10))
    return min(step / warm_up, (steps - step + 1) / (steps - warm_up + 1))
