"""Canned answers: which prompts they answer, in which order, whole or as a stream."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prompt_tuning_helpers.engine import Generation, GenerationParameters, GenerationRequest
from prompt_tuning_helpers.runtime.context import Runtime
from prompt_tuning_helpers.runtime.controls.answers import FLAGS, Answer, Answers, Key
from prompt_tuning_helpers.runtime.controls.generation import give
from prompt_tuning_helpers.runtime.http.errors import ApiError
from tests.support.calls import BASE, events
from tests.support.controls import EXAMPLES, GENERATE, SAME_RUNTIME, ask, own, text


def test_answers_in_the_models_place(client: TestClient, project: dict[str, str], control: Callable[..., Any]) -> None:
    control("PUT", "/answers", json={"prompt": "say hello", "answers": ["Good day to you."]})
    answer = ask(client, project, "say hello")
    assert answer.json()["results"] == [
        {
            "generated_text": "Good day to you.",
            "generated_token_count": 4,
            "input_token_count": 2,
            "stop_reason": "eos_token",
        }
    ]
    assert text(ask(client, project, "say hello again")) == "again"
    control("PUT", "/answers", json={"prompt": "say hello", "answers": []})
    assert text(ask(client, project, "say hello")) == "hello"


def test_a_stream_says_the_same(client: TestClient, project: dict[str, str], control: Callable[..., Any]) -> None:
    said = " Good  day\nto you. "
    cut = {"text": said, "stop_reason": "max_tokens"}
    control("PUT", "/answers", json={"prompt": "say hello", "answers": [cut]})
    parts = [event["results"][0] for event in events(ask(client, project, "say hello", f"{GENERATE}_stream").text)]
    assert "".join(part["generated_text"] for part in parts) == said
    assert [part["stop_reason"] for part in parts] == ["not_finished"] * 4 + ["max_tokens"]
    counts = [part["generated_token_count"] for part in parts]
    assert counts == sorted(counts)
    assert counts[-1] == 4


def test_a_conversation_is_known_by_its_last_message(
    client: TestClient, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control(
        "PUT", "/answers", json={"prompt": "hello", "answers": ["first", {"text": "x", "stop_reason": "max_tokens"}]}
    )
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]
    body = {"model_id": BASE, "messages": messages, **project}
    (choice,) = client.post("/ml/v1/text/chat", json=body).json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": "first"}
    assert choice["finish_reason"] == "stop"
    streamed = events(client.post("/ml/v1/text/chat_stream", json=body).text)
    assert "".join(event["choices"][0]["delta"]["content"] for event in streamed) == "x"
    assert streamed[-1]["choices"][0]["finish_reason"] == "length"


def test_deployments_answer_the_bare_prompt(
    client: TestClient, deploy: Callable[..., str], control: Callable[..., Any]
) -> None:
    deploy("by_name")
    control("PUT", "/answers", json={"prompt": "kind?", "answers": ["1"]})
    for path in ("generation", "generation_stream"):
        answer = client.post(f"/ml/v1/deployments/by_name/text/{path}", json={"input": "kind?"})
        results = [event["results"][0] for event in events(answer.text)] or answer.json()["results"]
        assert "".join(result["generated_text"] for result in results) == "1"


def test_answers_come_in_turn_and_the_last_stays(
    client: TestClient, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control("PUT", "/answers", json={"prompt": "x", "answers": ["1", "2", "3"]})
    assert [text(ask(client, project, "x")) for _ in range(5)] == ["1", "2", "3", "3", "3"]
    (rule,) = control("GET", "")["answers"]
    assert (rule["prompt"], rule["given"]) == ("x", 5)
    control("PUT", "/answers", json={"prompt": "x", "answers": ["again"]})
    assert text(ask(client, project, "x")) == "again"


def test_which_answer_comes_first(
    client: TestClient, project: dict[str, str], other: dict[str, str], control: Callable[..., Any]
) -> None:
    control("PUT", "/answers", json={"prompt": "a dog", "answers": ["whole"]})
    control("PUT", "/answers", json={"pattern": "dog", "answers": ["earlier"]})
    control("PUT", "/answers", json={"pattern": "DOG", "flags": "i", "answers": ["later"]})
    control("PUT", "/answers", json={"prompt": "a cat", "answers": ["everywhere"]})
    control("PUT", "/answers", json={"prompt": "a cat", "answers": ["here"], **project})
    assert text(ask(client, project, "a dog")) == "whole"
    assert text(ask(client, project, "a dog!")) == "later"
    assert text(ask(client, project, "a cat")) == "here"
    assert text(ask(client, other, "a cat")) == "everywhere"
    control("PUT", "/answers", json={"pattern": "dog", "answers": ["renewed"]})
    assert text(ask(client, project, "a dog!")) == "renewed"


def test_a_pattern_that_never_ends_is_told(
    client: TestClient, project: dict[str, str], control: Callable[..., Any]
) -> None:
    control("PUT", "/answers", json={"pattern": r"(x+x+)+(?<!x)y", "answers": ["never"]})
    answer = ask(client, project, "x" * 5000)
    assert answer.status_code == 400
    assert "was not done with this prompt" in answer.json()["errors"][0]["message"]
    assert text(ask(client, project, "z")) == "z"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"answers": ["x"]}, "either a prompt"),
        ({"prompt": "x", "pattern": "x", "answers": []}, "either a prompt"),
        ({"pattern": "(", "answers": ["x"]}, "no regular expression"),
        ({"pattern": "x", "flags": "q", "answers": ["x"]}, "flags are"),
        ({"prompt": "x", "flags": "i", "answers": ["x"]}, "flags are"),
        ({"prompt": "x"}, "answers must be a list"),
        ({"prompt": "x", "answers": "x"}, "answers must be a list"),
        ({"prompt": "x", "answers": [5]}, r"answers\[0\].text must be a string"),
        ({"prompt": "x", "answers": ["1", {}]}, r"answers\[1\].text is missing"),
        ({"prompt": "x", "answers": [{"text": "x", "stop_reason": "tired"}]}, "stop_reason must be one of"),
        ({"prompt": "x", "answers": ["x"], "project_id": "nowhere"}, "is not there"),
        ({"prompt": "x", "answers": ["x"], "model": "x"}, "There is no field"),
    ],
)
def test_answers_that_cannot_be_used(client: TestClient, runtime: Runtime, body: dict[str, Any], said: str) -> None:
    answer = client.put("/test-controls/answers", headers=own(runtime), json=body)
    assert answer.status_code in (400, 404)
    assert re.search(said, answer.json()["errors"][0]["message"])
    assert client.get("/test-controls", headers=own(runtime)).json()["answers"] == []


PATTERNS = st.text(max_size=30) | st.from_regex(r"[a-z()\[\]{}0-9,?*+|^$\\.<>=!:-]{0,30}", fullmatch=True)


@EXAMPLES
@given(pattern=PATTERNS, flags=st.sets(st.sampled_from(sorted(FLAGS))), prompt=st.text(max_size=30))
def test_any_pattern_is_used_or_refused(pattern: str, flags: set[str], prompt: str) -> None:
    """What Python's own module takes means the same here; nothing else happens than a match, none, or a clear no."""
    answers, key = Answers(), Key(None, pattern=pattern, flags="".join(sorted(flags)))
    found, refusal = None, None
    try:
        answers.put(key, [Answer("yes")])
        found = answers.find(prompt, "project")
    except ApiError as error:
        refusal = error
    assert found in (None, Answer("yes"))
    assert refusal is None or (refusal.status == 400 and refusal.message.startswith("The pattern "))


