"""Whether a run shows that it has learnt anything: its losses against what knowing nothing of the inputs would cost."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .job_folder import read_object, write_json

VERDICT = "verdict.json"

NO_BETTER_THAN_GUESSING = (
    "Nothing shows that this run has learnt to tell its inputs apart: the loss of its last epoch is {loss:.3f}, and "
    "giving each output as often as it occurs, whatever the input, would cost {reference:.3f}."
)
HARDLY_FELL = (
    "Nothing shows that this run has learnt from its rows: the loss was {reference:.3f} in the first steps and is "
    "{loss:.3f} in the last epoch."
)
CAUSES = {
    "rose": "It rose on the way, as it does when learning_rate, here {learning_rate:g}, is too high. Lower it.",
    "slow": (
        "It hardly moved, or was falling still, as it does when learning_rate, here {learning_rate:g}, is too low, or "
        "{updates} updates are too few. Raise learning_rate or num_epochs."
    ),
    "flat": (
        "It fell and then stayed where it was. Look whether the verbalizer and the outputs are as you mean them, and "
        "try other values of learning_rate, here {learning_rate:g}."
    ),
}
NEXT_STEP = "search_settings of prompt_tuning_helpers tries settings on rows that it holds back."

# A loss this share of what it is compared with is not clearly below it. Minibatches of an epoch hold all its rows, so
# chance in their choice does not count; what is left is that the soft prompt moves meanwhile.
CLEARLY = 0.9
# Outputs are labels if at most this share of the rows has one that no other row has.
MOST_ALONE = 0.1
FEWEST_STEPS = 4  # with fewer, the first steps are also the last
WINDOWS = 10  # the start of a run is this part of it
MUCH = 1.5  # the mean over so few steps wavers, and has risen only where it is this many times as high


@dataclass(frozen=True)
class Step:
    """A step of the optimizer.

    Args:
        epoch: that it belongs to, from 0.
        loss: the mean cross-entropy of its labels before the step, in nats.
        rows: the indices of its rows.
    """

    epoch: int
    loss: float
    rows: Sequence[int]


@dataclass(frozen=True)
class Verdict:
    """That a run does not show that it has learnt, and the likely cause.

    Args:
        loss: of the last epoch, in nats per label.
        reference: what it is not clearly below.
        compared_with: ``"frequencies"`` of the outputs, or the ``"start"`` of the run.
        cause: ``"rose"``, ``"slow"`` or ``"flat"``: how the loss went.
        learning_rate: peak learning rate.
        updates: the number of steps.
    """

    loss: float
    reference: float
    compared_with: str
    cause: str
    learning_rate: float
    updates: int

    @classmethod
    def parse(cls, content: Any) -> "Verdict | None":
        """Read a verdict from what JSON holds; ``None`` where it holds none."""
        if not isinstance(content, Mapping):
            return None
        try:
            values = {name: kind(content[name]) for name, kind in cls.__annotations__.items()}
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        found = cls(**values)
        return found if found.cause in CAUSES else None

    @classmethod
    def read(cls, folder: Path) -> "Verdict | None":
        """Read what a job recorded; ``None`` if it has learnt, or has not ended."""
        return cls.parse(read_object(folder / VERDICT))

    def write(self, folder: Path) -> None:
        """Record the verdict in a job's folder, atomically."""
        write_json(folder / VERDICT, asdict(self))

    def sentences(self) -> tuple[str, ...]:
        """Give the sentences that say it: what is so, the likely cause and the next step, with marks for the values."""
        found = NO_BETTER_THAN_GUESSING if self.compared_with == "frequencies" else HARDLY_FELL
        return found, CAUSES[self.cause], NEXT_STEP

    def text(self) -> str:
        """Say it."""
        return " ".join(sentence.format(**asdict(self)) for sentence in self.sentences())


