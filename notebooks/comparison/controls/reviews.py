"""Which test reviews are asked about, how precise that is, and how much work the jobs are."""

import math
from functools import cache

from prompt_tuning_helpers.engine.rows import TrainingRow, read_rows

from ..plan import BATCH_SIZE, DATA, TEST_FILES
from .kinds import DRAWN, Job, Line, Transfer, Tuning, Variant
from .plan import TICKET_FILES, Plan


def asked_reviews(plan: Plan) -> list[TrainingRow]:
    """Read the test reviews that are asked about: of each label every third, say, in the order of the files."""
    seen: dict[str, int] = {}
    chosen = []
    for row in _all_reviews():
        if seen.setdefault(row.output, 0) % plan.every == 0:
            chosen.append(row)
        seen[row.output] += 1
    return chosen


@cache
def _all_reviews() -> tuple[TrainingRow, ...]:
    return tuple(row for name in TEST_FILES for row in read_rows(DATA / name))


def count_all_reviews() -> int:
    """Count the test reviews that there are."""
    return len(_all_reviews())


def uncertainty(accuracy: float, rows: int) -> float:
    """Give half the width of the 95 % interval of an accuracy, by the normal approximation.

    Args:
        accuracy: of choosing.
        rows: how many were asked about.
    """
    return 1.96 * math.sqrt(accuracy * (1 - accuracy) / rows)


def updates_of(plan: Plan, job: Job) -> int:
    """Count the updates of a soft prompt that a job takes."""
    if isinstance(job, Tuning):
        return plan.recipe.epochs * math.ceil(plan.rows / BATCH_SIZE)
    if isinstance(job, Transfer):
        return plan.tickets.num_epochs * math.ceil(_tickets(plan, TICKET_FILES[0]) / plan.tickets.batch_size)
    return 0


def answers_of(plan: Plan, job: Job) -> int:
    """Count the answers that a job asks for, where it looks at no attention."""
    if isinstance(job, Variant):
        return len(asked_reviews(plan)) * (plan.draws if job.variant in DRAWN else 1)
    if isinstance(job, Line):
        return len(asked_reviews(plan)) * len(plan.steps)
    if isinstance(job, Transfer):
        return (plan.tickets.num_epochs + 1) * _tickets(plan, TICKET_FILES[1])
    return 0


def _tickets(plan: Plan, name: str) -> int:
    return len(read_rows(DATA / name)[: plan.ticket_rows])
