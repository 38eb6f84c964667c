"""Made-up results of which tests know everything: who answers which review rightly, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from comparison.methods import Recipe
from comparison.plan import FULL, SMALL, Plan
from comparison.results import Comparison, Cost, Measured, read_reviews

COST = Cost(
    trained_parameters=1_000,
    saved_bytes=4_000,
    update_seconds=(1.0, 1.0),
    updates=10,
    tuning_memory_mb=500.0,
    review_seconds=(0.03, 0.03),
    answering_memory_mb=400.0,
)
TOKEN = {"before": [{"token": "a", "cosine": 1.0}], "after": [{"token": "a", "cosine": 0.8}]}
OPENED = {"accuracy": 0.9, "accuracy_before": 0.5, "accuracy_as_words": 0.5, "tokens": [TOKEN] * 20}


def measured(
    hits: Any, written_hits: Any = None, name: str = "full", rows: int | None = None, cost: Cost | None = COST
) -> Measured:
    """Make up what one method gave.

    Args:
        hits: ``[seeds, reviews]``, whether each review is answered rightly.
        written_hits: likewise, of writing; the same if not given.
        name: of the method.
        rows: training rows.
        cost: of the method.
    """
    hits = np.array(hits, dtype=bool)
    written_hits = hits if written_hits is None else np.array(written_hits, dtype=bool)
    written = tuple("".join("1" if right else "-" for right in row) for row in written_hits)
    accuracy, written_accuracy = float(hits.mean()), float(written_hits.mean())
    return Measured(
        method=FULL.method(name),
        rows=rows or FULL.rows[-1],
        chosen=(Recipe(0.01, 4),) * len(hits),
        accuracy=accuracy,
        accuracy_interval=(accuracy, accuracy),
        f1=accuracy,
        f1_interval=(accuracy, accuracy),
        hits=tuple(map(tuple, hits.tolist())),
        written=written,
        written_accuracy=written_accuracy,
        written_interval=(written_accuracy, written_accuracy),
        written_hits=tuple(map(tuple, written_hits.tolist())),
        cost=cost,
    )


def first_right(plan: Plan, accuracy: float) -> Any:
    """Give hits of which each seed has so large a share, those of the first reviews."""
    return np.tile(np.arange(plan.test_rows) < round(accuracy * plan.test_rows), (len(plan.seeds), 1))


def comparison(
    plan: Plan = FULL,
    accuracies: Mapping[str, float] | None = None,
    written: Mapping[str, float] | None = None,
    costs: Mapping[str, Cost | None] | None = None,
    opened: Mapping[str, Any] | None = None,
    reviews: Sequence[dict[str, str]] | None = None,
) -> Comparison:
    """Make up all results of a plan, the same for any number of rows.

    Args:
        plan: the plan.
        accuracies: by name of a method, of choosing; 0.8 where none is given.
        written: likewise, of writing.
        costs: by name of a method.
        opened: what was seen in the soft prompt.
        reviews: the test reviews; those of the plan, if not given.
    """
    found = tuple(
        measured(
            first_right(plan, (accuracies or {}).get(method.name, 0.8)),
            first_right(plan, (written or {}).get(method.name, 0.8)),
            method.name,
            rows,
            (costs or {}).get(method.name, COST) if rows == plan.rows[-1] else None,
        )
        for method in plan.methods
        for rows in plan.rows_of(method)
    )
    shown = read_reviews(plan) if reviews is None else tuple(reviews)
    return Comparison(plan, (), found, dict(OPENED if opened is None else opened), shown, (), ())


PLANS = {"full": FULL, "small": SMALL}
