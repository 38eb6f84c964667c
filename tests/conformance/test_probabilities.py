"""What the service says of tokens, and what the helper makes of it: return options, log-probabilities and choices."""

import math
from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference

from prompt_tuning_helpers import label_probabilities
from tests.support.lesson import Lesson

pytestmark = pytest.mark.watsonx
PROMPT = "How was it?"
OPTIONS = {
    "input_text": True,
    "input_tokens": True,
    "generated_tokens": True,
    "token_logprobs": True,
    "token_ranks": True,
    "top_n_tokens": 2,
}
PARAMETERS = {"max_new_tokens": 3, "return_options": OPTIONS}
MESSAGES = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(params=["base", "tuned"])
def model(request: pytest.FixtureRequest, client: Any, text_model: str) -> Any:
    """The base model, then the tuned one."""
    if request.param == "base":
        return ModelInference(model_id=text_model, api_client=client)
    lesson: Lesson = request.getfixturevalue("lesson")
    return ModelInference(deployment_id=lesson.deployment_id, api_client=client)


@pytest.fixture
def chatting(client: Any, chat_model: str) -> Any:
    return ModelInference(model_id=chat_model, api_client=client)


def test_tokens_are_described(model: Any) -> None:
    result = model.generate(prompt=PROMPT, params=PARAMETERS)["results"][0]
    assert result["input_text"] == PROMPT
    assert len(result["input_tokens"]) == result["input_token_count"]
    assert len(result["generated_tokens"]) == result["generated_token_count"]
    for token in result["generated_tokens"]:
        # Greedy decoding takes the likeliest.
        assert token["rank"] == 1
        assert token["top_tokens"][0] == {"text": token["text"], "logprob": token["logprob"]}
        assert token["logprob"] <= 0
        assert sum(math.exp(other["logprob"]) for other in token["top_tokens"]) <= 1 + 1e-6
    for token in result["input_tokens"][1:]:
        assert token["logprob"] <= 0
        assert token["rank"] >= 1


def test_streams_describe_tokens_too(model: Any) -> None:
    whole = model.generate(prompt=PROMPT, params=PARAMETERS)["results"][0]
    parts = [event["results"][0] for event in model.generate_text_stream(PROMPT, PARAMETERS, raw_response=True)]
    streamed = [token for part in parts for token in part.get("generated_tokens", [])]
    assert [token["text"] for token in streamed] == [token["text"] for token in whole["generated_tokens"]]
    logprobs = [token["logprob"] for token in whole["generated_tokens"]]
    assert [token["logprob"] for token in streamed] == pytest.approx(logprobs, abs=1e-4)
    (described,) = [part["input_tokens"] for part in parts if part.get("input_tokens")]
    assert [token["text"] for token in described] == [token["text"] for token in whole["input_tokens"]]


def test_the_probabilities_of_labels(model: Any) -> None:
    prompt, logprobs = _find_labels(model)
    table = label_probabilities(model, [prompt, prompt], list(logprobs))
    assert list(table.columns) == list(logprobs)
    for label, logprob in logprobs.items():
        # A hosted model may give the same word once more, with a blank before it.
        for probability in table[label]:
            assert math.exp(logprob) * 0.95 <= probability <= 1


def _find_labels(model: Any) -> tuple[str, dict[str, float]]:
    """A prompt with words or letters among its likeliest tokens, and these with their log-probabilities."""
    prompts = [PROMPT, *"abcdefghijklmnopqrstuvwxyz"]
    options = {"generated_tokens": True, "token_logprobs": True, "top_n_tokens": 5}
    answers = model.generate(prompts, {"max_new_tokens": 1, "return_options": options})
    for prompt, answer in zip(prompts, answers, strict=True):
        likely = answer["results"][0]["generated_tokens"][0]["top_tokens"]
        words = {token["text"]: token["logprob"] for token in likely if token["text"].isascii()}
        words = {text: logprob for text, logprob in words.items() if text.isalnum()}
        if words and len({text[0] for text in words}) == len(words):
            return prompt, words
    raise AssertionError("No prompt has words among its likeliest tokens.")


def test_chat_gives_log_probabilities(chatting: Any) -> None:
    parameters = {"max_tokens": 4, "temperature": 0, "logprobs": True, "top_logprobs": 2}
    choice = chatting.chat(messages=MESSAGES, params=parameters)["choices"][0]
    content = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in content) == choice["message"]["content"]
    for token in content:
        assert token["logprob"] == token["top_logprobs"][0]["logprob"] <= 0
        assert len(token["top_logprobs"]) == 2
    chunks = list(chatting.chat_stream(messages=MESSAGES, params=parameters))
    streamed = [
        token
        for chunk in chunks
        for choice in chunk["choices"]
        for token in (choice.get("logprobs") or {}).get("content", [])
    ]
    assert [token["token"] for token in streamed] == [token["token"] for token in content]


def test_chat_answers_with_one_of_the_choices(chatting: Any) -> None:
    for choices in (["red", "blue"], ["blue"]):
        answer = chatting.chat(messages=MESSAGES, params={"guided_choice": choices, "max_tokens": 10})
        assert answer["choices"][0]["message"]["content"] in choices
