"""What prompts begin with alike is read once, long prompts in parts, and answers are those of the plain forward."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_tuning_helpers.engine import Generation, GenerationParameters, TuningSettings, prefill
from prompt_tuning_helpers.engine.causal_model import KVCache
from prompt_tuning_helpers.engine.generate import Generator
from prompt_tuning_helpers.engine.loading import LoadedModel
from prompt_tuning_helpers.engine.prefill import LEAST_SHARED
from prompt_tuning_helpers.engine.rows import wrap
from prompt_tuning_helpers.engine.soft_prompt import save

EXAMPLES = "".join(f"Review: The dog was washed {number} times.\nSatisfied: {number % 2}\n" for number in range(5))
QUESTIONS = ["So kind to my dog!", "So kind.", "An hour late.", "An hour", "", "Wet", "Never again!", "Dry"]
FEW_SHOT = [f"{EXAMPLES}Review: {question}\nSatisfied: " for question in QUESTIONS]
PARAMETERS = GenerationParameters(max_new_tokens=6, min_new_tokens=6, describe_generated=True)


class Reader:
    """Counts the tokens that a model is given to read, and the most of one sequence at a time."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tokens = self.longest = 0
        extend = model.extend

        def counted(caches: list[KVCache], inputs: list[torch.Tensor], keep: int = 1) -> torch.Tensor:
            self.tokens += sum(map(len, inputs))
            self.longest = max(self.longest, *map(len, inputs))
            read: torch.Tensor = extend(caches, inputs, keep)
            return read

        monkeypatch.setattr(model, "extend", counted)


def ask_at_once(tiny: LoadedModel, prompts: list[str], soft_prompt: Path | None = None) -> list[Generation]:
    """Ask a new generator, which begins only once all prompts are waiting."""
    all_wait = threading.Event()

    def load() -> LoadedModel:
        assert all_wait.wait(60)
        return tiny

    generator = Generator(load)
    try:
        futures = [generator.submit(prompt, PARAMETERS, soft_prompt, None) for prompt in prompts]
        all_wait.set()
        return [future.result(timeout=60) for future in futures]
    finally:
        generator.close()


def check(tiny: LoadedModel, network: Any, answer: Generation, tokens: list[int], virtual: torch.Tensor) -> None:
    """Hold an answer to the plain forward over the soft prompt, its prompt and itself."""
    answered = [tiny.tokenizer.convert_tokens_to_ids(token.name) for token in answer.tokens]
    embedded = network.get_input_embeddings()(torch.tensor(tokens + answered))
    with torch.no_grad():
        logits = network(inputs_embeds=torch.cat([virtual, embedded])[None]).logits[0]
    scores = logits[len(virtual) + len(tokens) - 1 : -1].log_softmax(-1)
    expected = [float(scores[place, token]) for place, token in enumerate(answered)]
    assert [token.logprob for token in answer.tokens] == pytest.approx(expected, abs=1e-4)
    assert len(answered) == 6


def common(texts: list[list[int]]) -> int:
    return next(place for place, tokens in enumerate(zip(*texts, strict=False)) if len(set(tokens)) > 1)


@pytest.mark.parametrize("part", [1024, 20])
@pytest.mark.parametrize("soft", [False, True])
def test_prompts_asked_at_once_share_what_they_begin_with(
    tiny: LoadedModel,
    tiny_network: Any,
    settings: TuningSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: int,
    soft: bool,
) -> None:
    monkeypatch.setattr(prefill, "READ_TOGETHER", part)
    virtual, folder, verbalizer = torch.empty(0, 16), None, "{{input}}"
    if soft:
        virtual, folder, verbalizer = torch.randn(5, 16), tmp_path / "soft", settings.verbalizer
        save(folder, virtual, "tiny", settings)
    reader = Reader(tiny.model, monkeypatch)
    answers = ask_at_once(tiny, FEW_SHOT, folder)
    texts: list[list[int]] = tiny.tokenizer([wrap(verbalizer, prompt) for prompt in FEW_SHOT])["input_ids"]
    shared = common(texts)
    assert shared > len(EXAMPLES)
    generated = len(FEW_SHOT) * 5  # the last token of an answer is never read
    own = sum(len(text) - shared for text in texts)
    # Some have more in common than all have; that may be read once, too.
    assert shared + len(virtual) < reader.tokens <= shared + own + generated + len(virtual)
    assert reader.longest <= part
    for answer, tokens in zip(answers, texts, strict=True):
        check(tiny, tiny_network, answer, tokens, virtual)


def test_a_prompt_that_comes_later_resumes_from_one_that_is_being_answered(
    tiny: LoadedModel, tiny_network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(tiny.model, monkeypatch)
    began, later = threading.Event(), threading.Event()

    def on_part(_: Generation) -> None:
        began.set()
        assert later.wait(60)

    generator = Generator(lambda: tiny)
    try:
        first = generator.submit(FEW_SHOT[0], PARAMETERS, None, on_part)
        assert began.wait(60)
        before = reader.tokens
        second = generator.submit(FEW_SHOT[2], PARAMETERS, None, None)
        later.set()
        answers = [first.result(timeout=60), second.result(timeout=60)]
    finally:
        generator.close()
    texts = tiny.tokenizer([FEW_SHOT[0], FEW_SHOT[2]])["input_ids"]
    assert reader.tokens - before <= len(texts[1]) - common(texts) + 10
    for answer, tokens in zip(answers, texts, strict=True):
        check(tiny, tiny_network, answer, tokens, torch.empty(0, 16))


def test_short_beginnings_and_other_prompts_are_not_shared(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(tiny.model, monkeypatch)
    prompts = ["a" * (LEAST_SHARED - 1) + "bc", "a" * (LEAST_SHARED - 1) + "cb", "something else altogether"]
    ask_at_once(tiny, prompts)
    assert reader.tokens == sum(map(len, tiny.tokenizer(prompts)["input_ids"])) + 3 * 5


def test_the_same_prompt_twice_is_read_once(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(tiny.model, monkeypatch)
    once, again = ask_at_once(tiny, [FEW_SHOT[0]] * 2)
    assert once == again
    assert reader.tokens == len(tiny.tokenizer(FEW_SHOT[:1])["input_ids"][0]) + 1 + 2 * 5
