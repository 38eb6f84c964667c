"""All that litellm offers of what the runtime implements: chat, text generation, and requests passed through."""

import asyncio
import json
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it looks for prices on the network otherwise

import litellm
from litellm.llms.watsonx.common_utils import WatsonXAIError

from tests.clients.shared import (
    BASE_MODEL,
    DEPLOYMENT_ID,
    LABEL_SCHEMA,
    LABELS,
    UNKNOWN_ID,
    UNKNOWN_MODEL,
    WRONG_KEY,
    WRONG_MODEL,
    refused,
    wait_for_the_end_of_the_runtime,
)

litellm.suppress_debug_info = True

CHAT = f"watsonx/{BASE_MODEL}"
# Of text generation, version 1.110.2 makes a prompt for models with such a name, and sends others none.
TEXT = "watsonx_text/ibm/granite-chat"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
VERSION = {"version": "2026-10-14"}


def complete(model: str = CHAT, **settings: Any) -> Any:
    """Complete the messages; greedily and in few words, unless told otherwise."""
    return litellm.completion(**{"model": model, "messages": MESSAGES, "temperature": 0, "max_tokens": 6, **settings})


def content(answer: Any) -> str:
    """Give the text of an answer."""
    return str(answer.choices[0].message.content)


def join(pieces: Any) -> str:
    """Give the whole of a stream."""
    return "".join(piece.choices[0].delta.content or "" for piece in pieces)


async def complete_asynchronously(model: str) -> tuple[str, str]:
    """Give the answer to the messages, at once and as a stream."""
    settings: dict[str, Any] = {"model": model, "messages": MESSAGES, "temperature": 0, "max_tokens": 6}
    stream = await litellm.acompletion(**settings, stream=True)
    return content(await litellm.acompletion(**settings)), join([piece async for piece in stream])


def chat() -> None:
    """Chat: at once, as streams, asynchronously, with log-probabilities, up to a stop sequence."""
    answer = complete()
    assert answer.usage.completion_tokens == 6
    assert answer.choices[0].finish_reason == "length"
    assert join(complete(stream=True)) == content(answer)
    *_, last = complete(stream=True, stream_options={"include_usage": True})
    assert last.usage.total_tokens == answer.usage.total_tokens
    assert asyncio.run(complete_asynchronously(CHAT)) == (content(answer), content(answer))

    likely = complete(logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in likely)
    sampled: dict[str, Any] = {
        "temperature": 1,
        "top_p": 0.9,
        "seed": 3,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
    }
    assert content(complete(**sampled)) == content(complete(**sampled))
    longer = content(complete(max_tokens=60))
    letter = next(letter for letter in longer if letter.isascii() and letter.isprintable())
    assert complete(max_tokens=60, stop=[letter]).choices[0].finish_reason == "stop"
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    assert "tools is not offered by the local runtime" in str(complete(tools=tools).system)


def constrain_answers() -> None:
    """Let the answer be one of several, or JSON."""
    assert content(complete(guided_choice=LABELS, max_tokens=60)) in LABELS
    wanted = {"type": "json_schema", "json_schema": {"name": "judgement", "strict": True, "schema": LABEL_SCHEMA}}
    assert json.loads(content(complete(response_format=wanted, max_tokens=60)))["label"] in LABELS


def generate_text() -> None:
    """Generate text with a base model: at once, as streams, asynchronously."""
    answer = complete(TEXT, decoding_method="greedy")
    assert answer.usage.completion_tokens == 6
    assert join(complete(TEXT, decoding_method="greedy", stream=True)) == content(answer)
    assert asyncio.run(complete_asynchronously(TEXT)) == (content(answer), content(answer))
    sampled: dict[str, Any] = {"decoding_method": "sample", "temperature": 1, "top_k": 20, "seed": 3, "min_tokens": 2}
    assert content(complete(TEXT, **sampled)) == content(complete(TEXT, **sampled))
    with refused(litellm.BadRequestError, "input is missing: give it the prompt"):
        complete(f"watsonx_text/deployment/{DEPLOYMENT_ID}")


def pass_through(method: str, endpoint: str, **settings: Any) -> Any:
    """Send a request that litellm signs, and nothing more."""
    provider = {"model": CHAT, "custom_llm_provider": "watsonx", "request_query_params": VERSION}
    return litellm.llm_passthrough_route(method=method, endpoint=endpoint, **provider, **settings).json()


def use_what_is_passed_through() -> None:
    """List models, count tokens, and use a deployment."""
    models = pass_through("GET", "/ml/v1/foundation_model_specs")["resources"]
    assert BASE_MODEL in [model["model_id"] for model in models]
    text = {"model_id": BASE_MODEL, "project_id": os.environ["WATSONX_PROJECT_ID"], "input": "Hi there"}
    counted = pass_through("POST", "/ml/v1/text/tokenization", json=text)
    assert counted["result"]["token_count"] == len("Hi there")  # the tiny model's tokens are bytes
    answer = pass_through("POST", f"/ml/v1/deployments/{DEPLOYMENT_ID}/text/generation", json={"input": "Hi"})
    assert answer["results"][0]["generated_token_count"] > 0
    with refused(WatsonXAIError, "There is no deployment with the id or serving name"):
        pass_through("POST", f"/ml/v1/deployments/{UNKNOWN_ID}/text/generation", json={"input": "Hi"})


def fail() -> None:
    """Get the client's own errors, with the runtime's words in them."""
    for provider in ("watsonx", "watsonx_text"):
        unknown = f"{provider}/{UNKNOWN_MODEL}"
        with refused(litellm.NotFoundError, WRONG_MODEL):
            complete(unknown)
        with refused(litellm.NotFoundError, WRONG_MODEL):
            list(complete(unknown, stream=True))
    with refused(litellm.BadRequestError, WRONG_KEY):
        complete(api_key="wrong")
    with refused(litellm.BadRequestError, "temperature must be a number from 0 to 2"):
        complete(temperature=9)
    with refused(litellm.BadRequestError, "the local runtime gives one answer to a request"):
        complete(n=2)
    with refused(litellm.BadRequestError, "A prompt-tuned deployment does not chat"):
        complete(f"watsonx/deployment/{DEPLOYMENT_ID}")


def main() -> None:
    """Make every call, and some more once the runtime has stopped."""
    chat()
    constrain_answers()
    generate_text()
    use_what_is_passed_through()
    fail()
    wait_for_the_end_of_the_runtime()
    for call in (
        complete,
        lambda: list(complete(stream=True)),
        lambda: complete(TEXT),
        lambda: complete(api_key="another, for which there is no token yet"),
    ):
        with refused(litellm.APIConnectionError, "Connection refused"):
            call()


if __name__ == "__main__":
    main()
