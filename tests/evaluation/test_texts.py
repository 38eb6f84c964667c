"""Scores of texts: exact match and token F1, as in SQuAD."""

import re
import string
from collections import Counter
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers.evaluation import TextScores, evaluate, token_f1


def squad_words(text: str) -> list[str]:
    """What the script of SQuAD 2.0 makes of a text in English."""
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def squad_f1(truth: str, answer: str) -> float:
    right, given_ = squad_words(truth), squad_words(answer)
    common = sum((Counter(right) & Counter(given_)).values())
    if not right or not given_:
        return float(right == given_)
    if common == 0:
        return 0.0
    precision, recall = common / len(given_), common / len(right)
    return 2 * precision * recall / (precision + recall)


ENGLISH = st.lists(st.sampled_from(["The", "a", "an", "pug", "Pug,", "bath", "-", "another", "th.e", "$5"])).map(
    " ".join
)


@given(ENGLISH, ENGLISH)
def test_english_is_scored_as_by_squad(truth: str, answer: str) -> None:
    assert token_f1(truth, answer) == pytest.approx(squad_f1(truth, answer))


@pytest.mark.parametrize(
    ("truth", "answer", "f1"),
    [
        ("breed: pug; service: bath", "The breed is PUG, service: bath!", 8 / 9),
        ("pug pug bath", "pug bath bath", 2 / 3),
        ("el perro «grande»", "¿El perro grande?", 1.0),
        ("他喜欢狗", "他喜欢猫", 3 / 4),
        ("他喜欢狗。", "他 喜欢\uff0c狗", 1.0),
        ("洗澡 SPA", "SPA", 1 / 2),
        ("ไม่ดี", "ไม่ดี", 1.0),
        ("café", "cafe\u0301", 1.0),
        ("dog", "", 0.0),
        ("dog", None, 0.0),
        ("!", "", 1.0),
        ("12", 12, 1.0),
    ],
)
def test_token_f1(truth: str, answer: object, f1: float) -> None:
    assert token_f1(truth, answer) == pytest.approx(f1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=20))
def test_scores_of_any_texts_stay_within_bounds(rows: list[tuple[str, str]]) -> None:
    truth, answers = [right for right, _ in rows], [answer for _, answer in rows]
    scores = evaluate(truth, answers, task_id="generation")
    low, high = scores.token_f1_interval
    assert 0 <= low <= high <= 1
    assert 0 <= scores.exact_match <= scores.token_f1 + 1e-9 <= 1 + 2e-9
    assert evaluate(truth, truth, task_id="generation").exact_match == 1.0


def test_scores_of_a_small_example() -> None:
    scores = evaluate(["The pug.", "bath", "nail trim"], ["pug", "a nail bath", ""], task_id="extraction")
    assert scores.exact_match == pytest.approx(1 / 3)
    assert scores.token_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert scores.empty == 1
    assert "Exact match (95 % interval): 0.333 (0.061–0.792)" in str(scores)  # noqa: RUF001
    assert "Empty answers" in scores._repr_html_()


class Tasks(Enum):
    """As the SDK has them."""

    CLASSIFICATION = "classification"
    SUMMARIZATION = "summarization"
    CODE = "code"


def test_the_task_decides() -> None:
    task: Any = Tasks.SUMMARIZATION
    assert isinstance(evaluate(["1"], ["1"], task_id=task), TextScores)
    task = Tasks.CLASSIFICATION
    assert not isinstance(evaluate(["1"], ["1"], task_id=task), TextScores)
    task = Tasks.CODE
    with pytest.raises(ValueError, match=r"no scores for the task 'code'; choose one of: classification, extraction"):
        evaluate(["1"], ["1"], task_id=task)


@pytest.mark.parametrize(
    ("truth", "answers", "labels", "said"),
    [
        (["x"], [], None, "1 true texts but 0"),
        ([], [], None, "no rows"),
        (["x", None], ["x", "x"], None, "Row 1 has no text: None"),
        (["x"], ["x"], ["x"], "leave out labels"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    truth: list[object], answers: list[object], labels: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate(truth, answers, labels, task_id="extraction")
