"""Answers are those of transformers, whatever else is in the batch, and all parameters do what they say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from prompt_tuning_helpers.engine import (
    Engine,
    EngineClosed,
    EngineError,
    Generation,
    GenerationParameters,
    GenerationRequest,
    TuningSettings,
)
from prompt_tuning_helpers.engine.generate import MAX_BATCH, Generator
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.soft_prompt import save

MODEL = "tiny"
PROMPTS = ["", "a", "Once upon a time", "Once upon a dog", "ünïcödé 🐕", "x" * 200, "Once upon a time there was"]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine({MODEL: "tiny", "ibm/other": "tiny"})
    yield engine
    engine.close()


@pytest.fixture
def soft_prompt(tmp_path: Path, settings: TuningSettings) -> Path:
    folder = tmp_path / "soft"
    save(folder, torch.randn(5, 16, generator=torch.Generator().manual_seed(2)), MODEL, settings)
    return folder


def ask(engine: Engine, prompt: str, soft_prompt: Path | None = None, **parameters: Any) -> Generation:
    request = GenerationRequest(MODEL, prompt, GenerationParameters(**parameters), soft_prompt)
    return engine.generate(request).result(timeout=60)


@pytest.mark.parametrize("prompt", PROMPTS[1:])
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_text_is_that_of_transformers(
    engine: Engine, tiny: LoadedModel, tiny_network: Any, prompt: str, penalty: float
) -> None:
    tokens = torch.tensor(tiny.tokenizer([prompt])["input_ids"])
    config = GenerationConfig(
        max_new_tokens=30, do_sample=False, eos_token_id=2, pad_token_id=2, repetition_penalty=penalty
    )
    expected = tiny_network.generate(tokens, attention_mask=torch.ones_like(tokens), generation_config=config)
    answer = ask(engine, prompt, max_new_tokens=30, repetition_penalty=penalty)
    assert answer.text == tiny.tokenizer.decode(expected[0, tokens.shape[1] :], skip_special_tokens=True)
    assert answer.generated_token_count == expected.shape[1] - tokens.shape[1]
    assert answer.input_token_count == tokens.shape[1]


@pytest.mark.parametrize("method", ["greedy", "sample"])
def test_an_answer_does_not_depend_on_the_batch(engine: Engine, soft_prompt: Path, method: str) -> None:
    parameters: dict[str, Any] = {"max_new_tokens": 25, "decoding_method": method, "random_seed": 5}
    requests = [(prompt, soft) for prompt in PROMPTS for soft in (None, soft_prompt)]
    alone = [ask(engine, prompt, soft, **parameters) for prompt, soft in requests]
    futures = [
        engine.generate(GenerationRequest(MODEL, prompt, GenerationParameters(**parameters), soft))
        for prompt, soft in requests
    ]
    assert [future.result(timeout=60) for future in futures] == alone


def test_sampling_follows_its_parameters(engine: Engine) -> None:
    sample: dict[str, Any] = {"decoding_method": "sample", "max_new_tokens": 20}
    texts = {ask(engine, "a dog", **sample, random_seed=seed).text for seed in range(5)}
    assert len(texts) == 5
    assert ask(engine, "a dog", **sample, random_seed=1) == ask(engine, "a dog", **sample, random_seed=1)
    greedy = ask(engine, "a dog", max_new_tokens=20)
    narrowed: list[dict[str, Any]] = [{"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-4}]
    for narrow in narrowed:
        assert ask(engine, "a dog", **sample, **narrow).text == greedy.text


def test_limits_and_stops(engine: Engine) -> None:
    free = ask(engine, "a dog", max_new_tokens=30)
    assert (free.stop_reason, free.generated_token_count) == ("max_tokens", 30)
    stop = free.text[4:6]
    kept = ask(engine, "a dog", max_new_tokens=30, stop_sequences=(stop,))
    dropped = ask(engine, "a dog", max_new_tokens=30, stop_sequences=(stop,), include_stop_sequence=False)
    assert kept.stop_reason == dropped.stop_reason == "stop_sequence"
    assert kept.text == free.text[: free.text.index(stop) + 2]
    assert dropped.text == free.text[: free.text.index(stop)]
    assert ask(engine, "a dog", max_new_tokens=0).text == ""
    assert ask(engine, "a dog", max_new_tokens=2000, time_limit=1e-6).stop_reason == "time_limit"
    assert ask(engine, "x" * 2000, max_new_tokens=2000).stop_reason in ("token_limit", "eos_token")
    truncated = ask(engine, "zzz a dog", truncate_input_tokens=5)
    assert (truncated.input_token_count, truncated.text) == (5, ask(engine, "a dog").text)


@pytest.mark.parametrize("stop", ["first", "split"])
def test_stop_sequences_wait_for_min_new_tokens(engine: Engine, stop: str) -> None:
    """One that is met before does not count; one that the last of these tokens completes does."""
    # Answers of four letters, mixed, a token each.
    letters: dict[str, Any] = {"logit_bias": dict.fromkeys(range(67, 71), 50.0), "frequency_penalty": 0.5}
    free = ask(engine, "a dog", max_new_tokens=30, **letters)
    assert set(free.text) == set("abcd")
    wanted = free.text[3] if stop == "first" else free.text[3:5]
    ends = [place + len(wanted) for place in range(30) if free.text.startswith(wanted, place)]
    for least in (1, ends[0], ends[0] + 1, 30):
        held = ask(engine, "a dog", max_new_tokens=30, min_new_tokens=least, stop_sequences=(wanted,), **letters)
        end = next((end for end in ends if end >= least), None)
        assert held.text == free.text[:end]
        assert held.stop_reason == ("max_tokens" if end is None else "stop_sequence")


def test_special_tokens_are_never_in_an_answer(engine: Engine, tiny: LoadedModel) -> None:
    for token in range(3):
        answer = ask(engine, "a dog", max_new_tokens=3, logit_bias={token: 100.0})
        assert answer.text == ""
        assert answer.generated_token_count == (1 if token in tiny.end_tokens else 3)


def test_a_length_penalty_ends_an_answer(engine: Engine) -> None:
    # Its end token has a logit of zero by itself, which no factor raises.
    free = ask(engine, "a dog", max_new_tokens=30, logit_bias={2: 0.01})
    ended = ask(engine, "a dog", max_new_tokens=30, logit_bias={2: 0.01}, decay_factor=100.0, decay_start=4)
    assert free.stop_reason == "max_tokens"
    assert ended.stop_reason == "eos_token"
    assert 5 <= ended.generated_token_count < 10
    assert free.text.startswith(ended.text)


def test_a_seed_gives_an_answer_again(engine: Engine) -> None:
    once = ask(engine, "a dog", decoding_method="sample")
    assert once.seed is not None
    assert ask(engine, "a dog", decoding_method="sample", random_seed=once.seed) == once
    assert ask(engine, "a dog").seed is None


def test_end_of_text_waits_for_min_new_tokens(engine: Engine) -> None:
    sample: dict[str, Any] = {"decoding_method": "sample", "random_seed": 1}
    ended = [(p, a) for p in map(chr, range(33, 127)) if (a := ask(engine, p, **sample)).stop_reason == "eos_token"]
    assert ended, "no prompt of one character ends by itself: the tiny model has changed"
    prompt, answer = ended[0]
    longer = ask(engine, prompt, **sample, min_new_tokens=answer.generated_token_count)
    assert longer.text.startswith(answer.text)
    assert longer.generated_token_count > answer.generated_token_count


@pytest.mark.parametrize("stops", [(), ("never there",)])
def test_streamed_pieces_add_up(engine: Engine, stops: tuple[str, ...]) -> None:
    parts: list[Generation] = []
    parameters = GenerationParameters(
        max_new_tokens=40, stop_sequences=stops, describe_input=True, describe_generated=True
    )
    answer = engine.generate(GenerationRequest(MODEL, "a dog", parameters), parts.append).result(timeout=60)
    assert "".join(part.text for part in parts) == answer.text
    assert tuple(token for part in parts for token in part.tokens) == answer.tokens
    assert [bool(part.input_tokens) for part in parts] == [True] + [False] * (len(parts) - 1)
    assert parts[0].input_tokens == answer.input_tokens
    assert len(parts) > 3


@pytest.mark.parametrize(
    "bad",
    [
        {"max_new_tokens": -1},
        {"min_new_tokens": 21},
        {"decoding_method": "beam"},
        {"temperature": 0.0},
        {"top_k": 0},
        {"top_p": 1.1},
        {"repetition_penalty": 0.0},
        {"stop_sequences": ("",)},
        {"truncate_input_tokens": -1},
        {"random_seed": -1},
        {"time_limit": 0},
    ],
)
def test_parameters_out_of_range_are_named(engine: Engine, bad: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=next(iter(bad))):
        ask(engine, "a", **bad)


def test_what_cannot_be_answered_says_why(engine: Engine, tmp_path: Path, settings: TuningSettings) -> None:
    with pytest.raises(EngineError, match=r"attends to at most 2048.*truncate_input_tokens"):
        ask(engine, "x" * 3000)
    with pytest.raises(EngineError, match="no usable soft prompt"):
        ask(engine, "x", tmp_path / "nowhere")
    save(tmp_path / "wide", torch.randn(5, 24), MODEL, settings)
    with pytest.raises(EngineError, match="hidden size 24"):
        ask(engine, "x", tmp_path / "wide")
    with pytest.raises(EngineError, match=r"not served here. Served: tiny, ibm/other"):
        engine.generate(GenerationRequest("unknown", "x", GenerationParameters()))
    assert ask(engine, "x").text  # and the next one is answered


def test_one_bad_answer_does_not_spoil_the_batch(engine: Engine) -> None:
    def fail(_: Generation) -> None:
        raise OSError("the client has gone")

    parameters = GenerationParameters(max_new_tokens=15)
    bad = engine.generate(GenerationRequest(MODEL, "a dog", parameters), fail)
    good = engine.generate(GenerationRequest(MODEL, "a dog", parameters))
    assert good.result(timeout=60).generated_token_count == 15
    with pytest.raises(OSError, match="has gone"):
        bad.result(timeout=60)


def test_a_tiny_temperature_is_greedy(engine: Engine) -> None:
    tiny = ask(engine, "a dog", decoding_method="sample", temperature=1e-38)
    assert tiny.text == ask(engine, "a dog").text


def test_a_closed_engine_says_so() -> None:
    engine = Engine({MODEL: "tiny"})
    assert ask(engine, "a dog").text
    engine.close()
    with pytest.raises(EngineClosed, match="closed"):
        ask(engine, "a dog")


def test_a_cancelled_request_is_dropped(engine: Engine) -> None:
    slow = [
        engine.generate(
            GenerationRequest(MODEL, "a dog", GenerationParameters(max_new_tokens=1500, min_new_tokens=1500))
        )
        for _ in range(9)
    ]
    assert all(future.cancel() for future in slow)
    assert ask(engine, "a dog", max_new_tokens=3).text


def test_model_cards_and_tokens(engine: Engine) -> None:
    cards = engine.list_base_models()
    assert [(card.model_id, card.source) for card in cards] == [(MODEL, "tiny"), ("ibm/other", "tiny")]
    assert engine.tokenize(MODEL, "a b") == ["a", "Ġ", "b"]
    messages = [{"role": "user", "content": "Hi"}]
    assert engine.chat_prompt(MODEL, messages) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_cancelled_requests_cost_nothing(tiny: LoadedModel) -> None:
    """Neither those that are being answered nor those that wait for a place in the batch are continued."""
    begun: list[Generation] = []
    long = GenerationParameters(max_new_tokens=1500, min_new_tokens=1500)
    generator = Generator(lambda: tiny)
    try:
        running = [generator.submit("a dog", long, None, begun.append) for _ in range(MAX_BATCH)]
        waiting = [generator.submit("a cat", long, None, begun.append) for _ in range(20)]
        answer = generator.submit("a dog", GenerationParameters(max_new_tokens=1), None, None)
        while not begun:
            assert not answer.done()
        assert all(future.cancel() for future in [*waiting, *running])
        assert answer.result(timeout=60).generated_token_count == 1
        assert len(begun) < 1000  # one step or few of the eight, and none of the others
    finally:
        generator.close()
