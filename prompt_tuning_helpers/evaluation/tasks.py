"""Which scores suit a task: accuracy and F1 where outputs are labels, exact match and token F1 where they are texts."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args, overload

from .scores import LabelledRows, Scores, read_labels
from .texts import TextRows, TextScores, read_texts

LabelTask: TypeAlias = Literal["classification"]
TextTask: TypeAlias = Literal[
    "extraction", "summarization", "generation", "question_answering", "retrieval_augmented_generation"
]
TEXT_TASKS: tuple[str, ...] = get_args(TextTask)


@overload
def evaluate(
    truth: Sequence[object],
    answers: Sequence[object],
    labels: Sequence[str] | None = None,
    *,
    task_id: LabelTask = "classification",
) -> Scores: ...


@overload
def evaluate(
    truth: Sequence[object], answers: Sequence[object], labels: None = None, *, task_id: TextTask
) -> TextScores: ...


@overload
def evaluate(
    truth: Sequence[object], answers: Sequence[object], labels: Sequence[str] | None = None, *, task_id: object
) -> Scores | TextScores: ...


def evaluate(
    truth: Sequence[object],
    answers: Sequence[object],
    labels: Sequence[str] | None = None,
    *,
    task_id: object = "classification",
) -> Scores | TextScores:
    """Score a model's answers.

    Args:
        truth: the right output of each row, as text or as a number.
        answers: the generated text of each row.
        labels: of a classification, the labels; of two, the last is the positive one, for precision, recall and F1.
            When omitted, those of ``truth``; then an answer with any other is unusable.
        task_id: what the model was tuned for, as ``experiment.Tasks.SUMMARIZATION`` and the like name it: a
            classification has labels, and the outputs of the other tasks are texts.

    Returns:
        Accuracy and F1 of labels, or exact match and token F1 of texts, of which the whole answer counts.

    Raises:
        ValueError: if there are no rows, if the numbers of rows differ, if a row has no output or a label that is not
            among ``labels``, if a text task is given labels, or if no scores are known for the task.
    """
    (rows,) = read_rows(truth, labels, task_id, answers)
    return rows.score()


def read_rows(
    truth: Sequence[object], labels: Sequence[str] | None, task_id: object, *models: Sequence[object]
) -> Sequence[LabelledRows] | Sequence[TextRows]:
    """Read the answers of each model beside the right ones, as suits the task.

    Args:
        truth: the right output of each row.
        labels: as for :func:`evaluate`.
        task_id: as for :func:`evaluate`.
        models: the answers of each model.

    Raises:
        ValueError: as :func:`evaluate`.
    """
    return read_texts(truth, models) if has_texts(task_id, labels) else read_labels(truth, labels, models)


def has_texts(task_id: object, labels: Sequence[str] | None) -> bool:
    """Tell whether the outputs of a task are texts; if not, they are labels.

    Args:
        task_id: as for :func:`evaluate`.
        labels: as for :func:`evaluate`.

    Raises:
        ValueError: if a text task is given labels, or if no scores are known for the task.
    """
    task = getattr(task_id, "value", task_id)  # the SDK's own are members of an enumeration
    if task == "classification":
        return False
    if task not in TEXT_TASKS:
        known = ", ".join(["classification", *TEXT_TASKS])
        raise ValueError(f"There are no scores for the task {task!r}; choose one of: {known}.")
    if labels is not None:
        raise ValueError(f"The outputs of the task {task!r} are texts: leave out labels.")
    return True
