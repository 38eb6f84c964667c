"""Generation, streaming, tokenization and chat: at once, in streams and asynchronously."""

import asyncio
from collections.abc import AsyncIterable
from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.wml_client_error import WMLClientError

from tests.support.lesson import Lesson
from tests.support.service import NAME

pytestmark = pytest.mark.watsonx
PROMPT = "How was it?"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]
CHAT = {"max_tokens": 4, "temperature": 0}


@pytest.fixture
def base(client: Any, text_model: str) -> Any:
    return ModelInference(model_id=text_model, api_client=client)


@pytest.fixture
def tuned(client: Any, lesson: Lesson) -> Any:
    return ModelInference(deployment_id=lesson.deployment_id, api_client=client)


@pytest.fixture
def chatting(client: Any, chat_model: str) -> Any:
    return ModelInference(model_id=chat_model, api_client=client)


@pytest.fixture(params=["base", "tuned"])
def model(request: pytest.FixtureRequest) -> Any:
    """The base model, then the tuned one."""
    return request.getfixturevalue(request.param)


def test_generate(model: Any) -> None:
    answer = model.generate(prompt=PROMPT, params={"max_new_tokens": 3})
    assert answer["model_id"]
    assert answer["created_at"]
    result: dict[str, Any] = answer["results"][0]
    assert result["generated_token_count"] <= 3
    assert result["input_token_count"] > 0
    assert result["stop_reason"] in ("max_tokens", "eos_token")


def test_greedy_answers_repeat_and_seeded_ones_too(base: Any) -> None:
    seeded = {"decoding_method": "sample", "random_seed": 7, "temperature": 1.5, "max_new_tokens": 5}
    for parameters in ({}, seeded):
        assert base.generate_text(prompt=PROMPT, params=parameters) == base.generate_text(
            prompt=PROMPT, params=parameters
        )


def test_answers_end_with_the_stop_sequence(base: Any) -> None:
    text = base.generate_text(prompt=PROMPT, params={"max_new_tokens": 10})
    stop = text[len(text) // 2]
    parameters = {"max_new_tokens": 10, "stop_sequences": [stop]}
    result = base.generate(prompt=PROMPT, params=parameters)["results"][0]
    assert result["stop_reason"] == "stop_sequence"
    assert result["generated_text"].endswith(stop)
    without = base.generate_text(prompt=PROMPT, params={**parameters, "include_stop_sequence": False})
    assert without == result["generated_text"].removesuffix(stop)


def test_stream_is_the_answer(model: Any) -> None:
    assert "".join(model.generate_text_stream(prompt=PROMPT)) == model.generate_text(prompt=PROMPT)
    events = list(model.generate_text_stream(prompt=PROMPT, raw_response=True))
    assert events[-1]["results"][0]["stop_reason"] != "not_finished"


@pytest.mark.parametrize("kind", ["base", "tuned"])
def test_asynchronous(kind: str, request: pytest.FixtureRequest, async_client: Any) -> None:
    model = request.getfixturevalue(kind)
    names = {"model_id": model.model_id} if kind == "base" else {"deployment_id": model.deployment_id}
    other = ModelInference(**names, api_client=async_client)

    async def ask() -> tuple[str, str]:
        answer = await other.agenerate(prompt=PROMPT)
        stream = await other.agenerate_stream(prompt=PROMPT)
        return answer["results"][0]["generated_text"], await _joined(stream)

    assert asyncio.run(ask()) == (model.generate_text(prompt=PROMPT),) * 2


async def _joined(stream: AsyncIterable[Any]) -> str:
    return "".join([_text(piece) async for piece in stream])


def _text(piece: Any) -> str:
    return str(piece if isinstance(piece, str) else piece["results"][0]["generated_text"])


def test_unordered(base: Any) -> None:
    answers = list(base.generate(prompt=["one", "two", "three"], async_mode=True))
    assert {answer["results"][0]["input_text"] for answer in answers} == {"one", "two", "three"}


def test_deployments_answer_by_themselves(client: Any, lesson: Lesson, tuned: Any) -> None:
    """``client.deployments`` finds the address of each operation in the deployment's details."""
    said = tuned.generate_text(prompt=PROMPT)
    assert client.deployments.generate_text(lesson.deployment_id, PROMPT) == said
    assert client.deployments.generate(lesson.deployment_id, PROMPT)["results"][0]["generated_text"] == said
    assert "".join(client.deployments.generate_text_stream(lesson.deployment_id, PROMPT)) == said


def test_tokenize(base: Any, tuned: Any) -> None:
    result = base.tokenize(PROMPT, return_tokens=True)["result"]
    assert result["token_count"] == len(result["tokens"]) > 0
    assert "tokens" not in base.tokenize(PROMPT)["result"]
    with pytest.raises(WMLClientError):
        tuned.tokenize(PROMPT)


def test_chat(chatting: Any, async_client: Any) -> None:
    answer = chatting.chat(messages=MESSAGES, params=CHAT)
    said = answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["completion_tokens"] <= 4
    assert answer["usage"]["prompt_tokens"] > 0
    chunks = list(chatting.chat_stream(messages=MESSAGES, params=CHAT))
    assert _said(chunks) == said

    async def ask() -> tuple[str, str]:
        other = ModelInference(model_id=chatting.model_id, api_client=async_client)
        whole = await other.achat(messages=MESSAGES, params=CHAT)
        pieces = [chunk async for chunk in await other.achat_stream(messages=MESSAGES, params=CHAT)]
        return whole["choices"][0]["message"]["content"], _said(pieces)

    assert asyncio.run(ask()) == (said, said)


def _said(chunks: list[dict[str, Any]]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])


def test_prompt_tuned_deployments_do_not_chat(tuned: Any, lesson: Lesson, async_client: Any) -> None:
    with pytest.raises(WMLClientError, match=r"(?i)chat"):
        tuned.chat(messages=MESSAGES)
    with pytest.raises(WMLClientError, match=r"(?i)chat"):
        list(tuned.chat_stream(messages=MESSAGES))
    other = ModelInference(deployment_id=lesson.deployment_id, api_client=async_client)
    with pytest.raises(WMLClientError, match=r"(?i)chat"):
        asyncio.run(other.achat(messages=MESSAGES))


@pytest.mark.parametrize("operation", ["generation", "generation_stream"])
def test_serving_name_in_the_path(client: Any, lesson: Lesson, tuned: Any, operation: str) -> None:
    """The SDK names a deployment by its id; other clients by its serving name."""
    answer = client.httpx_client.post(
        f"{client.credentials.url}/ml/v1/deployments/{NAME}/text/{operation}",
        headers=client.get_headers(),
        params={"version": client.version_param},
        json={"input": PROMPT, "parameters": {"max_new_tokens": 1}},
    )
    assert answer.status_code == 200
    said = tuned.generate_text(prompt=PROMPT, params={"max_new_tokens": 1})
    if operation == "generation":
        assert answer.json()["results"][0]["generated_text"] == said
    else:
        assert "text/event-stream" in answer.headers["content-type"]
