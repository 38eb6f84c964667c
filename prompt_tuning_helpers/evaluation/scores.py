"""Scores: how good a model's answers are, as accuracy and F1 with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..i18n import say
from .intervals import CONFIDENCE, bootstrap_f1, with_interval
from .labels import LABELS, parse_label
from .tables import html_table

UNUSABLE = ""  # no label is empty


@dataclass(frozen=True)
class Scores:
    """How good a model's answers are.

    Args:
        labels: the labels; the last is the positive one.
        n: number of rows.
        accuracy: share of right answers; an unusable answer is a wrong one.
        accuracy_interval: 95 % Wilson interval of the accuracy.
        precision: of the rows answered with the positive label, the share that is positive.
        recall: of the positive rows, the share answered so.
        f1: harmonic mean of precision and recall.
        f1_interval: 95 % bootstrap interval of F1.
        macro_f1: mean of the F1 of each label.
        unusable: number of answers without a label.
        confusion: for each true label, how often each label, and at last no label, was answered.
    """

    labels: tuple[str, ...]
    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    precision: float
    recall: float
    f1: float
    f1_interval: tuple[float, float]
    macro_f1: float
    unusable: int
    confusion: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        """Write the scores, one a line."""
        return "\n".join(f"{name}: {value}" for name, value in score_rows(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(("", say("value")), score_rows(self))


def evaluate(truth: Sequence[object], answers: Sequence[object], labels: Sequence[str] = LABELS) -> Scores:
    """Score a model's answers.

    Args:
        truth: the right label of each row, as text or as a number.
        answers: the generated text of each row.
        labels: the labels; the last is the positive one, for precision, recall and F1.

    Raises:
        ValueError: if there are no rows, if the numbers of rows differ, or if a true label is not among ``labels``.
    """
    (parsed,) = parse(truth, tuple(labels), answers)
    return score(parsed, tuple(labels))


@dataclass(frozen=True)
class Parsed:
    """The labels of one model's answers, beside the right ones.

    Args:
        right: the right label of each row.
        given: the label that was answered, ``None`` for an unusable answer.
    """

    right: tuple[str, ...]
    given: tuple[str | None, ...]

    @property
    def correct(self) -> list[bool]:
        """Whether each row was answered rightly."""
        return [given == right for given, right in zip(self.given, self.right, strict=True)]


def parse(truth: Sequence[object], labels: tuple[str, ...], *models: Sequence[object]) -> list[Parsed]:
    """Read the labels out of the right answers and out of those of each model.

    Raises:
        ValueError: as in ``evaluate``.
    """
    for answers in models:
        if len(truth) != len(answers):
            raise ValueError(f"There are {len(truth)} true labels but {len(answers)} answers.")
    if len(truth) == 0:
        raise ValueError("There is nothing to score: no rows.")
    right = []
    for row, value in enumerate(truth):
        label = parse_label(str(value), labels)
        if label is None:
            raise ValueError(f"Row {row} has the true label {value!r}, which is not one of: {', '.join(labels)}")
        right.append(label)
    return [Parsed(tuple(right), tuple(parse_label(answer, labels) for answer in answers)) for answers in models]


def score(parsed: Parsed, labels: tuple[str, ...]) -> Scores:
    """Work out the scores of one model's answers."""
    import numpy as np
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
    from statsmodels.stats.proportion import proportion_confint

    n, correct = len(parsed.right), sum(parsed.correct)
    low, high = proportion_confint(correct, n, alpha=1 - CONFIDENCE, method="wilson")
    # To scikit-learn an unusable answer is one more label, which is never right.
    right, given = np.array(parsed.right), np.array([label or UNUSABLE for label in parsed.given])
    precision, recall, f1, _ = precision_recall_fscore_support(right, given, labels=[*labels], zero_division=0)
    confusion = confusion_matrix(right, given, labels=[*labels, UNUSABLE])
    return Scores(
        labels=labels,
        n=n,
        accuracy=correct / n,
        accuracy_interval=(float(low), float(high)),
        precision=float(precision[-1]),
        recall=float(recall[-1]),
        f1=float(f1[-1]),
        f1_interval=bootstrap_f1(right == labels[-1], given == labels[-1]),
        macro_f1=float(np.mean(f1)),
        unusable=parsed.given.count(None),
        confusion=tuple(map(tuple, confusion[:-1].tolist())),
    )


def score_rows(scores: Scores) -> list[tuple[str, str]]:
    """Name and write out the scores that are shown."""
    return [
        (say("Accuracy (95 % interval)"), with_interval(scores.accuracy, scores.accuracy_interval)),
        (say("F1 (95 % interval)"), with_interval(scores.f1, scores.f1_interval)),
        (say("Precision"), f"{scores.precision:.3f}"),
        (say("Recall"), f"{scores.recall:.3f}"),
        (say("Macro F1"), f"{scores.macro_f1:.3f}"),
        (say("Unusable answers"), f"{scores.unusable} / {scores.n}"),
    ]
