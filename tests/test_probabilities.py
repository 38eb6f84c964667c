"""The probabilities of labels are those of the tokens that they begin with, each counted once."""

import math
from typing import Any, cast

import pytest

from prompt_tuning_helpers import label_probabilities


class Model:
    """Gives the same likely tokens for every prompt."""

    def __init__(self, **probable: float) -> None:
        self.top = [{"text": name, "logprob": math.log(probability)} for name, probability in probable.items()]

    def generate(self, prompt: list[str], params: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"results": [{"generated_tokens": [{"top_tokens": self.top}]}]} for _ in prompt]


def ask(model: Model, labels: list[str], prompts: list[str] | None = None) -> list[dict[Any, Any]]:
    table = label_probabilities(cast(Any, model), prompts or ["a"], labels)
    return [{label: row[label] for label in labels} for row in table.to_dict("records")]


def test_variants_of_a_label_count_together() -> None:
    model = Model(**{"1": 0.5, "\u01200": 0.2, "\u25811": 0.1, "dog": 0.05, "<|im_end|>": 0.01})
    assert ask(model, ["0", "1"], ["a", "b"]) == [pytest.approx({"0": 0.2, "1": 0.6})] * 2


def test_a_label_that_is_not_among_them_has_no_number() -> None:
    (row,) = ask(Model(**{"1": 0.5, "2": 0.4}), ["0", "1"])
    assert math.isnan(row["0"])
    assert row["1"] == pytest.approx(0.5)


def test_a_long_label_is_known_by_its_first_token() -> None:
    assert ask(Model(satis=0.6, dis=0.3, s=0.05), ["satisfied", "dissatisfied"]) == [
        pytest.approx({"satisfied": 0.65, "dissatisfied": 0.3})
    ]


def test_labels_that_begin_alike_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="'good' and 'great' begin with the same token, 'g'"):
        ask(Model(g=0.6, bad=0.2), ["good", "great", "bad"])
    # Where that token is not the likeliest, it counts for neither.
    assert ask(Model(good=0.5, great=0.3, g=0.1), ["good", "great"]) == [pytest.approx({"good": 0.5, "great": 0.3})]


@pytest.mark.parametrize("labels", [[], ["a", "a"], [""], [" "], ["\u597d"], "01"])
def test_unusable_labels_are_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match="label"):
        label_probabilities(cast(Any, Model()), ["a"], labels)


@pytest.mark.parametrize("prompts", [[], "a prompt"])
def test_prompts_are_a_list(prompts: Any) -> None:
    with pytest.raises(ValueError, match="prompts must be a list"):
        label_probabilities(cast(Any, Model()), prompts)
