"""Baselines: what can be had without a language model, to hold a tuned one against."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..i18n import say
from .labels import labels_of, true_label
from .scores import Scores
from .tasks import evaluate
from .texts import normalised

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = "pd.DataFrame | Iterable[Mapping[str, Any]]"
Pair: TypeAlias = tuple[str, Any]  # input and output
Answering: TypeAlias = Callable[[Sequence[str]], list[str]]

REGULARISATIONS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # scikit-learn's C: the larger, the weaker the regularisation
FOLDS = 5


def baselines(train_rows: Rows) -> dict[str, Answering]:
    """Give what answers without a language model, to be asked about any rows as a model is.

    Args:
        train_rows: training rows with ``input`` and ``output``, as ``datasets.load_rows`` gives them or as a list.

    Returns:
        The baselines by their names in the language of the notebook: always the most frequent label, and counting
        words. Each takes inputs and gives a label for each. What they learn from the training rows is the same as in
        :func:`majority_baseline` and :func:`word_counts_baseline`.

    Raises:
        ValueError: if there are no training rows, or if a row has no label.
        KeyError: if ``input`` or ``output`` is missing.
    """
    train = _training_pairs(train_rows)
    labels = labels_of(output for _, output in train)
    return {say("most frequent label"): _majority(train, labels), say("counting words"): _word_counts(train, labels)}


def word_counts_baseline(train_rows: Rows, test_rows: Rows) -> Scores:
    """Score counting words: logistic regression on TF-IDF of words and pairs of words, for any number of labels.

    It knows no language and learns from the training rows alone, in seconds. A model that is not better than this
    has learnt no more than which words come with which label. Words are those of token F1 (see ``texts``): without
    punctuation and articles, and each character in scripts without blanks between words. The regularisation is chosen
    among five strengths by cross-validation on the training rows, by accuracy; with only one row of some label, which
    cannot be in two parts, scikit-learn's default is taken.

    Args:
        train_rows: training rows with ``input`` and ``output``, as ``datasets.load_rows`` gives them or as a list.
        test_rows: test rows, likewise.

    Returns:
        The scores on the test rows, as :func:`evaluate` gives them for the labels of all rows.

    Raises:
        ValueError: if there are no training rows or no test rows, or if a row has no label.
        KeyError: if ``input`` or ``output`` is missing.
    """
    return _scored(_word_counts, train_rows, test_rows)


def majority_baseline(train_rows: Rows, test_rows: Rows) -> Scores:
    """Score always answering the label that most training rows have; of several, the last.

    Of two labels with as many rows, that is the positive one.

    Args:
        train_rows: training rows with ``input`` and ``output``, as ``datasets.load_rows`` gives them or as a list.
        test_rows: test rows, likewise.

    Returns:
        The scores on the test rows, as :func:`evaluate` gives them for the labels of all rows.

    Raises:
        ValueError: if there are no training rows or no test rows, or if a row has no label.
        KeyError: if ``input`` or ``output`` is missing.
    """
    return _scored(_majority, train_rows, test_rows)


def _scored(learn: Callable[[list[Pair], tuple[str, ...]], Answering], train_rows: Rows, test_rows: Rows) -> Scores:
    """Have a baseline learn from training rows, and score it on test rows, for the labels of all of them."""
    train, test = _training_pairs(train_rows), _pairs(test_rows)
    labels = labels_of(output for _, output in [*train, *test])
    answers = learn(train, labels)([text for text, _ in test])
    return evaluate([output for _, output in test], answers, labels)


def _majority(train: list[Pair], labels: tuple[str, ...]) -> Answering:
    right = [true_label(output, labels) for _, output in train]
    most = max(reversed(labels), key=right.count)
    return lambda texts: [most] * len(texts)


def _word_counts(train: list[Pair], labels: tuple[str, ...]) -> Answering:
    right = [str(true_label(output, labels)) for _, output in train]
    if len(set(right)) == 1:  # there is nothing to tell apart
        return _majority(train, labels)
    classifier = _classifier(min(map(right.count, set(right))))
    classifier.fit([text for text, _ in train], right)

    def answer(texts: Sequence[str]) -> list[str]:
        answers: list[str] = classifier.predict(list(texts)).tolist() if len(texts) else []
        return answers

    return answer


def _training_pairs(rows: Rows) -> list[Pair]:
    pairs = _pairs(rows)
    if not pairs:
        raise ValueError("There is nothing to learn from: no training rows.")
    return pairs


def _pairs(rows: Rows) -> list[Pair]:
    if isinstance(rows, Iterable) and not hasattr(rows, "to_dict"):
        return [(str(row["input"]), row["output"]) for row in rows]
    return list(zip(map(str, rows["input"]), rows["output"], strict=True))


def _classifier(fewest: int) -> Any:
    """Make the classifier.

    Args:
        fewest: rows of the label that has the fewest.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(
        TfidfVectorizer(tokenizer=normalised, token_pattern=None, lowercase=False, ngram_range=(1, 2)),
        LogisticRegression(max_iter=1000),
    )
    if fewest < 2:
        return pipeline
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=0)
    return GridSearchCV(pipeline, {"logisticregression__C": REGULARISATIONS}, cv=folds)
