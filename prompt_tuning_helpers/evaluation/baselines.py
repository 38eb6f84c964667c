"""Baselines: what can be had without a language model, to hold a tuned one against."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from .labels import labels_of, true_label
from .scores import Scores
from .tasks import evaluate
from .texts import normalised

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = "pd.DataFrame | Iterable[Mapping[str, Any]]"

REGULARISATIONS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # scikit-learn's C: the larger, the weaker the regularisation
FOLDS = 5


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
    labels, train, test = _read(train_rows, test_rows)
    right = [str(true_label(output, labels)) for _, output in train]
    if len(set(right)) == 1:  # there is nothing to tell apart
        return majority_baseline(train_rows, test_rows)
    classifier = _classifier(min(map(right.count, set(right))))
    classifier.fit([text for text, _ in train], right)
    return evaluate([output for _, output in test], classifier.predict([text for text, _ in test]).tolist(), labels)


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
    labels, train, test = _read(train_rows, test_rows)
    right = [true_label(output, labels) for _, output in train]
    most = max(reversed(labels), key=right.count)
    return evaluate([output for _, output in test], [most] * len(test), labels)


def _read(train_rows: Rows, test_rows: Rows) -> tuple[tuple[str, ...], list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Give the labels of all rows, and inputs and outputs of the training and of the test rows."""
    train, test = _pairs(train_rows), _pairs(test_rows)
    if not train:
        raise ValueError("There is nothing to learn from: no training rows.")
    return labels_of(output for _, output in [*train, *test]), train, test


def _pairs(rows: Rows) -> list[tuple[str, Any]]:
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
