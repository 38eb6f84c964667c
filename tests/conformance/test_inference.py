"""Generation, streaming, tokenization and chat."""

import asyncio
from typing import Any

import pytest
from ibm_watsonx_ai.foundation_models import ModelInference
from ibm_watsonx_ai.utils.warnings import WatsonxAPIWarning
from ibm_watsonx_ai.wml_client_error import WMLClientError

from .conftest import ALIAS, SERVING_NAME, TINY, Lesson


@pytest.fixture
def base(client: Any) -> Any:
    return ModelInference(model_id=TINY, api_client=client)


@pytest.fixture
def tuned(client: Any, lesson: Lesson) -> Any:
    return ModelInference(deployment_id=lesson.deployment_id, api_client=client)


def test_generate(base: Any, tuned: Any) -> None:
    for model in (base, tuned):
        result: dict[str, Any] = model.generate(prompt="How was it?", params={"max_new_tokens": 3})["results"][0]
        assert result["generated_token_count"] <= 3
        assert result["input_token_count"] > 0
        assert result["stop_reason"] in ("max_tokens", "eos_token")


def test_stream_is_the_answer(base: Any, tuned: Any) -> None:
    for model in (base, tuned):
        streamed = "".join(model.generate_text_stream(prompt="How was it?"))
        assert streamed == model.generate_text(prompt="How was it?")
        last = list(model.generate_text_stream(prompt="How was it?", raw_response=True))[-1]
        assert last["results"][0]["stop_reason"] != "not_finished"


def test_asynchronous(base: Any, async_client: Any) -> None:
    model = ModelInference(model_id=TINY, api_client=async_client)

    async def ask() -> tuple[str, str]:
        answer = await model.agenerate(prompt="How was it?")
        stream = await model.agenerate_stream(prompt="How was it?")
        return answer["results"][0]["generated_text"], "".join([_text(piece) async for piece in stream])

    assert asyncio.run(ask()) == (base.generate_text(prompt="How was it?"),) * 2


def _text(piece: Any) -> str:
    return str(piece if isinstance(piece, str) else piece["results"][0]["generated_text"])


def test_unordered(base: Any) -> None:
    answers = list(base.generate(prompt=["one", "two", "three"], async_mode=True))
    assert {answer["results"][0]["input_text"] for answer in answers} == {"one", "two", "three"}


def test_tokenize(base: Any, tuned: Any) -> None:
    result = base.tokenize("How was it?", return_tokens=True)["result"]
    assert result["token_count"] == len(result["tokens"]) > 0
    assert "tokens" not in base.tokenize("How was it?")["result"]
    with pytest.raises(WMLClientError):
        tuned.tokenize("How was it?")


def test_chat(base: Any) -> None:
    messages = [{"role": "user", "content": "Hello!"}]
    parameters = {"max_tokens": 4, "temperature": 0}
    answer = base.chat(messages=messages, params=parameters)
    assert answer["usage"]["completion_tokens"] <= 4
    pieces = [
        chunk["choices"][0]["delta"]["content"] for chunk in base.chat_stream(messages=messages, params=parameters)
    ]
    assert "".join(pieces) == answer["choices"][0]["message"]["content"]


def test_prompt_tuned_deployments_do_not_chat(tuned: Any) -> None:
    with pytest.raises(WMLClientError, match=r"(?i)chat"):
        tuned.chat(messages=[{"role": "user", "content": "Hello!"}])


def test_serving_name_in_the_path(client: Any, lesson: Lesson, tuned: Any) -> None:
    answer = client.httpx_client.post(
        f"{client.credentials.url}/ml/v1/deployments/{SERVING_NAME}/text/generation",
        headers=client._get_headers(),
        json={"input": "How was it?"},
    )
    assert answer.json()["results"][0]["generated_text"] == tuned.generate_text(prompt="How was it?")


def test_specs(client: Any) -> None:
    spec = client.foundation_models.get_model_specs(TINY)
    assert spec["lifecycle"][0]["id"] == "available"
    alias = client.foundation_models.get_model_specs(ALIAS)
    assert "not that model" in alias["short_description"]
    listed = client.foundation_models.get_model_specs(filters="modelid_nothing")
    assert listed["resources"] == []


def test_alias_warns(client: Any) -> None:
    model = ModelInference(model_id=ALIAS, api_client=client)
    with pytest.warns(WatsonxAPIWarning, match="it is not that model"):
        model.generate_text(prompt="Who are you?")


def test_wrong_parameter(base: Any) -> None:
    with pytest.raises(WMLClientError, match="max_new_tokens must be a whole number"):
        base.generate_text(prompt="x", params={"max_new_tokens": -1})


def test_unknown_model(client: Any) -> None:
    with pytest.raises(WMLClientError, match="Supported models"):
        ModelInference(model_id="ibm/unknown", api_client=client)
