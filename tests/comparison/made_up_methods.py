"""A made-up comparison: what each method gets right and what it costs, with searches and an opened soft prompt."""

from typing import Any

import numpy as np

from comparison.methods import Candidate, Recipe, Regularisation, WrittenPrompt
from comparison.plan import Plan
from comparison.results import Comparison, Cost, Machine, Measured, Searched
from comparison.search import Score

# Of 20 test reviews, how many each method answers rightly, and its trained parameters, bytes and seconds.
MADE_UP = {
    "instruction": (10, 0, 140, 0.0),
    "zero-shot": (10, 0, 150, 0.0),
    "zero-shot-written": (9, 0, 150, 0.0),
    "few-shot": (14, 0, 900, 0.0),
    "few-shot-written": (13, 0, 900, 0.0),
    "starting-text": (10, 0, 300, 0.0),
    "prompt-20": (17, 11_520, 46_000, 45.0),
    "prompt-100": (19, 57_600, 230_000, 60.0),
    "prompt-100-random": (16, 57_600, 230_000, 50.0),
    "prefix-20": (18, 230_400, 921_600, 40.0),
    "lora-8": (19, 460_800, 1_850_000, 30.0),
    "full": (20, 134_515_008, 538_000_000, 120.0),
    "tf-idf": (15, 6_100, 310_000, 0.021),
}
MACHINE = Machine("One", 1, "cpu", "float32")
GPU = Machine("Two", 2, "A GPU", "float32")
REVIEWS = tuple(
    {"file": "", "output": "1", "phenomenon": phenomenon}
    for phenomenon in ["plain"] * 10 + ["negation"] * 6 + [""] * 2 + ["third party"] * 2
)
LORA = [Recipe(rate, 2) for rate in (0.001, 0.003, 0.006)]
OPENED: dict[str, Any] = {
    "accuracy": 0.9,
    "accuracy_before": 0.5,
    "accuracy_as_words": 0.55,
    "tokens": [
        {
            "before": [{"token": "Comment", "cosine": 1.0}],
            "after": [{"token": "Comment", "cosine": 0.8}, {"token": " <b>$x$", "cosine": 0.3}],
            "moved": 0.5,
            "accuracy_without": 0.85,
        },
        {
            "before": [{"token": "\n", "cosine": 1.0}],
            "after": [{"token": " so", "cosine": 0.4}, {"token": "\n", "cosine": 0.3}],
            "moved": 1.25,
            "accuracy_without": 0.95,
        },
    ],
}


def made_up(plan: Plan) -> Comparison:
    """Make up all that a plan measures."""
    measured = []
    for method in plan.methods:
        right, parameters, saved, seconds = MADE_UP[method.name]
        chosen: tuple[Candidate, ...] = (Recipe(0.01, 4),) * 3
        if method.name == "few-shot":
            chosen = (WrittenPrompt("question", 4), WrittenPrompt("chat", 8), WrittenPrompt("chat", 8))
        if not method.has_base_model:
            chosen = (Regularisation(10),) * 3
        for rows in plan.rows_of(method):
            hits = np.zeros((3, 20), dtype=bool)
            hits[:, : right - plan.rows[::-1].index(rows)] = True  # fewer rows, fewer right answers
            accuracy = float(hits.mean())
            cost = Cost(
                trained_parameters=parameters,
                saved_bytes=saved,
                update_seconds=(0.5 * seconds, 1.5 * seconds) if method.is_tuned else (),
                updates=1 if method.is_tuned else 0,
                tuning_memory_mb=1234.5 if method.is_tuned else None,
                review_seconds=(0.00009,) if method.name == "tf-idf" else (0.03, 0.05),
                answering_memory_mb=617.25,
            )
            measured.append(
                Measured(
                    method=method,
                    rows=rows,
                    chosen=chosen,
                    accuracy=accuracy,
                    accuracy_interval=(accuracy - 0.05, min(1.0, accuracy + 0.05)),
                    f1=accuracy,
                    f1_interval=(accuracy - 0.06, min(1.0, accuracy + 0.06)),
                    hits=tuple(map(tuple, hits.tolist())),
                    written=("1" * 20,) * 3,
                    written_accuracy=0.5,
                    written_interval=(0.4, 0.6),
                    written_hits=tuple(map(tuple, hits.tolist())),
                    cost=cost if rows == plan.rows[-1] else None,
                )
            )
    rows = plan.rows[-1]
    few = [WrittenPrompt("instruction", 8), WrittenPrompt("chat", 4)]
    searched = [
        Searched(
            plan.method("few-shot"),
            rows,
            seed,
            {tried: Score(0.5 + seed / 10, 0.7, 0.25) for tried in few},
            few[0 if seed == 0 else 1],
        )
        for seed in range(3)
    ]
    searched.append(Searched(plan.method("lora-8"), rows, 0, {tried: Score(0.5, 0.7, 0.5) for tried in LORA}, LORA[0]))
    return Comparison(plan, tuple(searched), tuple(measured), OPENED, REVIEWS, ((MACHINE, 23),), ((MACHINE, 9),))
