"""What is seen inside a soft prompt."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from comparison import opened as opening
from comparison.methods import PromptTuning, Recipe, WrittenPrompt
from comparison.networks import BaseModel
from comparison.plan import FULL, lesson_settings
from comparison.training import Answer, SoftPromptClassifier, prepare, train
from prompt_tuning_helpers.engine.rows import read_rows
from prompt_tuning_helpers.lesson import reviews_path

TRAIN = read_rows(reviews_path("train"))


def test_an_untouched_soft_prompt_is_the_text_it_starts_from() -> None:
    method = FULL.method("prompt-20")
    assert isinstance(method, PromptTuning)
    classifier = prepare(method, Recipe(0.01, 1), TRAIN[:20], BaseModel("tiny"), 0)
    asked = TRAIN[20:26]
    opened = opening.open_up(classifier, [row.input for row in asked], [row.output for row in asked])
    written = lesson_settings()["init_text"][:20]  # a token a letter
    assert "".join(token["before"][0]["token"] for token in opened["tokens"]) == written
    assert "".join(token["after"][0]["token"] for token in opened["tokens"]) == written
    for token in opened["tokens"]:
        assert token["after"][0]["cosine"] == pytest.approx(1, abs=1e-5)
        assert token["after"][1]["cosine"] < 1 - 1e-5
        assert token["moved"] == 0
    assert opened["accuracy"] == opened["accuracy_before"] == opened["accuracy_as_words"]


class MadeUp(SoftPromptClassifier):
    """Two virtual tokens in a vocabulary of three; it answers rightly only with both of them gone or exchanged."""

    initial = torch.tensor([[2.0, 0, 0], [0, 2, 0]])
    soft_prompt = torch.tensor([[2.0, 0, 0], [0, 0, 6]])
    embedding = 2 * torch.eye(3)

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def answer_with(self, soft_prompt: Tensor, prompts: Sequence[str], new_tokens: int = 1) -> list[Answer]:
        self.asked.append(soft_prompt)
        return [Answer(margin, None) for margin in ([1.0] * len(prompts) if len(soft_prompt) == 2 else [1.0, -1.0])]

    def name_token(self, token: int) -> str:
        return "abc"[token]


def test_words_distances_and_what_each_token_is_worth() -> None:
    classifier = MadeUp()
    opened = opening.open_up(classifier, ["first", "second"], ["1", "0"])
    first, second = opened["tokens"]
    assert [word["token"] for word in (*first["before"], first["after"][0])] == ["a", "a"]
    assert [word["token"] for word in (*second["before"], second["after"][0])] == ["b", "c"]
    assert second["after"][0]["cosine"] == pytest.approx(1)
    assert (first["moved"], second["moved"]) == pytest.approx((0, 40**0.5 / 2))
    assert (opened["accuracy"], opened["accuracy_before"], opened["accuracy_as_words"]) == (0.5, 0.5, 0.5)
    assert (first["accuracy_without"], second["accuracy_without"]) == (1, 1)
    dropped = [prompt.tolist() for prompt in classifier.asked if len(prompt) == 1]
    assert dropped == [[[0, 0, 6]], [[2, 0, 0]]]  # each without the other
    assert any(torch.equal(prompt, classifier.embedding[[0, 2]]) for prompt in classifier.asked)


def test_only_a_soft_prompt_can_be_opened() -> None:
    written = train(FULL.method("zero-shot"), WrittenPrompt("chat"), TRAIN[:8], BaseModel("tiny"), 0)
    with pytest.raises(ValueError, match="prompt tuning"):
        opening.open_up(written, [], [])
