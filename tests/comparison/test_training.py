"""Every method learns, and its losses, gradients and answers are exact."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from comparison import hard_prompts, training
from comparison.asking import ask, first_tokens, no_soft_prompt
from comparison.methods import METHODS, TEMPLATES, Candidate, GradientMethod, Recipe, Regularisation, WrittenPrompt
from comparison.networks import BaseModel, choose_device, is_same, load_network
from comparison.plan import FULL, lesson_settings
from comparison.training import Answer, Asked, Classifier, adapt, prepare, train
from prompt_tuning_helpers.engine import loading
from prompt_tuning_helpers.engine.causal_model import pack
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.rows import TrainingRow, encode_inputs, read_rows, wrap
from prompt_tuning_helpers.engine.tune import TuningStopped
from prompt_tuning_helpers.evaluation import LABELS
from prompt_tuning_helpers.lesson import review_of, reviews_path

pytestmark = pytest.mark.slow

PEFT_METHODS = ("prefix-20", "lora-8", "full")
TRAINED = ("prompt-20", *PEFT_METHODS)
TRAIN = read_rows(reviews_path("train"))
LESSON = lesson_settings()
BASE = BaseModel("tiny")


def _adapted(name: str) -> training.Adapted:
    """What PEFT puts around the tiny model, and the forward that the comparison trains by."""
    torch.manual_seed(0)
    method = FULL.method(name)
    assert isinstance(method, GradientMethod)
    adapted = adapt(method, load_network("tiny"), loading.load_tokenizer("tiny"), LESSON["init_text"])
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


def _greedily(network: Any, sequence: Tensor, new_tokens: int, ends: frozenset[int]) -> tuple[Tensor, list[int]]:
    """Write after embeddings ``[N, H]`` one token at a time, each from the beginning; also the first logits."""
    written: list[int] = []
    first = None
    embed = network.get_input_embeddings()
    for _ in range(new_tokens):
        logits = network(inputs_embeds=sequence[None]).logits[0, -1]
        first = logits if first is None else first
        token = int(logits.argmax())
        if token in ends:
            break
        written.append(token)
        sequence = torch.cat([sequence, embed(torch.tensor([token]))])
    assert first is not None
    return first, written


# More than are asked together, of many lengths in no order, two of them alike.
TEXTS = [f"{chr(97 + index % 26)}{'woof ' * (index * 7 % 11)}" for index in range(45)] * 2


@pytest.mark.parametrize("name", PEFT_METHODS)
@pytest.mark.parametrize("beginning", ["", "Comment: "])
@torch.no_grad()
def test_replies_are_those_of_one_text_at_a_time(name: str, beginning: str) -> None:
    adapter, forward = ADAPTED[name].module, ADAPTED[name].forward
    tokens = encode_inputs([beginning + text for text in TEXTS], loading.load_tokenizer("tiny"))
    found = ask(forward, no_soft_prompt(forward), tokens, (20, 30))
    last = [adapter(input_ids=torch.tensor([sequence])).logits[0, -1] for sequence in tokens]
    expected = [(logits[30] - logits[20]).item() for logits in last]
    assert [reply.margin for reply in found] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert [reply.written for reply in found] == [[int(logits.argmax())] for logits in last]


@pytest.mark.parametrize("virtual_tokens", [0, 7])
@pytest.mark.parametrize("beginning", ["", "Comment: "])
@torch.no_grad()
def test_what_is_written_is_what_one_text_at_a_time_gets_from_the_beginning(
    virtual_tokens: int, beginning: str
) -> None:
    forward = BASE.forward
    torch.manual_seed(0)
    prompt = torch.randn(virtual_tokens, forward.embedding.shape[1])
    tokens = encode_inputs([beginning + text for text in TEXTS[:45]], BASE.tokenizer)
    plain = [torch.cat([prompt, forward.embed(torch.tensor(sequence))]) for sequence in tokens]
    free = [_greedily(BASE.network, sequence, 6, frozenset()) for sequence in plain]
    # Tokens that some of these texts come to early, and others never, end them.
    ends = frozenset({free[0][1][1], free[5][1][3]})
    expected = [_greedily(BASE.network, sequence, 6, ends) for sequence in plain]
    found = ask(forward, prompt, tokens, (20, 30), ends, 6)
    assert [reply.written for reply in found] == [written for _, written in expected]
    assert len({len(written) for _, written in expected}) > 1
    margins = [(logits[30] - logits[20]).item() for logits, _ in expected]
    assert [reply.margin for reply in found] == pytest.approx(margins, rel=1e-4, abs=1e-4)


def test_an_answer_is_read_as_the_label_that_its_words_mean() -> None:
    asked = Asked(BASE, str, (" negative", " positive"))
    texts = [" positive", "Negative.", "positive or negative?", "I think", "", "1"]
    assert [asked.read(text) for text in texts] == ["1", "0", None, None, None, None]
    assert [Asked(BASE, str).read(text) for text in (" 1", "0\n1", "10", "positive")] == ["1", "0", None, None]


def _margins(answers: Sequence[Answer]) -> list[float]:
    return [answer.margin for answer in answers]


@pytest.mark.parametrize(("name", "examples"), [("sentiment", 0), ("feeling", 4), ("chat", 2)])
def test_a_hard_prompt_is_asked_as_it_is_written(name: str, examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[hard_prompts.Example]] = []
    write = hard_prompts.write

    def note(wording: Any, given: Any, prompt: str, tokenizer: Any) -> str:
        shown.append(list(given))
        return write(wording, given, prompt, tokenizer)

    monkeypatch.setattr(hard_prompts, "write", note)
    classifier = train(FULL.method("few-shot"), WrittenPrompt(name, examples), TRAIN[:20], BASE, 0)
    prompts = [row.input for row in TRAIN[20:24]]
    answers = classifier.answer(prompts)
    assert all(given == shown[0] for given in shown)
    assert sorted(label for _, label in shown[0]) == ["0"] * (examples // 2) + ["1"] * (examples // 2)
    assert {prompt for prompt, _ in shown[0]} <= {row.input for row in TRAIN[:20]}
    wording = hard_prompts.WORDINGS[name]
    texts = [write(wording, shown[0], prompt, BASE.tokenizer) for prompt in prompts]
    negative, positive = (BASE.tokenizer(word)["input_ids"][0] for word in wording.words)
    logits = [BASE.network(BASE.tokenizer(text, return_tensors="pt")["input_ids"]).logits[0, -1] for text in texts]
    expected = [(found[positive] - found[negative]).item() for found in logits]
    assert _margins(answers) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert (classifier.trained_parameters, classifier.updates) == (0, 0)
    # What is kept is all but the review.
    kept = {len(text.encode()) - len(review_of(prompt).encode()) for text, prompt in zip(texts, prompts, strict=True)}
    assert kept == {classifier.saved_bytes()}


def test_each_draw_shows_other_examples_and_each_seed_too() -> None:
    def kept(seed: int, draw: int) -> str:
        prompt = prepare(FULL.method("few-shot"), WrittenPrompt("sentiment", 4, draw), TRAIN, BASE, seed)
        return str(prompt._kept)

    assert kept(0, 0) == kept(0, 0)
    assert len({kept(seed, draw) for seed in range(3) for draw in range(3)}) == 9


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_starting_text_answers_as_the_soft_prompt_does_before_it_is_tuned(template: str) -> None:
    recipe, prompts = Recipe(0.02, 1, template), [row.input for row in TRAIN[20:24]]
    text = train(FULL.method("starting-text"), recipe, TRAIN[:8], BASE, 0)
    soft = prepare(FULL.method("prompt-100"), recipe, TRAIN[:8], BASE, 0)
    assert _margins(text.answer(prompts)) == pytest.approx(_margins(soft.answer(prompts)), rel=1e-4, abs=1e-4)
    assert [answer.written for answer in text.answer(prompts)] == [answer.written for answer in soft.answer(prompts)]
    assert text.saved_bytes() == 100 + len(TEMPLATES[template])


def test_an_untouched_prefix_answers_as_the_text_it_starts_from() -> None:
    classifier = prepare(FULL.method("prefix-20"), Recipe(0.01, 1), TRAIN[:20], BASE, 0)
    prompts = [row.input for row in TRAIN[20:24]]
    start = BASE.tokenizer(LESSON["init_text"])["input_ids"][:20]
    template = TEMPLATES["feels"]
    tokens = [start + BASE.tokenizer(wrap(template, prompt))["input_ids"] for prompt in prompts]
    forward = BASE.forward
    replies = ask(forward, no_soft_prompt(forward), tokens, first_tokens((LABELS[0], LABELS[1]), BASE.tokenizer))
    expected = [reply.margin for reply in replies]
    assert _margins(classifier.answer(prompts)) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["lora-8", "full"])
def test_solved_examples_stand_before_each_input(name: str) -> None:
    plain, shown = (
        prepare(FULL.method(name), Recipe(0.01, 1, shows_examples=shows), TRAIN[:8], BASE, 0) for shows in (False, True)
    )
    prompts = [row.input for row in TRAIN[20:24]]
    longer = [LESSON["init_text"] + prompt for prompt in prompts]
    assert _margins(shown.answer(prompts)) == pytest.approx(_margins(plain.answer(longer)), rel=1e-4, abs=1e-4)


def _easy_rows(count: int) -> list[TrainingRow]:
    """Rows that one letter decides."""
    return [
        TrainingRow(f"Comment: {'no' if index % 2 else 'so'} {index}\nSatisfaction:\n", str(index % 2))
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "candidate"),
    [
        ("prompt-20", Recipe(0.3, 60)),
        ("prefix-20", Recipe(0.1, 60)),
        ("lora-8", Recipe(0.03, 60)),
        ("full", Recipe(0.01, 60, "none")),
        ("tf-idf", Regularisation(10.0)),
    ],
)
def test_every_method_learns_what_one_letter_decides_and_the_next_job_knows_nothing_of_it(
    name: str, candidate: Candidate
) -> None:
    rows = _easy_rows(24)
    prompts = [row.input for row in rows]
    signs = np.array([1 if row.output == "1" else -1 for row in rows])

    def loss(classifier: Classifier) -> float:
        return float(np.logaddexp(0, -signs * _margins(classifier.answer(prompts))).mean())

    before = {key: value.clone() for key, value in BASE.network.state_dict().items()}
    trained = train(FULL.method(name), candidate, rows, BASE, 0)
    assert loss(trained) < 0.9 * np.log(2)  # of guessing
    assert trained.updates == (1 if name == "tf-idf" else 180)
    after = BASE.network.state_dict()
    assert after.keys() == before.keys()  # nothing of PEFT's is left in it
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(parameter.requires_grad for parameter in BASE.network.parameters())


def test_a_model_of_its_own_gives_what_a_kept_one_gives() -> None:
    prompts = [row.input for row in TRAIN[20:24]]
    for name in TRAINED:
        kept, own = (
            train(FULL.method(name), Recipe(0.01, 1), TRAIN[:8], base, 0).answer(prompts)
            for base in (BASE, BaseModel("tiny", is_kept=False))
        )
        assert kept == own


@pytest.mark.parametrize("name", ["prefix-20", "lora-8"])
def test_what_peft_trains_leaves_the_base_model_as_it_was(name: str) -> None:
    base = BaseModel("tiny", is_kept=False)
    train(FULL.method(name), Recipe(0.01, 1), _easy_rows(8), base, 0)
    trained = {key.replace(".base_layer", ""): value for key, value in base.network.state_dict().items()}
    for key, value in load_network("tiny").state_dict().items():
        assert torch.equal(trained[key], value)


@pytest.mark.parametrize("name", TRAINED)
def test_training_that_gives_no_numbers_says_so(name: str) -> None:
    with pytest.raises(FloatingPointError, match="the loss became"):
        train(FULL.method(name), Recipe(math.inf, 20), _easy_rows(8), BASE, 0)


@pytest.mark.parametrize("name", TRAINED)
def test_training_stops_when_it_is_told_to(name: str) -> None:
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(len(asked))
        return len(asked) == 3

    classifier = prepare(FULL.method(name), Recipe(0.01, 20), _easy_rows(8), BASE, 0)
    with pytest.raises(TuningStopped):
        classifier.learn(should_stop)
    assert len(asked) == 3


def test_what_is_trained_and_kept_is_counted() -> None:
    shape = BASE.network.config
    keys = shape.num_key_value_heads * shape.hidden_size // shape.num_attention_heads
    expected = {
        "prompt-20": 20 * shape.hidden_size,
        "prompt-100": 100 * shape.hidden_size,
        "prompt-100-random": 100 * shape.hidden_size,
        "prefix-20": 20 * shape.num_hidden_layers * 2 * keys,
        # Two matrices each beside those of queries and values.
        "lora-8": shape.num_hidden_layers * 8 * (2 * shape.hidden_size + shape.hidden_size + keys),
        "full": sum(parameter.numel() for parameter in BASE.network.parameters()),
    }
    assert expected.keys() == {method.name for method in METHODS if isinstance(method, GradientMethod)}
    for name, parameters in expected.items():
        classifier = prepare(FULL.method(name), Recipe(0.01, 1), TRAIN[:8], BASE, 0)
        assert classifier.trained_parameters == parameters
        assert 0 < classifier.saved_bytes() - 4 * parameters < 5000, name  # in float32, and the names of the tensors


def test_the_engines_model_and_the_one_that_is_asked_are_the_same_network_and_another_is_noticed() -> None:
    assert is_same(BASE.tunable, BASE.forward)
    other = load_network("tiny")
    other.model.layers[-1].self_attn.v_proj.weight.mul_(1.1)
    assert not is_same(BASE.tunable, TransformersModel(other))


def test_a_fast_path_that_a_device_lacks_something_for_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any) -> Tensor:
        raise NotImplementedError("no such kernel")

    fast = BaseModel("tiny").tunable
    monkeypatch.setattr(fast, "label_logits", lacking)
    assert not is_same(fast, BASE.forward)


def test_a_device_is_chosen_by_name_or_by_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (choose_device("cpu"), choose_device("cuda")) == ("cpu", "cuda")
    for there_is, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there_is=there_is: there_is)
        assert choose_device("auto") == device
