"""Every method learns, and its losses, gradients and answers are exact."""

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from comparison import hard_prompts, training
from comparison.asking import first_tokens, load_network, margins, no_soft_prompt
from comparison.methods import GradientMethod, Method, PromptCandidate
from comparison.plan import FULL, lesson_settings
from comparison.training import adapt, train
from prompt_tuning_helpers.engine import loading
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_inputs, read_rows, wrap
from prompt_tuning_helpers.evaluation import LABELS
from prompt_tuning_helpers.lesson import review_of, reviews_path

pytestmark = pytest.mark.slow

PEFT_METHODS = ("prefix-20", "lora-8", "full")
TRAIN = read_rows(reviews_path("train"))
LESSON = lesson_settings()


def _gradient_method(name: str, *epochs: tuple[int, int]) -> GradientMethod:
    """A method of the plan, with other epochs if any are given."""
    method = FULL.method(name)
    assert isinstance(method, GradientMethod)
    return replace(method, epochs=epochs) if epochs else method


def _adapted(name: str) -> training.Adapted:
    """What PEFT puts around the tiny model, and the forward that the comparison trains by."""
    torch.manual_seed(0)
    adapted = adapt(_gradient_method(name), load_network("tiny"), loading.load_tokenizer("tiny"), LESSON["init_text"])
    for weights, parameter in adapted.module.named_parameters():
        if "lora_B" in weights:  # zeros at first, which would hide whatever is wrong with the other matrix
            torch.nn.init.normal_(parameter, std=0.3)
    return adapted


ADAPTED = {name: _adapted(name) for name in PEFT_METHODS}

token = st.integers(3, 250)
row = st.tuples(st.lists(token, min_size=1, max_size=30), st.lists(token, min_size=1, max_size=3))


@pytest.mark.parametrize("name", PEFT_METHODS)
@settings(max_examples=15, deadline=None)
@given(shared=st.lists(token, max_size=20), rows=st.lists(row, min_size=1, max_size=5))
def test_loss_and_gradients_are_those_of_pefts_own_forward(
    name: str, shared: list[int], rows: list[tuple[list[int], list[int]]]
) -> None:
    adapter, forward = ADAPTED[name].module, ADAPTED[name].forward
    trained = [parameter for parameter in adapter.parameters() if parameter.requires_grad]
    packed = pack(rows)
    loss = cross_entropy(
        forward.label_logits(forward.embed(torch.tensor(shared, dtype=torch.long)), packed), packed.labels
    )
    losses = [_loss_of_row(adapter, shared + inputs, outputs) for inputs, outputs in rows]
    expected = torch.stack(losses).sum() / len(packed.labels)
    assert abs(loss - expected) <= 1e-4 * abs(expected)
    gradients, expected_gradients = (torch.autograd.grad(value, trained) for value in (loss, expected))
    scale = max(gradient.norm() for gradient in expected_gradients)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        # The floor is for matrices whose own gradient is as good as none: what is left of it is rounding.
        assert (gradient - wanted).norm() <= 1e-4 * wanted.norm() + 1e-6 * scale


def _loss_of_row(adapter: Any, inputs: list[int], outputs: list[int]) -> Tensor:
    """The summed cross-entropy of a row's labels, as the model itself gives it from labels and an attention mask."""
    tokens = torch.tensor([inputs + outputs])
    labels = torch.tensor([[-100] * len(inputs) + outputs])
    loss: Tensor = adapter(input_ids=tokens, attention_mask=torch.ones_like(tokens), labels=labels).loss
    return loss * len(outputs)


@pytest.mark.parametrize("name", PEFT_METHODS)
@pytest.mark.parametrize("beginning", ["", "Comment: "])
def test_margins_are_those_of_one_text_at_a_time(name: str, beginning: str) -> None:
    adapter, forward = ADAPTED[name].module, ADAPTED[name].forward
    # More than are asked together, of many lengths in no order, two of them alike.
    texts = [f"{beginning}{chr(97 + index % 26)}{'woof ' * (index * 7 % 11)}" for index in range(45)] * 2
    tokens = encode_inputs(texts, loading.load_tokenizer("tiny"))
    found = margins(forward, no_soft_prompt(forward), tokens, (20, 30))
    with torch.no_grad():
        last = [adapter(input_ids=torch.tensor([sequence])).logits[0, -1] for sequence in tokens]
    assert found == pytest.approx([(logits[30] - logits[20]).item() for logits in last], rel=1e-4, abs=1e-4)