def judge(steps: Sequence[Step], outputs: Sequence[Sequence[int]], learning_rate: float) -> Verdict | None:
    """Tell whether the end of a run shows that it has learnt anything.

    Where outputs are labels, the loss is compared with what it costs to give each as often as it occurs (see
    ``cost_of_guessing``). Where they are free texts, nearly all different, these frequencies say nothing, and neither
    do they where all outputs are the same; the loss is then compared with that of the first steps.

    Args:
        steps: of the run, in order.
        outputs: the label tokens of each row, with the end-of-text token.
        learning_rate: peak learning rate of the run.

    Returns:
        ``None`` where the loss is clearly below, or where a run is too short to say.
    """
    if len(steps) < FEWEST_STEPS:
        return None
    first_epoch, last_epoch = steps[0].epoch, steps[-1].epoch
    # At the beginning of its only epoch a run has not learnt anything yet.
    end = steps[len(steps) // 2 :] if first_epoch == last_epoch else [s for s in steps if s.epoch == last_epoch]
    size = max(1, len(steps) // WINDOWS)
    start = mean_loss(steps[:size], outputs)
    loss = mean_loss(end, outputs)
    labels = are_labels(outputs)
    reference = cost_of_guessing([row for step in end for row in step.rows], outputs) if labels else start
    if loss < CLEARLY * reference:
        return None
    parts = [mean_loss(steps[at : at + len(end)], outputs) for at in range(0, len(steps) - len(end), len(end))]
    peak = max(mean_loss(steps[at : at + size], outputs) for at in range(0, len(steps), size))
    if peak > MUCH * start or loss > min(parts) / CLEARLY:
        cause = "rose"
    elif loss > CLEARLY * start or loss < CLEARLY * parts[-1]:
        cause = "slow"
    else:
        cause = "flat"
    compared_with = "frequencies" if labels else "start"
    return Verdict(loss, reference, compared_with, cause, learning_rate, len(steps))


def cost_of_guessing(rows: Sequence[int], outputs: Sequence[Sequence[int]]) -> float:
    """Compute the loss, on some rows, of who knows only how often each output occurs.

    By the chain rule the cross-entropies of an output's tokens, the end-of-text token included, sum up to
    ``-log q(output)``, and no ``q`` that does not look at the input costs less over all rows than the outputs'
    frequencies (Gibbs' inequality: Cover and Thomas, Elements of Information Theory, 2nd edition, theorem 2.6.3). The
    engine's loss is a mean over the label tokens of all rows, not over rows (``Trainer.step``), so that with ``n`` for
    the number of rows, ``n(y)`` for those with the output ``y``, and ``|y|`` for its tokens, this is::

        sum over the rows of -log(n(y) / n)  /  sum over the rows of |y|

    Over all rows that is the entropy of the outputs divided by their mean length: for two labels of one token, each in
    half of the rows, log(2) / 2 = 0.347 nats.

    Args:
        rows: indices of those it is computed on; an index may occur several times.
        outputs: the label tokens of each row, as cut to ``max_output_tokens``.
    """
    counts = Counter(map(tuple, outputs))
    cost = -sum(math.log(counts[tuple(outputs[row])] / len(outputs)) for row in rows)
    return cost / sum(len(outputs[row]) for row in rows)


def are_labels(outputs: Sequence[Sequence[int]]) -> bool:
    """Tell whether outputs are labels, each of which several rows have, and not all the same one."""
    counts = Counter(map(tuple, outputs))
    alone = sum(1 for count in counts.values() if count == 1)
    return len(counts) > 1 and alone <= MOST_ALONE * len(outputs)


def mean_loss(steps: Sequence[Step], outputs: Sequence[Sequence[int]]) -> float:
    """Average the losses of steps over their label tokens, as the loss of one step is."""
    weights = [sum(len(outputs[row]) for row in step.rows) for step in steps]
    return sum(weight * step.loss for weight, step in zip(weights, steps, strict=True)) / sum(weights)
