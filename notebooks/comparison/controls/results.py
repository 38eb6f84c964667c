"""The stored results as the notebook shows them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..results import Machine
from ..store import Result
from .kinds import DRAWN, STARTS, TUNED, VARIANTS, Attention, Cosines, Geometry, Job, Line, Transfer, Variant
from .plan import Plan, plan_of
from .reviews import asked_reviews
from .store import ControlStore

CONTROLS = Path(__file__).parents[1] / "controls.jsonl"
RESULTS = Path(__file__).parents[1] / "results.jsonl"
STATES = ("start", "tuned", "random")  # of the soft prompt, whose attention is looked at


@dataclass(frozen=True)
class Score:
    """How well the base model answers after a soft prompt.

    Args:
        accuracy: of choosing among the labels.
        loss: mean surprise by the right label, in nats.
        hits: whether each row was answered rightly; the rows are the same in all scores of a task.
    """

    accuracy: float
    loss: float
    hits: tuple[bool, ...]


@dataclass(frozen=True)
class Token:
    """Where a virtual token went; see ``findings.geometry``.

    Args:
        word: the text that it started as.
        moved: how far, in lengths of a typical word's embedding.
        cosine: of the angle between start and end.
        predicted: this cosine after a random move as long, by geometry.
        rank: of its own word among those nearest to it; 1 is the nearest.
        other: the cosine of the nearest other word.
        random_rank: mean rank after random moves as long.
        random_cosine: mean cosine after random moves as long.
    """

    word: str
    moved: float
    cosine: float
    predicted: float
    rank: int
    other: float
    random_rank: float
    random_cosine: float


@dataclass(frozen=True)
class Between:
    """The line between the soft prompts of two seeds.

    Args:
        seeds: the two.
        points: where on the line, from 0 to 1, and the score there.
    """

    seeds: tuple[int, int]
    points: tuple[tuple[float, Score], ...]


@dataclass(frozen=True)
class Controls:
    """All that was found.

    Args:
        plan: what was to be computed.
        reviews: how many test reviews were asked about.
        tickets: how many tickets.
        variants: by name and seed, the scores of each draw; the start has the first seed alone.
        tokens: for each seed, where each virtual token went.
        nearest: by ``"tuned"`` and ``"random"``, for each of the plan's reaches the share of virtual tokens that are
            still nearest to their word; mean over the seeds.
        cosines: of the moves of each two seeds.
        numbers: how many numbers a soft prompt has.
        lines: between each two of the first seeds.
        attention: by state of the soft prompt, ``[seeds, layers, P]``: the share of the last token's attention.
        transfer: by start and seed, the scores before tuning and after each pass.
        machines: that jobs were computed on, each with their number, the most first.
    """

    plan: Plan
    reviews: int
    tickets: int
    variants: dict[str, dict[int, tuple[Score, ...]]]
    tokens: tuple[tuple[Token, ...], ...]
    nearest: dict[str, tuple[float, ...]]
    cosines: tuple[float, ...]
    numbers: int
    lines: tuple[Between, ...]
    attention: dict[str, Any]
    transfer: dict[str, dict[int, tuple[Score, ...]]]
    machines: tuple[tuple[Machine, int], ...]

    def accuracies(self, variant: str) -> list[float]:
        """Give the accuracy of a variant for each seed, the mean where there are several draws."""
        return [float(np.mean([score.accuracy for score in draws])) for draws in self.variants[variant].values()]

    def losses(self, variant: str) -> list[float]:
        """Give the loss of a variant for each seed, the mean where there are several draws."""
        return [float(np.mean([score.loss for score in draws])) for draws in self.variants[variant].values()]


def load_controls(path: str | Path, plan: Plan | None = None) -> Controls:
    """Read the stored results.

    Args:
        path: of the file that holds them.
        plan: what they have to be of; by default, soft prompts of the recipe that the comparison's results give.

    Raises:
        LookupError: if a result is missing, or was made with other settings than those in force now.
        ValueError: if the file is damaged.
    """
    plan = plan or plan_of(RESULTS)
    store = ControlStore.read(Path(path), plan)
    if lacking := [job.name for job in store.expected()]:
        shown = "; ".join(lacking[:3]) + (f"; and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise LookupError(
            f"These results are missing or were made with other settings: {shown}. Run `make compare`; it computes "
            "what is lacking and keeps the rest."
        )

    def read(job: Job, parse: Callable[[Result], Any]) -> Any:
        try:
            return parse(store.results[job.name])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"The result “{job.name}” in {path} is damaged: {error}. Put the file back as it was, with git for "
                "instance, or delete the line and run `make compare`."
            ) from error

    def all_of(kind: type[Job], parse: Callable[[Result], Any]) -> dict[Any, Any]:
        return {job: read(job, parse) for job in plan.jobs if isinstance(job, kind)}

    reviews = len(asked_reviews(plan))
    variants: dict[str, dict[int, tuple[Score, ...]]] = {name: {} for name in VARIANTS}
    for job in plan.jobs:
        if isinstance(job, Variant):
            draws = plan.draws if job.variant in DRAWN else 1
            variants[job.variant][job.seed] = read(job, lambda result, n=draws: _scores(result, n, reviews))  # type: ignore[misc]
    lines = all_of(Line, lambda result: _scores(result, len(plan.steps), reviews))
    transfer: dict[str, dict[int, tuple[Score, ...]]] = {name: {} for name in STARTS}
    for job, scores in all_of(Transfer, lambda result: _scores(result, plan.tickets.num_epochs + 1)).items():
        transfer[job.start][job.seed] = scores
    looked = all_of(Attention, lambda result: [_shares(result[state], plan.virtual_tokens) for state in STATES])
    nearest = all_of(
        Geometry, lambda result: [_floats(result["nearest"][of], len(plan.reaches)) for of in ("tuned", "random")]
    )
    pairs = len(plan.seeds) * (len(plan.seeds) - 1) // 2
    (cosines,) = all_of(Cosines, lambda result: (_floats(result["cosines"], pairs), int(result["numbers"]))).values()
    return Controls(
        plan,
        reviews=reviews,
        tickets=len(next(score.hits for seeds in transfer.values() for scores in seeds.values() for score in scores)),
        variants=variants,
        tokens=tuple(all_of(Geometry, lambda result: _tokens(result, plan.virtual_tokens)).values()),
        nearest={
            of: tuple(np.mean([found[number] for found in nearest.values()], axis=0).tolist())
            for number, of in enumerate(("tuned", "random"))
        },
        cosines=cosines[0],
        numbers=cosines[1],
        lines=tuple(
            Between((job.seed, job.other), _with_ends(plan, variants, job, scores)) for job, scores in lines.items()
        ),
        attention={
            state: np.array([found[number] for found in looked.values()]) for number, state in enumerate(STATES)
        },
        transfer=transfer,
        machines=_machines(store),
    )


def _scores(result: Result, count: int, rows: int | None = None) -> tuple[Score, ...]:
    scores = tuple(
        Score(float(score["accuracy"]), float(score["loss"]), tuple(hit == "1" for hit in score["hits"]))
        for score in result["scores"]
    )
    if len(scores) != count:
        raise ValueError(f"it should have {count} scores")
    for score in scores:
        if rows and len(score.hits) != rows:
            raise ValueError(f"it should have answers to {rows} rows")
        if abs(score.accuracy - np.mean(score.hits)) > 1e-6 or not 0 <= score.loss < np.inf:
            raise ValueError("its accuracy or loss cannot be")
    return scores


def _floats(values: Sequence[Any], count: int) -> tuple[float, ...]:
    floats = tuple(map(float, values))
    if len(floats) != count or not all(-1 <= value <= 1 for value in floats):
        raise ValueError(f"it should have {count} numbers between -1 and 1")
    return floats


def _tokens(result: Result, count: int) -> tuple[Token, ...]:
    tokens = tuple(
        Token(**{name.replace(" ", "_"): value for name, value in token.items()}) for token in result["tokens"]
    )
    if len(tokens) != count:
        raise ValueError(f"it should have {count} virtual tokens")
    return tokens


def _shares(values: Any, tokens: int) -> Any:
    shares = np.array(values, dtype=float)
    if shares.ndim != 2 or shares.shape[1] != tokens or shares.min() < 0 or shares.sum(axis=1).max() > 1.001:
        raise ValueError(f"it should have shares of attention for {tokens} virtual tokens in each layer")
    return shares


def _with_ends(
    plan: Plan, variants: dict[str, dict[int, tuple[Score, ...]]], job: Line, scores: tuple[Score, ...]
) -> tuple[tuple[float, Score], ...]:
    """Put the tuned soft prompts of both seeds at the ends of their line."""
    one, other = (variants[TUNED][seed][0] for seed in (job.seed, job.other))
    return (0.0, one), *zip(plan.steps, scores, strict=True), (1.0, other)


def _machines(store: ControlStore) -> tuple[tuple[Machine, int], ...]:
    return tuple(Counter(Machine(**result["machine"]) for result in store.results.values()).most_common())
