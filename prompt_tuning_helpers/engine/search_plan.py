"""The plan of a search for settings: which learning rates are tried, on how many rows, and which of them go on.

Both searches share it, the one through the SDK (``prompt_tuning_helpers.search``) and the engine's own (``search.py``).
It needs nothing but the standard library.

A learning rate means nothing by itself. Adam moves each number of the soft prompt by about the rate in each step
(Kingma and Ba, 2015, section 2.1, https://arxiv.org/abs/1412.6980), and what matters is how far that is in comparison
with the numbers: layers normalise what they read, so only directions count. So a step is counted in units of the size
of what is moved, the root mean square of its entries. A soft prompt that starts from a text is as large as the base
model's embeddings; one that starts from random numbers has the size that PEFT gives it, 1, whatever the model. On
SmolLM2-135M, whose embeddings have 0.136, the best rates were 0.02 and 0.1: 0.15 and 0.1 in these units.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from statistics import NormalDist
from typing import TypeVar

from .errors import EngineError
from .settings import MOST_EPOCHS

STEP = 0.15  # what serves models that nothing is known of
STEPS = (0.015, 0.05, 0.15, 0.5)  # a factor of about three apart: what is in between makes little difference
RANDOM_RMS = 1.0  # of PEFT's random start, whose numbers are drawn from a standard normal distribution
# Where a service does not tell the size of the embeddings, which is from 0.01 to 1 in the usual models.
ABSOLUTE_RATES = (0.0008, 0.004, 0.02, 0.1, 0.5)
RATE_OF_UNKNOWN = 0.01
# Soft prompts of more tokens than this gain little (Lester et al., 2021, figure 3a, https://arxiv.org/abs/2104.08691).
SHORT_LENGTH = 20

# Updates of the soft prompt in each round. What differs by a factor of three differs visibly after ten updates; the
# few that are left then are compared in runs long enough to fit the data.
ROUNDS = (10, 25)
KEPT = 4  # one of so many goes on into the next round
# Three passes over 320 rows in batches of eight, 120 updates, served the lesson's two labels. The five labels of
# data/SUPPORT_TICKETS.md were still short of their best after as many, and near it after 300.
UPDATES_A_LABEL = 60
LAST_STEPS = 5  # whose mean is the loss that a run ends with

SHARE_HELD_BACK = 4  # one row of so many
MOST_HELD_BACK = 64  # asking takes time, too
LEAST_ROWS = 24  # of which 6 are held back; with fewer, no difference between settings would show
FEW_OUTPUTS = 20  # different ones, up to which they can be labels

EXAMPLES_LENGTH = 500  # characters, a bit more than a hundred tokens of English

T = TypeVar("T")


class SearchError(EngineError):
    """Data that no search can be made on, or a search in which every run failed."""

    kind = "search_failed"


@dataclass(frozen=True)
class Round:
    """One round of a search.

    Args:
        candidates: how many are tried in it.
        rows: the number of training rows that each is tuned on.
        epochs: passes over these rows.
        kept: how many of the candidates go on; 1 after the last round.
    """

    candidates: int
    rows: int
    epochs: int
    kept: int

    @property
    def passes(self) -> int:
        """The number of rows that the round passes by a model, counted each time."""
        return self.candidates * self.rows * self.epochs


@dataclass(frozen=True)
class Trial:
    """What one short run showed.

    Args:
        round: of the search, from 1.
        learning_rate: of the run.
        num_virtual_tokens: length of the soft prompt; ``None`` if the service does not tell.
        start: which of the templates and initial texts that are compared, from 1.
        rows: that it was tuned on.
        epochs: passes over them.
        score: of the answers to the held-back rows, from 0 to 1; ``None`` if the run failed.
        interval: 95 % interval of the score.
        held_back_loss: of the held-back rows, in nats; ``None`` where it cannot be had.
        final_loss: of the last training steps, in nats.
        seconds: that the run and asking took.
        failure: why it failed; ``None`` if it did not.
        learnt: whether it answers better than the most frequent output alone would.
    """

    round: int
    learning_rate: float
    num_virtual_tokens: int | None
    start: int
    rows: int
    epochs: int
    score: float | None = None
    interval: tuple[float, float] | None = None
    held_back_loss: float | None = None
    final_loss: float | None = None
    seconds: float = 0.0
    failure: str | None = None
    learnt: bool = False

    @property
    def rank(self) -> tuple[float, ...]:
        """Compare runs of a round: higher is better.

        A loss tells more than a few answers, if it is of unseen rows. But part of it is how surely a text is ended
        after the label, which can be learnt without the task: so one that has learnt nothing comes last.
        """
        if self.score is None:
            return (-math.inf,)
        if self.held_back_loss is not None:
            return (self.learnt, -self.held_back_loss, self.score)
        return (self.score, -math.inf if self.final_loss is None else -self.final_loss)


def unit_of(init_method: str, rms: float | None) -> float | None:
    """Give the unit of steps: the size of the soft prompt at its start.

    Args:
        init_method: ``"text"`` or ``"random"``.
        rms: root mean square of the base model's embeddings, where it is known.

    Returns:
        ``None`` if it is not known.
    """
    return rms if init_method == "text" else RANDOM_RMS


def rates_for(unit: float | None) -> tuple[float, ...]:
    """Give the learning rates to try.

    Args:
        unit: what ``unit_of`` gives.
    """
    return ABSOLUTE_RATES if unit is None else tuple(rounded(step * unit) for step in STEPS)


def rounded(rate: float) -> float:
    """Round a learning rate to two digits: more say nothing."""
    return float(f"{rate:.2g}")


def plan_rounds(candidates: int, rows: int, rows_per_update: int) -> list[Round]:
    """Plan a search by successive halving: all candidates get a short run, and the best of them longer ones.

    After Jamieson and Talwalkar (2016, https://arxiv.org/abs/1502.07943), with a fourth in place of half going on, but
    never only one before the last round. Each run starts anew, since a service cannot resume one with other settings.

    Args:
        candidates: how many there are.
        rows: the number of training rows there are.
        rows_per_update: of a run.
    """
    rounds = []
    for place, updates in enumerate(ROUNDS, start=1):
        wanted = updates * rows_per_update
        taken = min(rows, wanted)
        kept = 1 if place == len(ROUNDS) else max(2, candidates // KEPT)
        if candidates <= kept and place < len(ROUNDS):  # none would have to go
            continue
        rounds.append(Round(candidates, taken, math.ceil(wanted / taken), kept))
        candidates = kept
    return rounds


def halve(candidates: Sequence[T], rounds: Sequence[Round], attempt: Callable[[T, Round, int], Trial]) -> None:
    """Make the runs of a search. One that failed does not go on.

    Args:
        candidates: what is compared.
        rounds: the plan.
        attempt: makes the run of a candidate in a round of that number.
    """
    for number, each in enumerate(rounds, start=1):
        tried = [(attempt(candidate, each, number), candidate) for candidate in candidates]
        tried = [(trial, candidate) for trial, candidate in tried if trial.score is not None]
        tried.sort(key=lambda pair: pair[0].rank, reverse=True)
        candidates = [candidate for _, candidate in tried[: each.kept]]


def interval_of(score: float, rows: int) -> tuple[float, float]:
    """Give the 95 % interval of a mean score of so many rows.

    This is Wilson's interval of a share (1927, https://doi.org/10.1080/01621459.1927.10502953). For scores between 0
    and 1 it is wider than need be, since no scores of the same mean vary more than those that are all 0 or 1.

    Args:
        score: the mean, from 0 to 1.
        rows: how many were scored.
    """
    z = NormalDist().inv_cdf(0.975)
    middle = (score + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(score * (1 - score) / rows + z * z / (4 * rows * rows))
    return max(0.0, middle - half), min(1.0, middle + half)


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Find the run whose settings are chosen: the best of the last round in which one succeeded; ``None`` if none."""
    done = [trial for trial in trials if trial.score is not None]
    return max(done, key=lambda trial: (trial.round, trial.rank), default=None)


def is_at_the_edge(best: Trial, trials: Iterable[Trial]) -> bool:
    """Tell whether the chosen rate is the lowest or the highest of several that were tried."""
    rates = {trial.learning_rate for trial in trials}
    return len(rates) > 1 and best.learning_rate in (min(rates), max(rates))


def full_epochs(rows: int, rows_per_update: int, labels: int) -> int:
    """Give the passes over all training rows that update the soft prompt often enough for so many labels.

    Args:
        rows: the number of training rows.
        rows_per_update: of the run.
        labels: how many different ones there are; 0 if the outputs are texts, which take as many updates as two labels.
    """
    updates = UPDATES_A_LABEL * max(2, labels)
    return min(MOST_EPOCHS, max(1, math.ceil(updates / math.ceil(rows / rows_per_update))))


def hold_back(outputs: Sequence[str], seed: int = 0) -> tuple[list[int], list[int]]:
    """Divide rows into those that are tuned on and those that are held back.

    Args:
        outputs: of all rows.
        seed: decides which.

    Returns:
        The indices of both parts. Each output has about the same share in both, and in every beginning of them.

    Raises:
        SearchError: if there are too few rows, or if all have the same output.
    """
    if len(outputs) < LEAST_ROWS:
        raise SearchError(
            f"A search needs at least {LEAST_ROWS} rows, to tune on some and hold others back; there are "
            f"{len(outputs)}. Take settings that suit a similar model, or collect more rows."
        )
    require_two_outputs(outputs)
    order = stratified_order(outputs, seed)
    held_back = min(MOST_HELD_BACK, len(order) // SHARE_HELD_BACK)
    return order[held_back:], order[:held_back]


def require_two_outputs(outputs: Sequence[str]) -> None:
    """Refuse rows that all have the same output.

    Raises:
        SearchError: saying so.
    """
    if len(set(outputs)) < 2:
        raise SearchError(
            f"Every row has the output {outputs[0]!r}: whatever the settings, that is learnt at once. A search needs "
            "rows of at least two different outputs."
        )


def stratified_order(outputs: Sequence[str], seed: int = 0) -> list[int]:
    """Put rows into a random order in whose every beginning each output has about its share.

    Args:
        outputs: of the rows.
        seed: of the order.

    Returns:
        The indices of the rows.
    """
    chance = random.Random(seed)
    shuffled = list(range(len(outputs)))
    chance.shuffle(shuffled)
    sizes, seen = Counter(outputs), Counter[str]()
    places = {}
    for index in shuffled:
        output = outputs[index]
        # A random place within the part of the order that belongs to this row.
        places[index] = (seen[output] + chance.random()) / sizes[output]
        seen[output] += 1
    return sorted(shuffled, key=places.__getitem__)


def labels_in(outputs: Sequence[str]) -> tuple[str, ...]:
    """Give the different outputs if they are few and come again, as labels do; nothing if they are texts."""
    different = sorted(set(outputs))
    return tuple(different) if len(different) <= min(FEW_OUTPUTS, len(outputs) // 2) else ()


def solved_examples(inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """Write the shortest rows, of each output in turn, as a text that a soft prompt can start from.

    It then starts from a model that has a hint of the task.

    Args:
        inputs: of the training rows. Whole lines that all of them begin with are left out.
        outputs: of the same rows.
    """
    # What the first and the last in alphabetical order share, all between them share, too.
    lines = zip(min(inputs).splitlines(keepends=True), max(inputs).splitlines(keepends=True), strict=False)
    head = sum(len(line) for line, other in takewhile(lambda pair: pair[0] == pair[1], lines) if line.endswith("\n"))
    groups: dict[str, list[str]] = {}
    for text, output in sorted(zip(inputs, outputs, strict=True), key=lambda row: (len(row[0]), row)):
        groups.setdefault(output, []).append(f"{text[head:]}{output}\n")
    # The shortest of each output, then the second of each, and so on.
    examples = (example for turn in zip_longest(*groups.values()) for example in turn if example is not None)
    text = ""
    for example in examples:
        if text and len(text) + len(example) > EXAMPLES_LENGTH:
            break
        text += example
    return text[:EXAMPLES_LENGTH]
