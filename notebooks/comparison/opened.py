"""Opens a soft prompt: which words its virtual tokens are nearest to, how far they moved, and what each is worth."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from prompt_tuning_helpers.evaluation import LABELS

from .training import Classifier, SoftPromptClassifier

NEAREST = 3


def open_up(classifier: Classifier, prompts: Sequence[str], truth: Sequence[str]) -> dict[str, Any]:
    """Look into the soft prompt of a classifier.

    Nearness is the cosine of the angle between two embeddings. Distances are divided by the mean length of the
    vocabulary's embeddings, so that 1 is as far as a typical token is from zero.

    Args:
        classifier: one that was taught by prompt tuning.
        prompts: of the test file.
        truth: their outputs.

    Returns:
        Accuracy as tuned, before tuning, and with every virtual token replaced by its nearest token of the vocabulary;
        and for each virtual token the words nearest to it before and after, how far it moved, and the accuracy
        without it.
    """
    if not isinstance(classifier, SoftPromptClassifier):
        raise ValueError("Only prompt tuning leaves a soft prompt to look into.")

    def accuracy(prompt: Tensor) -> float:
        answers = [LABELS[answer.margin > 0] for answer in classifier.answer_with(prompt, prompts)]
        return sum(a == b for a, b in zip(answers, truth, strict=True)) / len(truth)

    initial, tuned, embedding = classifier.initial, classifier.soft_prompt, classifier.embedding
    unit = embedding.norm(dim=1).mean()
    before, after = (_nearest(prompt, embedding) for prompt in (initial, tuned))
    moved = ((tuned - initial).norm(dim=1) / unit).tolist()

    def words(found: tuple[Tensor, Tensor], index: int) -> list[dict[str, Any]]:
        ids, cosines = found[0][index].tolist(), found[1][index].tolist()
        return [
            {"token": classifier.name_token(token), "cosine": cosine}
            for token, cosine in zip(ids, cosines, strict=True)
        ]

    tokens = []
    for index in range(len(tuned)):
        without = torch.cat([tuned[:index], tuned[index + 1 :]])
        tokens.append(
            {
                "before": words(before, index)[:1],
                "after": words(after, index),
                "moved": moved[index],
                "accuracy_without": accuracy(without),
            }
        )
    return {
        "accuracy": accuracy(tuned),
        "accuracy_before": accuracy(initial),
        "accuracy_as_words": accuracy(embedding[after[0][:, 0]]),
        "tokens": tokens,
    }


def _nearest(prompt: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Give token ids and cosines of each virtual token's nearest embeddings, ``[P, NEAREST]``, nearest first."""
    cosines = torch.nn.functional.normalize(prompt, dim=1) @ torch.nn.functional.normalize(embedding, dim=1).T
    found = cosines.topk(NEAREST, dim=1)
    return found.indices, found.values
