"""The decision: whether a tuned model is worth deploying, in words, from what was measured."""

import math
from dataclasses import dataclass
from html import escape
from statistics import NormalDist

from ..i18n import paragraph, say
from .comparison import SIGNIFICANCE, Comparison

POWER = 0.8  # the chance to see a difference that is there, which studies are usually planned for


@dataclass(frozen=True)
class Decision:
    """What to do with a tuned model; printed, a paragraph each for the result, the advice and the costs.

    Args:
        take_tuned: whether the tuned model is better than its rival by more than chance explains.
        result: what the comparison showed.
        advice: what to do.
        costs: what the tuned model costs, beside its rival.
    """

    take_tuned: bool
    result: str
    advice: str
    costs: str

    def __str__(self) -> str:
        """Write the paragraphs."""
        return "\n\n".join((self.result, self.advice, self.costs))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.result)}</p><p><b>{escape(self.advice)}</b></p><p>{escape(self.costs)}</p>"


def decide(comparison: Comparison, *, minutes: float, tuned_seconds: float, rival_seconds: float) -> Decision:
    """Decide whether a tuned model is worth deploying.

    It is if it is better than its best rival by more than chance explains. Else the rival is simpler.

    Args:
        comparison: of the tuned model with its best rival on rows that had no part in any choice.
        minutes: that the tuning took.
        tuned_seconds: that the tuned model took to answer the rows.
        rival_seconds: that the rival took.
    """
    tuned, rival, name = comparison.tuned, comparison.base, comparison.base_name
    ahead = comparison.only_tuned - comparison.only_base
    values = {"rival": name, "tuned": tuned.accuracy, "base": rival.accuracy}
    if comparison.significant and ahead > 0:
        advice = say(
            'Take the tuned model. Of 100 rows it gets about {gain:.0f} more right than "{rival}" (accuracy '
            "{tuned:.3f} against {base:.3f}).",
            gain=100 * ahead / tuned.n,
            **values,
        )
    elif comparison.significant:
        advice = say(
            'Do not take the tuned model: "{rival}" is better (accuracy {base:.3f} against {tuned:.3f}), and simpler.',
            **values,
        )
    else:
        advice = say(
            'Do not take the tuned model as yet: it has not been shown to be better than "{rival}" (accuracy '
            "{tuned:.3f} against {base:.3f}), which is simpler.",
            **values,
        )
        if ahead > 0:
            rows = rows_to_tell(comparison.only_tuned / tuned.n, comparison.only_base / tuned.n)
            advice = paragraph(
                advice,
                say(
                    "If it really is ahead by as much as here, about {rows} test rows would show so in four of five "
                    "tries; these were {n}.",
                    rows=rows,
                    n=tuned.n,
                ),
            )
    costs = say(
        "What it costs: the tuning took {minutes:.1f} min. To answer {n} rows, the tuned model took {tuned:.1f} s and "
        '"{rival}" {base:.1f} s.',
        minutes=minutes,
        n=tuned.n,
        tuned=tuned_seconds,
        rival=name,
        base=rival_seconds,
    )
    return Decision(comparison.significant and ahead > 0, comparison.verdict, advice, costs)


def rows_to_tell(only_one: float, only_other: float) -> int:
    """Estimate how many rows McNemar's test needs to tell two models apart with a power of 0.8.

    After Connor (1987), *Sample size for testing differences in proportions for the paired-sample design*, Biometrics
    43, 207-211.

    Args:
        only_one: share of the rows that only the one model gets right.
        only_other: share that only the other one gets right; a different one.
    """
    normal = NormalDist()
    discordant, difference = only_one + only_other, abs(only_one - only_other)
    spread = normal.inv_cdf(1 - SIGNIFICANCE / 2) * math.sqrt(discordant)
    spread += normal.inv_cdf(POWER) * math.sqrt(discordant - difference**2)
    return math.ceil((spread / difference) ** 2)
