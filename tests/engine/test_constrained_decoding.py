"""Guided answers are what they must be, always, and the likeliest of what they may be where that is certain."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompt_tuning_helpers.engine import Engine, EngineError, Generation, GenerationParameters, GenerationRequest, Guide

MODEL = "tiny"
SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "stars": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["label", "stars"],
    "additionalProperties": False,
}
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine({MODEL: "tiny"})
    yield engine
    engine.close()


def ask(engine: Engine, guide: Guide, prompt: str = "a dog", **parameters: Any) -> Generation:
    given = GenerationParameters(**{"max_new_tokens": 200, "guide": guide, **parameters})
    return engine.generate(GenerationRequest(MODEL, prompt, given)).result(timeout=60)


@MANY
@given(
    choices=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=1, max_size=5),
    method=st.sampled_from(["greedy", "sample"]),
    least=st.integers(0, 9),
)
def test_an_answer_is_one_of_the_choices(engine: Engine, choices: list[str], method: str, least: int) -> None:
    answer = ask(engine, Guide("choice", tuple(choices)), decoding_method=method, min_new_tokens=least)
    assert answer.text in choices
    assert answer.stop_reason == "eos_token"


def test_of_labels_of_one_token_the_likeliest_is_chosen(engine: Engine) -> None:
    free = ask(engine, Guide("choice", tuple("abc")), describe_generated=True, top_tokens=259)
    probable = {token.name: token.logprob or 0.0 for token in free.tokens[0].top}
    for labels in ("01", "xyz", "abc"):
        assert ask(engine, Guide("choice", tuple(labels))).text == max(labels, key=probable.__getitem__)


def test_a_choice_may_begin_like_another(engine: Engine) -> None:
    """Where one ends and another goes on, the model decides."""
    guide = Guide("choice", ("1", "10"))
    answers = {
        ask(engine, guide, decoding_method="sample", random_seed=seed, temperature=3.0).text for seed in range(40)
    }
    assert answers == {"1", "10"}


def test_a_bias_chooses(engine: Engine) -> None:
    guide = Guide("choice", ("yes", "no"))
    for label in ("yes", "no"):
        first = ord(label[0]) - ord("!") + 3  # the specials, then the printable characters in their order
        assert ask(engine, guide, logit_bias={first: 100.0}).text == label


@pytest.mark.parametrize(
    ("guide", "good"),
    [
        (Guide("regex", "[ab]{3}-[0-9]+x"), lambda text: re.fullmatch("[ab]{3}-[0-9]+x", text)),
        (Guide("json", json.dumps(SCHEMA)), lambda text: _fits(json.loads(text))),
        (Guide("grammar", 'root ::= rating " stars"\nrating ::= [1-5]'), lambda text: text[1:] == " stars"),
    ],
    ids=["regex", "json", "grammar"],
)
def test_an_answer_matches(engine: Engine, guide: Guide, good: Any) -> None:
    pytest.importorskip("llguidance")
    answers = [ask(engine, guide, decoding_method="sample", random_seed=seed) for seed in range(1, 9)]
    assert len({answer.text for answer in answers}) > 1
    for answer in answers:
        assert answer.stop_reason == "eos_token"
        assert good(answer.text)


def _fits(document: dict[str, Any]) -> bool:
    return list(document) == ["label", "stars"] and document["label"] in ("good", "bad") and 1 <= document["stars"] <= 5


@pytest.mark.parametrize(
    ("kind", "value"),
    [("regex", "(a"), ("json", "5"), ("json", '{"type": "robot"}'), ("grammar", "root ::= (")],
)
def test_guides_that_say_nothing_are_refused(engine: Engine, kind: str, value: str) -> None:
    pytest.importorskip("llguidance")
    with pytest.raises(EngineError, match=f"cannot be held to this {kind}: .+"):
        ask(engine, Guide(kind, value))


def test_without_the_package_it_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(EngineError, match="pip install llguidance"):
        ask(engine, Guide("regex", "a"))
    assert ask(engine, Guide("choice", ("a",))).text == "a"


def test_a_special_token_is_no_choice(engine: Engine) -> None:
    with pytest.raises(EngineError, match="cannot be written"):
        ask(engine, Guide("choice", ("<|endoftext|>",)))
