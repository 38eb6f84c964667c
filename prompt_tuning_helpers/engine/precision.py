"""In which numbers a tuning job multiplies: a trial decides, where the processor has instructions for bfloat16."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from torch import Tensor

from . import onednn
from .errors import UnusableSettings
from .loading import SMALL, LoadedModel
from .rows import EncodedRows
from .settings import Precision, TuningSettings
from .trainer import Trainer
from .tune import minibatches, steps_per_epoch

# Of the first minibatch, the most that a trial step has: while weights are there in both numbers, so much less memory
# is left for rows.
TRIAL_ROWS = 4
WORTHWHILE_STEPS = 20  # of a run; a trial takes as long as four or so
FASTER = 1.2  # times as fast, at least: less is within the noise of a busy machine
# How far the gradient may be from float32's, as a share of its norm. With SmolLM2 and the lesson's rows it is 0.03 to
# 0.06 in the first steps, while the gradients of two minibatches are at least 0.15 apart.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Trial:
    """The first step of a run in float32, and with its products in bfloat16.

    Args:
        speed_up: how many times as fast the step is in bfloat16.
        difference: the norm of the difference of the two gradients, as a share of float32's norm.
    """

    speed_up: float
    difference: float

    @property
    def passed(self) -> bool:
        """Whether bfloat16 is worth it."""
        return self.speed_up >= FASTER and self.difference <= TOLERANCE

    @property
    def summary(self) -> str:
        """What was found, in a sentence."""
        return (
            f"With products in bfloat16 a step is {self.speed_up:.2f} times as fast, and its gradient "
            f"{self.difference:.1%} away from that in float32."
        )


def choose(
    loaded: LoadedModel,
    prompt: Tensor,
    data: EncodedRows,
    settings: TuningSettings,
    asked: Precision,
    tell: Callable[[str], None],
) -> AbstractContextManager[None]:
    """Give the block in which a run multiplies as asked. Of several processes, all multiply in the same numbers.

    To save memory, the model may keep its weights in these numbers alone, for good: a process that answers, too, or
    makes another run, should not choose.

    Args:
        loaded: the base model.
        prompt: the soft prompt to start from, ``[P, H]``.
        data: the training rows.
        settings: of the run.
        asked: ``AUTO`` for bfloat16 where a trial finds it faster, and close enough.
        tell: told what the trial found.

    Raises:
        UnusableSettings: if bfloat16 is asked for, and the processor has no instructions for it.
    """
    if asked is Precision.BFLOAT16:
        if prompt.device.type != "cpu":
            raise UnusableSettings("A GPU computes a model in numbers that suit its size. Choose the precision auto.")
        if not onednn.can_round():
            raise UnusableSettings("This processor has no instructions for bfloat16. Choose the precision auto.")
        return _block(loaded, is_rounded=True)
    steps = steps_per_epoch(len(data.rows), settings) * settings.num_epochs
    if asked is Precision.FLOAT32 or loaded.parameters < SMALL or steps < WORTHWHILE_STEPS:
        return nullcontext()
    # Whole gradients are compared, whatever a run cuts them to.
    trainer = Trainer(loaded.model, prompt, data, replace(settings, max_gradient_norm=None))
    if trainer.any_process(not (onednn.can_round() and prompt.device.type == "cpu")):
        return nullcontext()
    _, indices = next(minibatches(len(data.rows), settings))
    trial = try_bfloat16(trainer, indices[:TRIAL_ROWS])
    passed = not trainer.any_process(not trial.passed)
    tell(f"{trial.summary} {'The run uses it.' if passed else 'The run stays with float32.'}")
    return _block(loaded, passed)


def _block(loaded: LoadedModel, is_rounded: bool) -> AbstractContextManager[None]:
    block = onednn.rounded_products if is_rounded else nullcontext
    with block():
        loaded.model.keep_only_in_use()
    return block()


def try_bfloat16(trainer: Trainer, indices: list[int]) -> Trial:
    """Take a step in both ways; the soft prompt stays as it is.

    Args:
        trainer: of no run.
        indices: the rows of the step.
    """

    def step() -> tuple[float, Tensor]:
        began = time.perf_counter()
        trainer.step(indices, learning_rate_factor=0.0)
        return time.perf_counter() - began, trainer.gradient.clone()

    for _ in range(2):  # the first time, oneDNN makes its kernels
        took, exact = step()
        with onednn.rounded_products():
            took_rounded, rounded = step()
    return Trial(took / took_rounded, float((rounded - exact).norm() / exact.norm()))
