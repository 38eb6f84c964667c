"""Scores of labels: how good a model's answers are, as accuracy and F1 with their intervals, and label by label."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..i18n import say
from .intervals import bootstrap, f1_of, macro_f1_of, wilson, with_interval
from .labels import labels_of, parse_label, true_label
from .measures import Measure, check_rows
from .tables import html_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Scores:
    """How good a model's answers are.

    With two labels, the last is the positive one, which precision, recall and F1 are about. With more there is no
    positive label, and they are means over the labels (macro averages), in which each label counts alike, however few
    rows it has. A mean leaves out labels that no row has: they have no recall.

    Args:
        labels: the labels.
        n: number of rows.
        accuracy: share of right answers; an unusable answer is a wrong one.
        accuracy_interval: 95 % Wilson interval of the accuracy.
        precision: of the rows answered with the positive label, the share that is positive.
        recall: of the positive rows, the share answered so.
        f1: harmonic mean of precision and recall.
        f1_interval: 95 % bootstrap interval of F1. Rows are resampled from all rows alike, and as above, a label that
            a resample has no row of is left out of its mean.
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

    @property
    def measures(self) -> tuple[Measure, Measure]:
        """Accuracy and F1, as plots and tables show them."""
        accuracy = Measure(say("Accuracy"), say("Accuracy (95 % interval)"), self.accuracy, self.accuracy_interval)
        if len(self.labels) > 2:
            return accuracy, Measure(say("Macro F1"), say("Macro F1 (95 % interval)"), self.f1, self.f1_interval)
        return accuracy, Measure(say("F1"), say("F1 (95 % interval)"), self.f1, self.f1_interval)

    @property
    def values(self) -> dict[str, float]:
        """The measures as a file keeps them, by their names in English."""
        return {"accuracy": self.accuracy, "f1": self.f1}

    def by_label(self) -> "pd.DataFrame":
        """Show how good the answers are label by label.

        Returns:
            For each label, the number of rows that have it, how often it was answered, precision, recall and F1; 0
            where one of them has nothing to be a share of.
        """
        import pandas as pd

        rows = [sum(counts) for counts in self.confusion]
        answered = [sum(counts) for counts in zip(*self.confusion, strict=True)][:-1]
        hits = [counts[label] for label, counts in enumerate(self.confusion)]
        f1 = [2 * hit / max(1, row + given) for hit, row, given in zip(hits, rows, answered, strict=True)]
        return pd.DataFrame(
            {
                say("rows"): rows,
                say("times answered"): answered,
                say("Precision"): [hit / max(1, given) for hit, given in zip(hits, answered, strict=True)],
                say("Recall"): [hit / max(1, row) for hit, row in zip(hits, rows, strict=True)],
                say("F1"): f1,
            },
            index=pd.Index(self.labels, name=say("true label")),
        ).round(3)

    def table(self) -> list[tuple[str, str]]:
        """Name and write out the scores that are shown."""
        intervals = [(each.heading, with_interval(each.value, each.interval)) for each in self.measures]
        if len(self.labels) > 2:
            others = [(say("Macro precision"), f"{self.precision:.3f}"), (say("Macro recall"), f"{self.recall:.3f}")]
        else:
            others = [
                (say("Precision"), f"{self.precision:.3f}"),
                (say("Recall"), f"{self.recall:.3f}"),
                (say("Macro F1"), f"{self.macro_f1:.3f}"),
            ]
        return [*intervals, *others, (say("Unusable answers"), f"{self.unusable} / {self.n}")]

    def __str__(self) -> str:
        """Write the scores, one a line."""
        return "\n".join(f"{name}: {value}" for name, value in self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(("", say("value")), self.table())


@dataclass(frozen=True)
class LabelledRows:
    """The labels of one model's answers, beside the right ones.

    Args:
        labels: the labels there are.
        right: the right label of each row.
        given: the label that was answered, ``None`` for an unusable answer.
    """

    labels: tuple[str, ...]
    right: tuple[str, ...]
    given: tuple[str | None, ...]

    @property
    def correct(self) -> list[bool]:
        """Whether each row was answered rightly."""
        return [given == right for given, right in zip(self.given, self.right, strict=True)]

    def score(self) -> Scores:
        """Work out the scores."""
        import numpy as np
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

        n, correct = len(self.right), sum(self.correct)
        # To scikit-learn an unusable answer is one more label, which is never right.
        numbers = {label: number for number, label in enumerate(self.labels)}
        unusable = len(self.labels)
        small = np.int16  # resampled rows take up a quarter of the memory
        right = np.array([numbers[label] for label in self.right], small)
        given = np.array([unusable if label is None else numbers[label] for label in self.given], small)
        each = precision_recall_fscore_support(right, given, labels=range(unusable), zero_division=0)
        occurs = each[3] > 0
        macro = [float(values[occurs].mean()) for values in each[:3]]
        if unusable > 2:
            precision, recall, f1 = macro
            f1_interval = bootstrap(lambda rows: macro_f1_of(right[rows], given[rows], unusable), n)
        else:
            precision, recall, f1 = (float(values[-1]) for values in each[:3])
            positive, answered = right == unusable - 1, given == unusable - 1
            f1_interval = bootstrap(lambda rows: f1_of(positive[rows], answered[rows]), n)
        confusion = confusion_matrix(right, given, labels=range(unusable + 1))
        return Scores(
            labels=self.labels,
            n=n,
            accuracy=correct / n,
            accuracy_interval=wilson(correct, n),
            precision=precision,
            recall=recall,
            f1=f1,
            f1_interval=f1_interval,
            macro_f1=macro[2],
            unusable=self.given.count(None),
            confusion=tuple(map(tuple, confusion[:-1].tolist())),
        )


def read_labels(
    truth: Sequence[object], labels: Sequence[str] | None, models: Sequence[Sequence[object]]
) -> list[LabelledRows]:
    """Read the labels out of the right answers and out of those of each model.

    Args:
        truth: the right label of each row.
        labels: the labels; ``None`` for those of the rows.
        models: the answers of each model.

    Raises:
        ValueError: if the rows do not fit together, if a true label is not among ``labels``, or if no answer could
            name one of them.
    """
    check_rows(truth, models, "labels")
    known = labels_of(truth) if labels is None else tuple(labels)
    right = []
    for row, value in enumerate(truth):
        label = true_label(value, known)
        if label is None:
            raise ValueError(f"Row {row} has the true label {value!r}, which is not one of: {', '.join(known)}")
        right.append(label)
    return [
        LabelledRows(known, tuple(right), tuple(parse_label(answer, known) for answer in answers)) for answers in models
    ]