def test_margins_after_a_soft_prompt_are_those_of_the_plain_forward() -> None:
    network = load_network("tiny")
    forward = TransformersModel(network)
    prompt = torch.randn(7, forward.embedding.shape[1])
    tokens = encode_inputs(
        ["Comment: a lovely cut", "Comment: no", "Comment: never again"], loading.load_tokenizer("tiny")
    )
    found = margins(forward, prompt, tokens, (20, 30))
    with torch.no_grad():
        embedded = [torch.cat([prompt, forward.embed(torch.tensor(sequence))]) for sequence in tokens]
        last = [network(inputs_embeds=sequence[None]).logits[0, -1] for sequence in embedded]
    assert found == pytest.approx([(logits[30] - logits[20]).item() for logits in last], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("name", "examples"), [("sentiment", 0), ("feeling", 4), ("chat", 2)])
def test_a_hard_prompt_is_asked_as_it_is_written(name: str, examples: int) -> None:
    classifier = train(FULL.method("few-shot"), PromptCandidate(name, examples), TRAIN[:20], "tiny", 0)
    wording, tokenizer, network = (
        hard_prompts.WORDINGS[name],
        loading.load_tokenizer("tiny"),
        load_network("tiny"),
    )
    shown = [(row.input, row.output) for row in TRAIN[:examples]]
    shown = random.Random(0).sample(shown, len(shown))
    prompts = [row.input for row in TRAIN[20:24]]
    negative, positive = (tokenizer(word)["input_ids"][0] for word in wording.words)
    expected = []
    for prompt in prompts:
        tokens = tokenizer(hard_prompts.write(wording, shown, prompt, tokenizer), return_tensors="pt")["input_ids"]
        logits = network(tokens).logits[0, -1]
        expected.append((logits[positive] - logits[negative]).item())
    assert classifier.margins(prompts) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert (classifier.trained_parameters, classifier.tuning_seconds) == (0, 0)
    # What is kept is all but the review.
    written = [hard_prompts.write(wording, shown, prompt, tokenizer) for prompt in prompts]
    kept = {len(text.encode()) - len(review_of(asked).encode()) for text, asked in zip(written, prompts, strict=True)}
    assert kept == {classifier.saved_bytes}


def test_an_untouched_prefix_answers_as_the_text_it_starts_from() -> None:
    classifier = train(_gradient_method("prefix-20", (20, 0)), 0.01, TRAIN[:20], "tiny", 0)
    prompts = [row.input for row in TRAIN[20:24]]
    tokenizer, forward = loading.load_tokenizer("tiny"), TransformersModel(load_network("tiny"))
    start = tokenizer(LESSON["init_text"])["input_ids"][:20]
    tokens = [start + tokenizer(wrap(LESSON["verbalizer"], prompt))["input_ids"] for prompt in prompts]
    expected = margins(forward, no_soft_prompt(forward), tokens, first_tokens(LABELS, tokenizer))
    assert classifier.margins(prompts) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def _easy_rows(count: int) -> list[TrainingRow]:
    """Rows that one letter decides."""
    return [
        TrainingRow(f"Comment: {'no' if index % 2 else 'so'} {index}\nSatisfaction:\n", str(index % 2))
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "rate"),
    [("prompt-20", 0.3), ("prefix-20", 0.1), ("lora-8", 0.03), ("full", 0.01), ("tf-idf", 10.0)],
)
def test_every_method_learns_what_one_letter_decides(name: str, rate: float) -> None:
    rows = _easy_rows(24)
    method: Method = FULL.method(name) if name == "tf-idf" else _gradient_method(name, (24, 60))
    classifier = train(method, rate, rows, "tiny", 0)
    signs = [1 if row.output == "1" else -1 for row in rows]
    loss = np.logaddexp(0, -np.array(signs) * classifier.margins([row.input for row in rows])).mean()
    assert loss < 0.9 * np.log(2)  # of guessing


@pytest.mark.parametrize("name", ["prefix-20", "lora-8"])
def test_what_peft_trains_leaves_the_base_model_as_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = []

    def load_and_note(model: str) -> Any:
        networks.append(load_network(model))
        return networks[-1]

    monkeypatch.setattr(training, "load_network", load_and_note)
    train(FULL.method(name), 0.01, _easy_rows(8), "tiny", 0)
    trained = {key.replace(".base_layer", ""): value for key, value in networks[0].state_dict().items()}
    for key, value in load_network("tiny").state_dict().items():
        assert torch.equal(trained[key], value)


@pytest.mark.parametrize("name", ["prompt-20", "prefix-20", "lora-8", "full"])
def test_training_that_gives_no_numbers_says_so(name: str) -> None:
    with pytest.raises(FloatingPointError, match="the loss became"):
        train(_gradient_method(name, (8, 20)), math.inf, _easy_rows(8), "tiny", 0)
