"""Tokens are as likely as the plain forward of transformers says, with a soft prompt before them and without."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_tuning_helpers.engine import (
    Engine,
    Generation,
    GenerationParameters,
    GenerationRequest,
    Token,
    TuningSettings,
)
from prompt_tuning_helpers.engine.general import TransformersModel
from prompt_tuning_helpers.engine.generate import Generator
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.new_answer import DESCRIBED_TOGETHER
from prompt_tuning_helpers.engine.soft_prompt import save

MODEL = "tiny"
ALL: dict[str, Any] = {"describe_input": True, "describe_generated": True, "top_tokens": 4}
EMBEDDINGS = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine({MODEL: "tiny"})
    yield engine
    engine.close()


@pytest.fixture
def soft_prompt(tmp_path: Path, settings: TuningSettings) -> Path:
    folder = tmp_path / "soft"
    save(folder, EMBEDDINGS, MODEL, settings)
    return folder


def expect(network: Any, tokens: list[int], soft: Tensor | None) -> Tensor:
    """The log-probabilities of the vocabulary at the place of each token, ``[n, vocabulary]``, by the plain forward."""
    embeddings = network.get_input_embeddings()(torch.tensor(tokens))
    before = 0 if soft is None else soft.shape[0]
    inputs = embeddings if soft is None else torch.cat([soft, embeddings])
    logprobs: Tensor = network(inputs_embeds=inputs[None]).logits[0].log_softmax(-1)
    # Nothing comes before the first token of a base model's input.
    return logprobs[before - 1 : -1] if before else torch.cat([torch.full_like(logprobs[:1], torch.nan), logprobs[:-1]])


def check(described: tuple[Token, ...], tokens: list[int], logprobs: Tensor, tokenizer: Any) -> None:
    assert [token.name for token in described] == tokenizer.convert_ids_to_tokens(tokens)
    for token, own, all_ in zip(described, tokens, logprobs, strict=True):
        if all_.isnan().all():
            assert (token.logprob, token.rank, token.top) == (None, None, ())
            continue
        assert token.logprob == pytest.approx(all_[own].item(), abs=1e-4)
        assert token.rank == 1 + (all_ > all_[own]).sum()
        best, places = all_.topk(4)
        assert [other.logprob for other in token.top] == pytest.approx(best.tolist(), abs=1e-4)
        assert [other.name for other in token.top] == tokenizer.convert_ids_to_tokens(places.tolist())
        assert [other.rank for other in token.top] == [1, 2, 3, 4]


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("path", ["fast", "general"])
@pytest.mark.parametrize("prompt", ["", "a dog", "long " * (DESCRIBED_TOGETHER // 2)])
def test_probabilities_are_those_of_transformers(
    tiny: LoadedModel, tiny_network: Any, soft_prompt: Path, path: str, tuned: bool, prompt: str
) -> None:
    loaded = tiny
    if path == "general":
        loaded = LoadedModel(
            TransformersModel(tiny_network), tiny.tokenizer, tiny.max_length, tiny.end_tokens, tiny.parameters
        )
    generator = Generator(lambda: loaded)
    try:
        # Neither temperature nor penalties change what the model finds likely.
        parameters = GenerationParameters(
            max_new_tokens=12,
            decoding_method="sample",
            temperature=1.7,
            frequency_penalty=1.5,
            repetition_penalty=1.2,
            random_seed=3,
            **ALL,
        )
        soft = soft_prompt if tuned else None
        # The second answer must not come from what is kept of the first.
        first, answer = [generator.submit(prompt, parameters, soft, None).result(timeout=60) for _ in range(2)]
    finally:
        generator.close()
    assert first == answer
    text = f"classify: {prompt}" if tuned else prompt
    tokens = tiny.tokenizer(text)["input_ids"] or [tiny.tokenizer.bos_token_id]
    generated = tiny.tokenizer.convert_tokens_to_ids([token.name for token in answer.tokens])
    assert answer.input_token_count == len(answer.input_tokens) == len(tokens)
    assert answer.generated_token_count == len(generated)
    logprobs = expect(tiny_network, tokens + generated, EMBEDDINGS if tuned else None)
    check(answer.input_tokens, tokens, logprobs[: len(tokens)], tiny.tokenizer)
    check(answer.tokens, generated, logprobs[len(tokens) :], tiny.tokenizer)


def ask(engine: Engine, prompt: str, **parameters: Any) -> Generation:
    request = GenerationRequest(MODEL, prompt, GenerationParameters(**parameters))
    return engine.generate(request).result(timeout=60)


def test_only_what_is_asked_for_is_described(engine: Engine) -> None:
    plain = ask(engine, "a dog")
    assert plain.tokens == plain.input_tokens == ()
    assert ask(engine, "a dog", describe_input=True).tokens == ()
    described = ask(engine, "a dog", **ALL)
    assert described.text == plain.text
    assert "".join(token.text for token in described.tokens) == described.text


def test_an_input_is_described_without_an_answer(engine: Engine) -> None:
    answer = ask(engine, "a dog", max_new_tokens=0, describe_input=True)
    assert (answer.text, answer.stop_reason) == ("", "max_tokens")
    assert [token.text for token in answer.input_tokens] == ["a", " ", "d", "o", "g"]


def test_the_end_token_is_one_of_those_generated(engine: Engine) -> None:
    answer = ask(engine, "a dog", logit_bias={2: 100.0}, describe_generated=True)
    assert (answer.text, answer.stop_reason) == ("", "eos_token")
    assert [(token.name, token.is_end) for token in answer.tokens] == [("<|im_end|>", True)]
