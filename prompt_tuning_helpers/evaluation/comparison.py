"""Comparison: a tuned model against its base model on the same rows, with a paired test."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ..i18n import language, paragraph, say, translations
from .intervals import bootstrap
from .overview import check_comparable
from .scores import LabelledRows, Scores, read_labels
from .tables import html_table, text_table
from .tasks import LabelTask, TextTask, has_texts, read_rows
from .texts import TextRows, TextScores, read_texts

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANCE = 0.05
PERMUTATIONS = 9999  # and the answers as they are make 10,000


class _SideBySide:
    """A tuned model beside its base model, or beside another rival: what a comparison shows, whatever the task.

    Args:
        tuned: scores of the tuned model.
        base: scores of the base model.
        p_value: of the test whether they are equally good.
        rival: the name of what stands in the place of the base model, if it is something else.
    """

    tuned: Scores | TextScores
    base: Scores | TextScores
    p_value: float
    rival: str | None

    @property
    def base_name(self) -> str:
        """What the tuned model is compared with, in the language of the lesson."""
        return say("base model") if self.rival is None else self.rival

    @property
    def models(self) -> dict[str, Scores | TextScores]:
        """The scores of both by their names, as tables and plots of several models take them."""
        return {say("tuned model"): self.tuned, self.base_name: self.base}

    @property
    def significant(self) -> bool:
        """Whether so large a difference would be surprising between two equally good models."""
        return self.p_value < SIGNIFICANCE

    @property
    @abstractmethod
    def verdict(self) -> str:
        """The result in plain words."""

    def save(self, path: str | Path = "scores.json", rivals: Mapping[str, Scores | TextScores] | None = None) -> Path:
        """Write the two measures of both models, accuracy and F1 for instance, and the number of rows, as JSON.

        Args:
            path: of the file.
            rivals: names and scores of others on the same rows, to be written as well.

        Returns:
            The path.

        Raises:
            ValueError: if the rivals' scores are not of the same rows and of the same kind.
        """
        others = dict(rivals or {})
        check_comparable({**self.models, **others})
        scores = {"base": self.base.values, "tuned": self.tuned.values, "n": self.tuned.n}
        scores["rivals"] = {name: each.values for name, each in others.items()}
        path = Path(path)
        path.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
        return path

    def __str__(self) -> str:
        """Write the scores side by side, and the verdict."""
        return "\n".join([text_table(*self._table()), "", self.verdict])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(*self._table()) + f"<p>{escape(self.verdict)}</p>"

    def _table(self) -> tuple[tuple[str, str, str], list[tuple[str, str, str]]]:
        both = zip(self.tuned.table(), self.base.table(), strict=True)
        rows = [(name, tuned, base) for (name, tuned), (_, base) in both]
        return ("", say("tuned model"), self.base_name), rows


@dataclass(frozen=True, repr=False)
class Comparison(_SideBySide):
    """A tuned model against its base model on the same rows, by the labels that they answered.

    Args:
        tuned: scores of the tuned model.
        base: scores of the base model.
        both: number of rows that both get right.
        only_tuned: that only the tuned model gets right.
        only_base: that only the base model gets right.
        neither: that both get wrong.
        p_value: of the exact McNemar's test, which looks at right and wrong alone, however many labels there are.
        rival: the name of what stands in the place of the base model, if it is something else.
    """

    tuned: Scores
    base: Scores
    both: int
    only_tuned: int
    only_base: int
    neither: int
    p_value: float
    rival: str | None = None

    @property
    def verdict(self) -> str:
        """The result in plain words."""
        values = {"n": self.tuned.n, "tuned": self.only_tuned, "base": self.only_base}
        if self.rival is None:
            counts = say(
                "Of {n} rows, the tuned model alone gets {tuned} right and the base model alone {base}.", **values
            )
        else:
            counts = say(
                'Of {n} rows, the tuned model alone gets {tuned} right and "{rival}" alone {base}.',
                rival=self.rival,
                **values,
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
            ) + _better(self.only_tuned > self.only_base, self.rival)
        return paragraph(counts, judgement)


@dataclass(frozen=True, repr=False)
class TextComparison(_SideBySide):
    """A tuned model against its base model on the same rows, by the texts that they wrote.

    Args:
        tuned: scores of the tuned model.
        base: scores of the base model.
        difference: token F1 of the tuned model less that of the base model.
        difference_interval: its 95 % bootstrap interval; each resampled row keeps both its answers.
        p_value: of the permutation test of that difference, in which the two answers to any row may change places.
        rival: the name of what stands in the place of the base model, if it is something else.
    """

    tuned: TextScores
    base: TextScores
    difference: float
    difference_interval: tuple[float, float]
    p_value: float
    rival: str | None = None

    @property
    def verdict(self) -> str:
        """The result in plain words."""
        low, high = self.difference_interval
        values = {"n": self.tuned.n, "difference": self.difference, "low": low, "high": high}
        if self.rival is None:
            difference = say(
                "On {n} rows, the token F1 of the tuned model less that of the base model is {difference:+.3f} on "
                "average (95 % interval {low:+.3f} to {high:+.3f}).",
                **values,
            )
        else:
            difference = say(
                'On {n} rows, the token F1 of the tuned model less that of "{rival}" is {difference:+.3f} on average '
                "(95 % interval {low:+.3f} to {high:+.3f}).",
                rival=self.rival,
                **values,
            )
        if not self.significant:
            judgement = say(
                "Between two equally good models, a difference like this can arise by chance (paired permutation test, "
                "{p}): these rows do not show that either is better.",
                p=_p(self.p_value),
            )
        else:
            judgement = say(
                "Between two equally good models, a difference this large would be rare (paired permutation test, "
                "{p}): ",
                p=_p(self.p_value),
            ) + _better(self.difference > 0, self.rival)
        return paragraph(difference, judgement)


@overload
def compare(
    truth: Sequence[object],
    tuned_answers: Sequence[object],
    base_answers: Sequence[object],
    labels: Sequence[str] | None = None,
    *,
    task_id: LabelTask = "classification",
    rival: str | None = None,
) -> Comparison: ...


@overload
def compare(
    truth: Sequence[object],
    tuned_answers: Sequence[object],
    base_answers: Sequence[object],
    labels: None = None,
    *,
    task_id: TextTask,
    rival: str | None = None,
) -> TextComparison: ...


@overload
def compare(
    truth: Sequence[object],
    tuned_answers: Sequence[object],
    base_answers: Sequence[object],
    labels: Sequence[str] | None = None,
    *,
    task_id: object,
    rival: str | None = None,
) -> Comparison | TextComparison: ...


def compare(
    truth: Sequence[object],
    tuned_answers: Sequence[object],
    base_answers: Sequence[object],
    labels: Sequence[str] | None = None,
    *,
    task_id: object = "classification",
    rival: str | None = None,
) -> Comparison | TextComparison:
    """Compare a tuned model with its base model, or with another rival, on the same rows.

    Args:
        truth: the right output of each row.
        tuned_answers: what the tuned model answered.
        base_answers: what the base model answered.
        labels: of a classification, the labels; when omitted, those of ``truth``. See :func:`evaluate`.
        task_id: what the model was tuned for, as ``experiment.Tasks.SUMMARIZATION`` and the like name it.
        rival: the name of what gave the second answers, if it is not the base model as it is.

    Raises:
        ValueError: if the rows do not fit together; see :func:`evaluate`.
    """
    models = tuned_answers, base_answers
    if has_texts(task_id, labels):
        return replace(_compare_texts(*read_texts(truth, models)), rival=rival)
    return replace(_compare_labels(*read_labels(truth, labels, models)), rival=rival)


def _compare_labels(tuned: LabelledRows, base: LabelledRows) -> Comparison:
    from statsmodels.stats.contingency_tables import mcnemar

    outcomes = list(zip(tuned.correct, base.correct, strict=True))
    both, only_tuned = outcomes.count((True, True)), outcomes.count((True, False))
    only_base, neither = outcomes.count((False, True)), outcomes.count((False, False))
    # Only rows on which the two differ tell which is better; without any, nothing speaks against equality.
    p_value = (
        float(mcnemar([[both, only_tuned], [only_base, neither]], exact=True).pvalue) if only_tuned + only_base else 1.0
    )
    return Comparison(tuned.score(), base.score(), both, only_tuned, only_base, neither, p_value)


def _compare_texts(tuned: TextRows, base: TextRows) -> TextComparison:
    import numpy as np
    from scipy.stats import permutation_test

    pair = np.array(tuned.f1), np.array(base.f1)
    difference = pair[0] - pair[1]
    p_value = 1.0  # of a single row, whose answers may change places
    if len(difference) > 1:
        found = permutation_test(
            pair,
            lambda one, other, axis: np.mean(one - other, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=PERMUTATIONS,
            rng=0,
        )
        p_value = float(found.pvalue)
    return TextComparison(
        tuned=tuned.score(),
        base=base.score(),
        difference=float(difference.mean()),
        difference_interval=bootstrap(lambda rows: difference[rows].mean(axis=-1), len(difference)),
        p_value=p_value,
    )


def by_phenomenon(
    rows: "pd.DataFrame",
    tuned_answers: Sequence[object],
    base_answers: Sequence[object],
    labels: Sequence[str] | None = None,
    *,
    task_id: object = "classification",
    rival: str | None = None,
) -> "pd.DataFrame":
    """Show what kinds of row each model gets right.

    Args:
        rows: test rows with the columns ``output`` and ``phenomenon``.
        tuned_answers: what the tuned model answered, row by row.
        base_answers: what the base model answered, row by row.
        labels: of a classification, the labels; when omitted, those of the rows. See :func:`evaluate`.
        task_id: what the model was tuned for, as for :func:`compare`; a text is right if it is an exact match.
        rival: the name of what gave the second answers, if it is not the base model as it is.

    Returns:
        For each phenomenon, called what the language of the lesson calls it where that has a word, the number of rows
        and how many of them each model gets right.

    Raises:
        ValueError: if the rows do not fit together; see :func:`evaluate`.
        KeyError: if a column is missing.
    """
    import pandas as pd

    tuned, base = read_rows(rows["output"].tolist(), labels, task_id, tuned_answers, base_answers)
    table = pd.DataFrame(
        {
            "phenomenon": rows["phenomenon"].tolist(),
            say("rows"): 1,
            say("tuned right"): list(map(int, tuned.correct)),
            say("base right") if rival is None else say('"{rival}" right', rival=rival): list(map(int, base.correct)),
        }
    )
    counted = table.groupby("phenomenon").sum().rename_axis(say("phenomenon"))
    return counted.rename(index=translations(language()))  # those that have a name there


def _better(tuned: bool, rival: str | None) -> str:
    if tuned:
        return say("the tuned model is better.")
    return say("the base model is better.") if rival is None else say('"{rival}" is better.', rival=rival)


def _p(value: float) -> str:
    """Write a p-value."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