@EXAMPLES
@given(
    literal=st.text(min_size=1, max_size=10),
    before=st.text(max_size=10),
    after=st.text(max_size=10),
    anchored=st.booleans(),
)
def test_patterns_are_searched_as_python_does(literal: str, before: str, after: str, anchored: bool) -> None:
    pattern, prompt = ("^" if anchored else "") + re.escape(literal) + "[ab]?", before + literal + after
    answers = Answers()
    answers.put(Key(None, pattern=pattern), [Answer("yes")])
    for asked in (prompt, before, after):
        assert (answers.find(asked, None) is not None) == (re.search(pattern, asked) is not None)


@SAME_RUNTIME
@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"])), answer=st.text(st.characters(exclude_categories=["Cs"]))
)
def test_any_prompt_and_any_answer(client: TestClient, runtime: Runtime, prompt: str, answer: str) -> None:
    project = {"project_id": runtime.secrets.project_id}
    rule = {"prompt": prompt, "answers": [answer]}
    assert client.put("/test-controls/answers", headers=own(runtime), json=rule).status_code == 204
    assert text(ask(client, project, prompt)) == answer
    streamed = events(ask(client, project, prompt, f"{GENERATE}_stream").text)
    assert "".join(event["results"][0]["generated_text"] for event in streamed) == answer


@EXAMPLES
@given(st.text())
def test_the_parts_of_an_answer_are_all_of_it(said: str) -> None:
    parts: list[Generation] = []
    request = GenerationRequest(BASE, "a prompt", GenerationParameters())
    whole = give(Answer(said), request, lambda _, words: len(words), parts.append).result()
    assert whole.text == said == "".join(part.text for part in parts)
    counts = [part.generated_token_count for part in parts]
    assert counts == sorted(counts)
    assert max(counts, default=0) <= whole.generated_token_count
