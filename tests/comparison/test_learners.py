"""Every method learns, and its losses, gradients and answers are exact."""

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

from comparison import hard_prompts, learners, plan
from comparison.hard_prompts import review_of
from comparison.learners import LABELS, learn
from comparison.plan import FULL, SMALL
from prompt_tuning_helpers.datasets import reviews_path
from prompt_tuning_helpers.engine import models
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import GeneralForward
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_inputs, read_rows, wrap

PEFT_METHODS = ("prefix-20", "lora-8", "full")
TRAIN = read_rows(reviews_path("train"))
LESSON: dict[str, Any] = plan.searches(SMALL)[0].settings["lesson"] | {"seed": 0}


def _adapted(name: str) -> tuple[Any, Any, GeneralForward]:
    """The tiny model, what PEFT puts around it, and the forward that the comparison trains by."""
    torch.manual_seed(0)
    network = learners._load_network("tiny")
    adapter = learners._adapt(network, FULL.method(name))
    for weights, parameter in adapter.named_parameters():
        if "lora_B" in weights:  # zeros at first, which would hide whatever is wrong with the other matrix
            torch.nn.init.normal_(parameter, std=0.3)
    shared_forward = learners._PrefixForward if name.startswith("prefix") else None
    return network, adapter, shared_forward(network, adapter) if shared_forward else GeneralForward(network)


ADAPTED = {name: _adapted(name) for name in PEFT_METHODS}

token = st.integers(3, 250)
row = st.tuples(st.lists(token, min_size=1, max_size=30), st.lists(token, min_size=1, max_size=3))


@pytest.mark.parametrize("name", PEFT_METHODS)
@settings(max_examples=15, deadline=None)
@given(shared=st.lists(token, max_size=20), rows=st.lists(row, min_size=1, max_size=5))
def test_loss_and_gradients_are_those_of_pefts_own_forward(
    name: str, shared: list[int], rows: list[tuple[list[int], list[int]]]
) -> None:
    _, adapter, forward = ADAPTED[name]
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
    _, adapter, forward = ADAPTED[name]
    # More than are asked together, of many lengths in no order, two of them alike.
    texts = [f"{beginning}{chr(97 + index % 26)}{'woof ' * (index * 7 % 11)}" for index in range(45)] * 2
    tokens = encode_inputs(texts, models.load_tokenizer("tiny"))
    margins = learners._margins(forward, learners._nothing(forward), tokens, (20, 30))
    with torch.no_grad():
        last = [adapter(input_ids=torch.tensor([sequence])).logits[0, -1] for sequence in tokens]
    assert margins == pytest.approx([(logits[30] - logits[20]).item() for logits in last], rel=1e-4, abs=1e-4)


def test_margins_after_a_soft_prompt_are_those_of_the_plain_forward() -> None:
    network = learners._load_network("tiny")
    forward = GeneralForward(network)
    prompt = torch.randn(7, forward.embedding.shape[1])
    tokens = encode_inputs(
        ["Comment: a lovely cut", "Comment: no", "Comment: never again"], models.load_tokenizer("tiny")
    )
    margins = learners._margins(forward, prompt, tokens, (20, 30))
    with torch.no_grad():
        embedded = [torch.cat([prompt, forward.embed(torch.tensor(sequence))]) for sequence in tokens]
        last = [network(inputs_embeds=sequence[None]).logits[0, -1] for sequence in embedded]
    assert margins == pytest.approx([(logits[30] - logits[20]).item() for logits in last], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("candidate", ["sentiment 0", "feeling 4", "chat 2"])
def test_a_hard_prompt_is_asked_as_it_is_written(candidate: str) -> None:
    learner = learn("tiny", FULL.method("few-shot"), TRAIN[:20], candidate, LESSON)
    name, examples = candidate.split()
    wording, tokenizer, network = (
        hard_prompts.WORDINGS[name],
        models.load_tokenizer("tiny"),
        learners._load_network("tiny"),
    )
    shown = [(row.input, row.output) for row in TRAIN[: int(examples)]]
    shown = random.Random(LESSON["seed"]).sample(shown, len(shown))
    prompts = [row.input for row in TRAIN[20:24]]
    negative, positive = (tokenizer(word)["input_ids"][0] for word in wording.words)
    expected = []
    for prompt in prompts:
        tokens = tokenizer(hard_prompts.write(wording, shown, prompt, tokenizer), return_tensors="pt")["input_ids"]
        logits = network(tokens).logits[0, -1]
        expected.append((logits[positive] - logits[negative]).item())
    assert learner.margins(prompts) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert (learner.trained_parameters, learner.tuning_seconds) == (0, 0)
    # What is kept is all but the review.
    written = [hard_prompts.write(wording, shown, prompt, tokenizer) for prompt in prompts]
    kept = {len(text.encode()) - len(review_of(asked).encode()) for text, asked in zip(written, prompts, strict=True)}
    assert kept == {learner.saved_bytes}


def test_an_untouched_prefix_answers_as_the_text_it_starts_from() -> None:
    method = replace(FULL.method("prefix-20"), epochs=((20, 0),))
    learner = learn("tiny", method, TRAIN[:20], "0.01", LESSON)
    prompts = [row.input for row in TRAIN[20:24]]
    tokenizer, forward = models.load_tokenizer("tiny"), GeneralForward(learners._load_network("tiny"))
    start = tokenizer(LESSON["init_text"])["input_ids"][:20]
    tokens = [start + tokenizer(wrap(LESSON["verbalizer"], prompt))["input_ids"] for prompt in prompts]
    expected = learners._margins(forward, learners._nothing(forward), tokens, learners._first_tokens(LABELS, tokenizer))
    assert learner.margins(prompts) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def _easy_rows(count: int) -> list[TrainingRow]:
    """Rows that one letter decides."""
    return [
        TrainingRow(f"Comment: {'no' if index % 2 else 'so'} {index}\nSatisfaction:\n", str(index % 2))
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "rate"),
    [("prompt-20", "0.3"), ("prefix-20", "0.1"), ("lora-8", "0.03"), ("full", "0.01"), ("tf-idf", "10")],
)
def test_every_method_learns_what_one_letter_decides(name: str, rate: str) -> None:
    rows = _easy_rows(24)
    method = replace(FULL.method(name), epochs=((24, 60),))
    learner = learn("tiny", method, rows, rate, LESSON)
    signs = [1 if row.output == "1" else -1 for row in rows]
    margins = learner.margins([row.input for row in rows])
    loss = np.logaddexp(0, -np.array(signs) * margins).mean()
    assert loss < 0.9 * np.log(2)  # of guessing


@pytest.mark.parametrize("name", ["prefix-20", "lora-8"])
def test_what_peft_trains_leaves_the_base_model_as_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = []

    def load_network(model: str) -> Any:
        networks.append(original(model))
        return networks[-1]

    original = learners._load_network
    monkeypatch.setattr(learners, "_load_network", load_network)
    learn("tiny", FULL.method(name), _easy_rows(8), "0.01", LESSON)
    trained = {key.replace(".base_layer", ""): value for key, value in networks[0].state_dict().items()}
    for key, value in original("tiny").state_dict().items():
        assert torch.equal(trained[key], value)
