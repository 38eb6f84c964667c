"""Evaluation: from answers to labels, accuracy and F1 with intervals, and a tuned model against its base model."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .i18n import paragraph, say

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("0", "1")
CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
UNUSABLE = ""  # no label is empty
RESAMPLES = 2000

LETTER = r"[^\W_]"  # or a digit; an underscore is a mark of emphasis, like an asterisk
JOINT = r"(?:[,_\-]|(?<!\d)\.|\.(?!\d))"  # what joins labels without a blank; a point, unless it is one in a number
# With these two characters right before or behind it, a label is part of a number, a name or a word.
BEGUN = re.compile(rf"{LETTER}[._\-\u2212]|\d,")
CONTINUED = re.compile(rf"[.,]\d|[_\-]{LETTER}")
DOUBTFUL = (".", "-", "\u2212")  # right before a label


def parse_label(answer: object, labels: Sequence[str] = LABELS) -> str | None:
    """Read a label out of a model's answer.

    The first line that names a label counts, since a model that was not told to stop may continue with examples of
    its own. A label must stand by itself: ``10``, ``1.5`` and ``1,5`` name no ``1``, but ``1.0``, ``"1"`` and
    ``Label: 1`` do. ``1,0`` names two labels, and so does any other row of labels.

    Args:
        answer: the generated text; anything that is not text is unusable.
        labels: the labels there are; upper and lower case are not told apart.

    Returns:
        The label; ``None`` if the answer names none, or if that line names two different ones.

    Raises:
        ValueError: if there are no labels, if one is empty, of several lines or no text, or if two differ only in case.
    """
    known = _by_folded_case(labels)
    if not isinstance(answer, str):
        return None
    for line in answer.splitlines():
        mentions = list(_mentions(line, known))
        if any(mention.sure for mention in mentions):
            named = set().union(*(mention.labels for mention in mentions))
            return named.pop() if len(named) == 1 else None
    return None


@dataclass(frozen=True)
class _Mention:
    """A label that stands by itself in an answer, or several that are joined, like ``1,0``.

    Args:
        labels: the labels.
        sure: whether they answer. What follows a minus or a point may be part of something else: it counts only
            against another label.
    """

    labels: frozenset[str | None]
    sure: bool


def _mentions(line: str, known: Mapping[str, str]) -> Iterator[_Mention]:
    """Find the labels in a line that are not part of something else.

    Args:
        line: of an answer.
        known: the labels by their text in folded case.
    """
    # Longer labels first, so that "not sure" is not read as "not".
    names = "|".join(re.escape(label) for label in sorted(known.values(), key=len, reverse=True))
    one = rf"({names})(?:\.0+)?(?!{LETTER})"
    joined = re.compile(rf"(?<!{LETTER}){one}(?:{JOINT}{one})*", re.IGNORECASE)
    each = re.compile(rf"(?:^|{JOINT}){one}", re.IGNORECASE)
    for match in joined.finditer(line):
        before, after = line[max(0, match.start() - 2) : match.start()], line[match.end() : match.end() + 2]
        if not BEGUN.fullmatch(before) and not CONTINUED.fullmatch(after):
            labels = frozenset(known.get(name.casefold()) for name in each.findall(match[0]))
            yield _Mention(labels, sure=not before.endswith(DOUBTFUL))


def _by_folded_case(labels: Sequence[str]) -> dict[str, str]:
    """Check labels, and find each by its text in folded case.

    Raises:
        ValueError: as in ``parse_label``.
    """
    if not labels:
        raise ValueError("There are no labels to look for.")
    known: dict[str, str] = {}
    for label in labels:
        if not isinstance(label, str):
            raise ValueError(f"Labels must be text, but {label!r} is of type {type(label).__name__}.")
        if not label.strip() or len(label.splitlines()) > 1:
            raise ValueError(f"No answer can name the label {label!r}: it must be one line that is not empty.")
        other = known.setdefault(label.casefold(), label)
        if other != label:
            raise ValueError(f"The labels {other!r} and {label!r} differ only in upper and lower case.")
    return known


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
        return "\n".join(f"{name}: {value}" for name, value in _score_rows(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html_table(("", say("value")), _score_rows(self))


def evaluate(truth: Sequence[object], answers: Sequence[object], labels: Sequence[str] = LABELS) -> Scores:
    """Score a model's answers.

    Args:
        truth: the right label of each row, as text or as a number.
        answers: the generated text of each row.
        labels: the labels; the last is the positive one, for precision, recall and F1.

    Raises:
        ValueError: if there are no rows, if the numbers of rows differ, or if a true label is not among ``labels``.
    """
    (parsed,) = _parse(truth, tuple(labels), answers)
    return _score(parsed, tuple(labels))


@dataclass(frozen=True)
class _Parsed:
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


def _parse(truth: Sequence[object], labels: tuple[str, ...], *models: Sequence[object]) -> list[_Parsed]:
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
    return [_Parsed(tuple(right), tuple(parse_label(answer, labels) for answer in answers)) for answers in models]


def _score(parsed: _Parsed, labels: tuple[str, ...]) -> Scores:
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
        f1_interval=_bootstrap_f1(right == labels[-1], given == labels[-1]),
        macro_f1=float(np.mean(f1)),
        unusable=parsed.given.count(None),
        confusion=tuple(map(tuple, confusion[:-1].tolist())),
    )


def _bootstrap_f1(true: Any, answered: Any) -> tuple[float, float]:
    """Give the 95 % percentile interval of F1 over resampled rows, the same each time for the same answers.

    ``scipy.stats.bootstrap`` draws the same rows, but refuses a single row and reads the percentiles off a level that
    is rounded otherwise, so that its intervals differ from these in the last digits.

    Args:
        true: ``[N]``, whether each row is positive.
        answered: ``[N]``, whether each row was answered with the positive label.
    """
    import numpy as np

    rows = np.random.default_rng(0).integers(0, len(true), size=(RESAMPLES, len(true)))
    return percentile_interval(f1_of(true[rows], answered[rows]))


def f1_of(true: Any, answered: Any) -> Any:
    """Give the F1 of each sample, 0 where no row is positive and none was answered so.

    Args:
        true: ``[..., N]``, whether each row is positive.
        answered: ``[..., N]``, whether each row was answered with the positive label.

    Returns:
        ``[...]``.
    """
    import numpy as np

    hits = (true & answered).sum(axis=-1)
    mentions = true.sum(axis=-1) + answered.sum(axis=-1)
    return np.divide(2 * hits, mentions, out=np.zeros(hits.shape), where=mentions > 0)


def percentile_interval(scores: Any) -> tuple[float, float]:
    """Give the interval that holds the middle 95 % of the scores of resampled rows."""
    import numpy as np

    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


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
        return _html_table(("", say("tuned model"), say("base model")), rows) + f"<p>{escape(self.verdict)}</p>"

    def _pairs(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        return list(zip(_score_rows(self.tuned), _score_rows(self.base), strict=True))


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

    tuned, base = _parse(truth, tuple(labels), tuned_answers, base_answers)
    outcomes = list(zip(tuned.correct, base.correct, strict=True))
    both, only_tuned = outcomes.count((True, True)), outcomes.count((True, False))
    only_base, neither = outcomes.count((False, True)), outcomes.count((False, False))
    # Only rows on which the two differ tell which is better; without any, nothing speaks against equality.
    p_value = (
        float(mcnemar([[both, only_tuned], [only_base, neither]], exact=True).pvalue) if only_tuned + only_base else 1.0
    )
    of_tuned, of_base = (_score(parsed, tuple(labels)) for parsed in (tuned, base))
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

    tuned, base = _parse(rows["output"].tolist(), tuple(labels), tuned_answers, base_answers)
    table = pd.DataFrame(
        {
            "phenomenon": rows["phenomenon"].tolist(),
            say("rows"): 1,
            say("tuned right"): list(map(int, tuned.correct)),
            say("base right"): list(map(int, base.correct)),
        }
    )
    return table.groupby("phenomenon").sum()


def _score_rows(scores: Scores) -> list[tuple[str, str]]:
    """Name and write out the scores that are shown."""
    return [
        (say("Accuracy (95 % interval)"), with_interval(scores.accuracy, scores.accuracy_interval)),
        (say("F1 (95 % interval)"), with_interval(scores.f1, scores.f1_interval)),
        (say("Precision"), f"{scores.precision:.3f}"),
        (say("Recall"), f"{scores.recall:.3f}"),
        (say("Macro F1"), f"{scores.macro_f1:.3f}"),
        (say("Unusable answers"), f"{scores.unusable} / {scores.n}"),
    ]


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Write a score with its interval."""
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})"  # noqa: RUF001 an en dash, as between numbers


def _p(value: float) -> str:
    """Write a p-value."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a small table."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
