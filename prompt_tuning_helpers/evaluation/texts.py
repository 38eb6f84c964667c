"""Scores of texts: exact match and token F1, as for the answers of SQuAD, with their intervals.

Rajpurkar et al. (2016), *SQuAD: 100,000+ Questions for Machine Comprehension of Text*, section 6.1: before two texts
are compared, upper case, punctuation, the articles a, an, the, and superfluous blanks are taken away. F1 is the
harmonic mean of precision and recall of the words of the answer, each counted as often as it occurs.

What differs from the dataset's own script: a row has one right answer, not several; punctuation of all scripts is taken
away, not of English alone; and in scripts without blanks between words, such as Chinese, Japanese or Thai, each
character is a word, as in MLQA (Lewis et al., 2020), whose evaluation does so for Chinese. The articles of other
languages stay, and a Spanish ``a`` goes.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..i18n import say
from .intervals import bootstrap, wilson, with_interval
from .measures import Measure, check_rows
from .tables import html_table
from .writing_systems import WITHOUT_BLANKS

ARTICLES = frozenset({"a", "an", "the"})
ALONE = re.compile(f"([{WITHOUT_BLANKS}])")  # a character that is a word


@dataclass(frozen=True)
class TextScores:
    """How good the texts are that a model has written.

    Args:
        n: number of rows.
        exact_match: share of answers that are the right text, normalised as in SQuAD.
        exact_match_interval: its 95 % Wilson interval.
        token_f1: mean over the rows of the F1 of the answer's words.
        token_f1_interval: its 95 % bootstrap interval over resampled rows.
        empty: number of answers without a word.
    """

    n: int
    exact_match: float
    exact_match_interval: tuple[float, float]
    token_f1: float
    token_f1_interval: tuple[float, float]
    empty: int

    @property
    def measures(self) -> tuple[Measure, Measure]:
        """Exact match and token F1, as plots and tables show them."""
        return (
            Measure(
                say("Exact match"),
                say("Exact match (95 % interval)"),
                self.exact_match,
                self.exact_match_interval,
            ),
            Measure(say("Token F1"), say("Token F1 (95 % interval)"), self.token_f1, self.token_f1_interval),
        )

    @property
    def values(self) -> dict[str, float]:
        """The measures as a file keeps them, by their names in English."""
        return {"exact_match": self.exact_match, "token_f1": self.token_f1}

    def table(self) -> list[tuple[str, str]]:
        """Name and write out the scores that are shown."""
        intervals = [(each.heading, with_interval(each.value, each.interval)) for each in self.measures]
        return [*intervals, (say("Empty answers"), f"{self.empty} / {self.n}")]

    def __str__(self) -> str:
        """Write the scores, one a line."""
        return "\n".join(f"{name}: {value}" for name, value in self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(("", say("value")), self.table())


@dataclass(frozen=True)
class TextRows:
    """How good each of one model's answers is.

    Args:
        correct: whether each is an exact match.
        f1: token F1 of each.
        empty: number of answers without a word.
    """

    correct: tuple[bool, ...]
    f1: tuple[float, ...]
    empty: int

    def score(self) -> TextScores:
        """Work out the scores."""
        import numpy as np

        n, f1 = len(self.f1), np.array(self.f1)
        return TextScores(
            n=n,
            exact_match=sum(self.correct) / n,
            exact_match_interval=wilson(sum(self.correct), n),
            token_f1=float(f1.mean()),
            token_f1_interval=bootstrap(lambda rows: f1[rows].mean(axis=-1), n),
            empty=self.empty,
        )


def read_texts(truth: Sequence[object], models: Sequence[Sequence[object]]) -> list[TextRows]:
    """Compare the answers of each model with the right texts.

    Args:
        truth: the right text of each row.
        models: the answers of each model; what is not text counts as empty.

    Raises:
        ValueError: if the rows do not fit together, or if one has no text.
    """
    check_rows(truth, models, "texts")
    for row, value in enumerate(truth):
        if not isinstance(value, str | int | float) or value != value:
            raise ValueError(f"Row {row} has no text: {value!r}.")
    right = [normalised(value) for value in truth]
    return [_compared(right, [normalised(answer) for answer in answers]) for answers in models]


def _compared(right: Sequence[Sequence[str]], given: Sequence[Sequence[str]]) -> TextRows:
    pairs = list(zip(right, given, strict=True))
    return TextRows(
        correct=tuple(words == others for words, others in pairs),
        f1=tuple(_token_f1(words, others) for words, others in pairs),
        empty=sum(not words for words in given),
    )


def normalised(text: object) -> list[str]:
    """Split a text into its words, without what SQuAD takes away.

    Args:
        text: what is neither text nor a number has no words.
    """
    if not isinstance(text, str | int | float):
        return []
    folded = unicodedata.normalize("NFC", str(text).lower())
    bare = "".join(character for character in folded if not _is_punctuation(character))
    return [word for word in ALONE.sub(r" \1 ", bare).split() if word not in ARTICLES]


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def token_f1(truth: object, answer: object) -> float:
    """Give the F1 of an answer's words.

    Args:
        truth: the right text.
        answer: what was written.

    Returns:
        From 0 to 1; 1 if both have no word, and 0 if only one of them has none, as in SQuAD 2.0.
    """
    return _token_f1(normalised(truth), normalised(answer))


def _token_f1(right: Sequence[str], given: Sequence[str]) -> float:
    if not right or not given:
        return float(right == given)
    common = (Counter(right) & Counter(given)).total()
    return 2 * common / (len(right) + len(given))
