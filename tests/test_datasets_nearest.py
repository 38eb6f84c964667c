"""Nearly equal texts are found as a comparison of all with all would find them."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers.datasets import nearest, similar_pairs
from prompt_tuning_helpers.datasets.nearest import nearest_pairs
from prompt_tuning_helpers.datasets.similarity import NEARLY_SAME

WORDS = ["dog", "dogs", "wet", "clean", "happy", "the", "groomer", "a", "ab", "é", "👍"]
SOME = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=1, max_size=40)

Pairs = list[tuple[int, int, float]]


def compared_with_all(left: list[str], right: list[str] | None, limit: float) -> Pairs:
    """What the docstring promises, by the similarity of every pair."""
    within = {text: dict[int, float]() for text in range(len(right or left))}
    for text, other, similarity in similar_pairs(right or left, limit=limit):
        within[text][other] = similarity
    between = within
    if right:
        between = {text: {} for text in range(len(left))}
        for text, other, similarity in similar_pairs(left, right, limit=limit):
            between[text][other] = similarity
    repeats = {text for text, near in within.items() if near}
    found = []
    for text, near in between.items():
        candidates = {other: near[other] for other in near if other not in repeats} or near
        if candidates:
            other = min(candidates, key=lambda other: (-candidates[other], other))
            found.append((text, other, candidates[other]))
    return found


@pytest.mark.parametrize("block", [1, 5, 1024])
@settings(deadline=None, max_examples=15)
@given(left=SOME, right=st.none() | SOME, limit=st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_any_texts_get_the_pairs_of_a_comparison_of_all(
    block: int, left: list[str], right: list[str] | None, limit: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BLOCK", block)
        patch.setattr(nearest, "COMPARED", 7)
        assert list(nearest_pairs(left, right, limit)) == compared_with_all(left, right, limit)


def test_long_texts_with_changed_words_get_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", 32)
    chance = random.Random(1)
    letters = [chr(97 + number) for number in range(26)]
    vocabulary = ["".join(chance.choices(letters, k=6)) for _ in range(300)]
    texts = [" ".join(chance.choices(vocabulary, k=20)) for _ in range(40)]
    for _ in range(160):
        words = chance.choice(texts).split()
        for _ in range(chance.randint(1, 4)):
            words[chance.randrange(len(words))] = chance.choice(vocabulary)
        texts.append(" ".join(words))
    found = list(nearest_pairs(texts))
    assert len(found) > 50
    assert found == compared_with_all(texts, None, NEARLY_SAME)
    between = compared_with_all(texts[100:], texts[:100], NEARLY_SAME)
    assert list(nearest_pairs(texts[100:], texts[:100])) == between


def test_each_of_many_that_are_alike_is_likened_to_the_first_of_them() -> None:
    alike = [f"The dog came home clean and happy, visit {number}." for number in range(3000)]
    assert [(text, other) for text, other, _ in nearest_pairs(alike)] == [(text, 0) for text in range(1, 3000)]
    again = nearest_pairs(alike, [*alike[:1500], "Something else altogether"])
    assert [(text, other) for text, other, _ in again] == [(text, 0) for text in range(3000)]


def test_no_texts_have_no_pairs() -> None:
    assert list(nearest_pairs([])) == []
    assert list(nearest_pairs(["a"], [])) == []
