"""How sure a model is: the probabilities that it gives to labels, through the SDK."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .evaluation import LABELS

if TYPE_CHECKING:
    import pandas as pd
    from ibm_watsonx_ai.foundation_models import ModelInference

MOST_TOKENS = 5  # the most that the service gives for one place
BLANKS = " \u0120\u2581"  # how vocabularies write the blank before a word


def label_probabilities(
    model: "ModelInference", prompts: Sequence[str], labels: Sequence[str] = LABELS
) -> "pd.DataFrame":
    """Ask a model how likely each label is as an answer to each prompt.

    One token is generated for each prompt, and the five most likely tokens at its place, which is as many as the
    service tells, are compared with the beginning of each label. A label's probability is that of the tokens that it
    begins with, with a blank before it or without. So the first tokens of the labels must differ, as those of ``0`` and
    ``1`` do, and a long label counts as answered when an answer begins like it. The probabilities of a row add up to
    less than 1: the rest is that of all other answers.

    Args:
        model: of the SDK: a base model or a deployment.
        prompts: the texts to label, as they would be given to ``model.generate``.
        labels: the labels, in ASCII.

    Returns:
        A row for each prompt in their order, a column for each label: probabilities, or NaN for a label that is not
        among the five most likely tokens.

    Raises:
        ValueError: if there are no prompts or no labels, if a label is empty, not ASCII or given twice, or if the most
            likely token begins several labels.
    """
    import pandas as pd

    _check(prompts, labels)
    options = {"generated_tokens": True, "token_logprobs": True, "top_n_tokens": MOST_TOKENS}
    parameters = {"decoding_method": "greedy", "max_new_tokens": 1, "return_options": options}
    answers: Any = model.generate(prompt=list(prompts), params=parameters)
    rows = [_read(answer["results"][0]["generated_tokens"][0]["top_tokens"], labels) for answer in answers]
    return pd.DataFrame(rows, columns=list(labels))


def _check(prompts: Sequence[str], labels: Sequence[str]) -> None:
    if isinstance(prompts, str) or not len(prompts):
        raise ValueError("prompts must be a list with at least one text.")
    if isinstance(labels, str) or not len(labels) or len(set(labels)) < len(labels):
        raise ValueError("labels must be a list with at least one text, and none of them twice.")
    for label in labels:
        # Other characters are written in the vocabulary's own way, which the service does not tell.
        if not label.strip() or not label.isascii():
            raise ValueError(f"The label {label!r} must be text in ASCII that is not empty.")


def _read(tokens: Iterable[dict[str, Any]], labels: Sequence[str]) -> dict[str, float]:
    """Add up the probabilities of the tokens that each label begins with; a token that begins several counts for none.

    Args:
        tokens: the most likely ones, the most likely first, each with its text and log-probability.
        labels: the labels.
    """
    probabilities: dict[str, float] = {}
    for place, token in enumerate(sorted(tokens, key=lambda token: -token["logprob"])):
        text = token["text"].lstrip(BLANKS)
        begun = [label for label in labels if text and label.strip().startswith(text)]
        if len(begun) > 1 and place == 0:
            raise ValueError(
                f"The labels {' and '.join(map(repr, begun))} begin with the same token, {text!r}: choose labels that "
                "begin differently."
            )
        if len(begun) == 1:
            probabilities[begun[0]] = probabilities.get(begun[0], 0.0) + math.exp(token["logprob"])
    return probabilities
