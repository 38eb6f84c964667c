"""Comparison: a tuned model against its base model, with McNemar's test."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..i18n import paragraph, say
from .labels import LABELS
from .scores import Scores, parse, score, score_rows
from .tables import html_table

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Comparison:
    """A tuned model against its base model on the same rows.

    Args:
        tuned: scores of the tuned model.
        base: scores of the base model.
        both: number of rows that both get right.
        only_tuned: that only the tuned model gets right.
        only_base: that only the base model gets right.
        neither: that both get wrong.
        p_value: of the exact McNemar's test.
    """

    tuned: Scores
    base: Scores
    both: int
    only_tuned: int
    only_base: int
    neither: int
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether so large a difference would be surprising between two equally good models."""
        return self.p_value < SIGNIFICANCE

    @property
    def verdict(self) -> str:
        """The result in plain words."""
        counts = say(
            "Of {n} rows, the tuned model alone gets {tuned} right and the base model alone {base}.",
            n=self.tuned.n,
            tuned=self.only_tuned,
            base=self.only_base,
        )
        if not self.significant:
            judgement = say(
                "Between two equally good models, a difference like this can arise by chance (exact McNemar's test, "
                "{p}): these rows do not show that either is better.",
                p=_p(self.p_value),
            )
        else:
            judgement = say(
                "Between two equally good models, a difference this large would be rare (exact McNemar's test, {p}): ",
                p=_p(self.p_value),
            ) + (
                say("the tuned model is better.")
                if self.only_tuned > self.only_base
                else say("the base model is better.")
            )
        return paragraph(counts, judgement)

    def save(self, path: str | Path = "scores.json") -> Path:
        """Write accuracy and F1 of both models, and the number of rows, as JSON.

        Args:
            path: of the file.

        Returns:
            The path.
        """
        scores = {
            "base": {"accuracy": self.base.accuracy, "f1": self.base.f1},
            "tuned": {"accuracy": self.tuned.accuracy, "f1": self.tuned.f1},
            "n": self.tuned.n,
        }
        path = Path(path)
        path.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        return path

    def __str__(self) -> str:
        """Write the scores side by side, and the verdict."""
        rows = [(name, tuned, base) for (name, tuned), (_, base) in self._pairs()]
        names = (say("tuned model"), say("base model"))
        width = max(len(name) for name, *_ in rows)
        column = max(len(text) for _, *texts in [("", *names), *rows] for text in texts)
        lines = [f"{'':{width}}  {names[0]:>{column}}  {names[1]:>{column}}"]
        lines += [f"{name:{width}}  {tuned:>{column}}  {base:>{column}}" for name, tuned, base in rows]
        return "\n".join([*lines, "", self.verdict])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [(name, tuned, base) for (name, tuned), (_, base) in self._pairs()]
        return html_table(("", say("tuned model"), say("base model")), rows) + f"<p>{escape(self.verdict)}</p>"

    def _pairs(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        return list(zip(score_rows(self.tuned), score_rows(self.base), strict=True))


def compare(
    truth: Sequence[object],
    tuned_answers: Sequence[object],
    base_answers: Sequence[object],
    labels: Sequence[str] = LABELS,
) -> Comparison:
    """Compare a tuned model with its base model on the same rows.

    Args:
        truth: the right label of each row.
        tuned_answers: what the tuned model answered.
        base_answers: what the base model answered.
        labels: the labels; the last is the positive one.

    Raises:
        ValueError: if the rows do not fit together; see ``evaluate``.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    tuned, base = parse(truth, tuple(labels), tuned_answers, base_answers)
    outcomes = list(zip(tuned.correct, base.correct, strict=True))
    both, only_tuned = outcomes.count((True, True)), outcomes.count((True, False))
    only_base, neither = outcomes.count((False, True)), outcomes.count((False, False))
    # Only rows on which the two differ tell which is better; without any, nothing speaks against equality.
    p_value = (
        float(mcnemar([[both, only_tuned], [only_base, neither]], exact=True).pvalue) if only_tuned + only_base else 1.0
    )
    of_tuned, of_base = (score(parsed, tuple(labels)) for parsed in (tuned, base))
    return Comparison(of_tuned, of_base, both, only_tuned, only_base, neither, p_value)


def by_phenomenon(
    rows: "pd.DataFrame",
    tuned_answers: Sequence[object],
    base_answers: Sequence[object],
    labels: Sequence[str] = LABELS,
) -> "pd.DataFrame":
    """Show what kinds of review each model gets right.

    Args:
        rows: test rows with the columns ``output`` and ``phenomenon``.
        tuned_answers: what the tuned model answered, row by row.
        base_answers: what the base model answered, row by row.
        labels: the labels.

    Returns:
        For each phenomenon, the number of rows and how many of them each model gets right.

    Raises:
        ValueError: if the rows do not fit together; see ``evaluate``.
        KeyError: if a column is missing.
    """
    import pandas as pd

    tuned, base = parse(rows["output"].tolist(), tuple(labels), tuned_answers, base_answers)
    table = pd.DataFrame(
        {
            "phenomenon": rows["phenomenon"].tolist(),
            say("rows"): 1,
            say("tuned right"): list(map(int, tuned.correct)),
            say("base right"): list(map(int, base.correct)),
        }
    )
    return table.groupby("phenomenon").sum()


def _p(value: float) -> str:
    """Write a p-value."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
