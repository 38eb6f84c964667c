"""Made-up results of the controls, of any size, as their jobs would give them."""

from pathlib import Path
from typing import Any

import numpy as np

from comparison.controls.kinds import DRAWN, KINDS, Attention, Cosines, Geometry, Job, Line, Transfer, Variant
from comparison.controls.plan import LESSON, Plan
from comparison.controls.reviews import asked_reviews
from comparison.controls.store import ControlStore
from comparison.methods import Recipe

MACHINE = {"machine": {"cpu": "One", "threads": 1, "device": "cpu", "numbers": "float32"}}
PLAN = Plan(Recipe(0.02, 3), LESSON)
# Mean accuracy and loss of each variant.
VARIANT_SCORES = {
    "start": (0.5, 1.4),
    "tuned": (0.93, 0.2),
    "random direction": (0.52, 1.3),
    "other token's move": (0.6, 0.9),
    "shuffled": (0.7, 0.7),
    "moves alone": (0.5, 2.9),
    "half the way": (0.88, 0.3),
    "half the way further": (0.91, 0.3),
}
TRANSFER_SCORES = {
    "the reviews' text": (0.2, 0.3, 0.45, 0.5),
    "tuned on reviews": (0.2, 0.45, 0.6, 0.68),
    "moved as far at random": (0.2, 0.25, 0.35, 0.4),
    "solved tickets": (0.33, 0.5, 0.6, 0.66),
}
LAYERS, DIMENSIONS = 30, 576


def fill(path: Path, plan: Plan = PLAN, variants: dict[str, tuple[float, float]] | None = None, **more: Any) -> Path:
    """Make up a result for each job of a plan.

    Args:
        path: of the file to write.
        plan: the plan.
        variants: mean accuracy and loss of each variant, if not those above.
        more: ``lowest``, accuracy half-way between two soft prompts, for each line; ``transfer``, in place of the
            scores above; ``attention``, of all virtual tokens before tuning, after it, and after random moves.
    """
    generator = np.random.default_rng(0)
    store = ControlStore(path, plan, behaviour={kind.kind: {"numbers": []} for kind in KINDS})
    for job in plan.jobs:
        store.results[job.name] = {"job": job.name, "kind": job.kind} | MACHINE
        store.results[job.name] |= _made_up(plan, job, generator, {**VARIANT_SCORES, **(variants or {})}, more)
    last = plan.jobs[-1]
    store.put(last, store.results[last.name])
    return path


def _made_up(
    plan: Plan, job: Job, generator: np.random.Generator, variants: dict[str, tuple[float, float]], more: dict[str, Any]
) -> dict[str, Any]:
    def score(accuracy: float, loss: float, rows: int = 0, noise: float = 0.012) -> dict[str, Any]:
        rows = rows or len(asked_reviews(plan))
        hits = np.arange(rows) < round(rows * float(np.clip(accuracy + noise * generator.normal(), 0, 1)))
        hits = np.random.default_rng(1).permutation(hits)  # some rows are harder than others for all
        return {"accuracy": float(hits.mean()), "loss": round(loss, 4), "hits": "".join("01"[int(hit)] for hit in hits)}

    if isinstance(job, Variant):
        return {"scores": [score(*variants[job.variant]) for _ in range(plan.draws if job.variant in DRAWN else 1)]}
    if isinstance(job, Geometry):
        tokens = [
            {
                "word": "Comment: I love\n$x$ <b>"[number % 20 :][:4],
                "moved": 0.4 + 0.02 * number,
                "cosine": 0.85 - 0.01 * number,
                "predicted": 0.86 - 0.01 * number,
                "rank": 1 if number else 2,
                "other": 0.31,
                "random rank": 1.0,
                "random cosine": 0.86 - 0.01 * number,
            }
            for number in range(plan.virtual_tokens)
        ]
        reaches = len(plan.reaches)
        nearest = {"tuned": np.linspace(0.95, 0, reaches).tolist(), "random": np.linspace(1, 0.2, reaches).tolist()}
        return {"tokens": tokens, "nearest": nearest}
    if isinstance(job, Cosines):
        pairs = len(plan.seeds) * (len(plan.seeds) - 1) // 2
        return {"cosines": np.linspace(0.28, 0.41, pairs).tolist(), "numbers": plan.virtual_tokens * DIMENSIONS}
    if isinstance(job, Line):
        lines = [other for other in plan.jobs if isinstance(other, Line)]
        lowest = more.get("lowest", (0.8, 0.8, 0.8))[lines.index(job)]
        return {"scores": [score(0.97 + (lowest - 0.97) * 4 * step * (1 - step), 0.5) for step in plan.steps]}
    if isinstance(job, Attention):
        shares = dict(zip(("start", "tuned", "random"), more.get("attention", (0.4, 0.5, 0.42)), strict=True))
        return {name: _shares(share, plan.virtual_tokens, generator) for name, share in shares.items()}
    if isinstance(job, Transfer):
        means = {**TRANSFER_SCORES, **more.get("transfer", {})}[job.start]
        passes = np.interp(np.linspace(0, 3, plan.tickets.num_epochs + 1), range(4), means)
        return {"scores": [score(mean, 1 - mean, 100, 0.02) for mean in passes]}
    return {"moved": 0.7}


def _shares(share: float, tokens: int, generator: np.random.Generator) -> list[list[float]]:
    """Make up attention of which the first virtual token has the most, the sum of a layer about ``share``."""
    drawn = generator.dirichlet([8.0, *[0.4] * (tokens - 1)], LAYERS)
    shares = share * drawn * (1 + 0.02 * generator.normal(size=(LAYERS, 1)))
    return np.round(shares, 5).tolist()  # type: ignore[no-any-return]
