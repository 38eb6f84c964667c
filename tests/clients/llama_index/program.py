"""All that llama-index-llms-ibm offers of what the runtime implements: completions, chat, what a model can do."""

import asyncio
import json
import re
from typing import Any

import httpx
from ibm_watsonx_ai.wml_client_error import (
    ApiRequestFailure,
    InvalidCredentialsError,
    UnsupportedOperation,
    WMLClientError,
)
from llama_index.core.llms import ChatMessage
from llama_index.llms.ibm import WatsonxLLM

from tests.clients.shared import (
    BASE_MODEL,
    DEPLOYMENT_ID,
    LABEL_SCHEMA,
    LABELS,
    UNKNOWN_ID,
    UNKNOWN_MODEL,
    WRONG_KEY,
    WRONG_MODEL,
    make_client,
    refused,
    wait_for_the_end_of_the_runtime,
    warned,
)

PROMPT = "Hi"
MESSAGES = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=PROMPT)]
# The same answer to the same messages.
BRIEF = {"temperature": 0, "max_completion_tokens": 6}


def make_model(client: Any, **settings: Any) -> Any:
    """Make a model of few words."""
    which = {} if "deployment_id" in settings else {"model_id": BASE_MODEL}
    return WatsonxLLM(**{"api_client": client, "max_new_tokens": 6, **which, **settings})


async def last_of(stream: Any) -> Any:
    """Give the last of an asynchronous stream: it has the whole answer."""
    return [piece async for piece in await stream][-1]


def complete(client: Any) -> None:
    """Complete a prompt: at once, as streams, asynchronously, up to a stop sequence."""
    model = make_model(client)
    answer = model.complete(PROMPT)
    assert answer.raw["results"][0]["generated_token_count"] == 6
    pieces = list(model.stream_complete(PROMPT))
    assert "".join(piece.delta for piece in pieces) == pieces[-1].text == answer.text
    *_, raw = model.stream_complete(PROMPT, raw_response=True)
    assert raw.raw["results"][0]["stop_reason"] == "max_tokens"
    # The SDK's asynchronous connections belong to one event loop.
    assert asyncio.run(make_model(make_client()).acomplete(PROMPT)).text == answer.text
    assert asyncio.run(last_of(make_model(make_client()).astream_complete(PROMPT))).text == answer.text
    stopped = make_model(client, additional_params={"stop_sequences": [answer.text[0]]}).complete(PROMPT)
    assert stopped.text == answer.text[0]
    assert model.metadata.context_window == 2048
    assert model.metadata.model_name == BASE_MODEL


def use_deployment(client: Any) -> None:
    """Complete with a deployment; to the SDK those of tuned models do not chat."""
    model = make_model(client, deployment_id=DEPLOYMENT_ID)
    answer = model.complete(PROMPT).text
    assert answer != make_model(client).complete(PROMPT).text
    *_, last = model.stream_complete(PROMPT)
    assert last.text == answer
    assert model.chat(MESSAGES, use_completions=True).message.content
    assert model.metadata.model_name == BASE_MODEL
    with refused(UnsupportedOperation, "chat deployment"):
        model.chat(MESSAGES)
    with refused(ApiRequestFailure, "no deployment of this id"):
        make_model(client, deployment_id=UNKNOWN_ID)


def chat(client: Any) -> None:
    """Chat: at once, as streams, asynchronously, through completions, with log-probabilities and penalties."""
    model = make_model(client)
    answer = model.chat(MESSAGES, **BRIEF)
    assert answer.raw["usage"]["completion_tokens"] == 6
    *_, last = model.stream_chat(MESSAGES, **BRIEF)
    assert last.message.content == answer.message.content
    assert last.additional_kwargs["completion_tokens"] == 6
    assert asyncio.run(make_model(make_client()).achat(MESSAGES, **BRIEF)).message.content == answer.message.content
    streamed = asyncio.run(last_of(make_model(make_client()).astream_chat(MESSAGES, **BRIEF)))
    assert streamed.message.content == answer.message.content

    likely = model.chat(MESSAGES, **BRIEF, logprobs=True, top_logprobs=2).raw["choices"][0]["logprobs"]["content"]
    assert all(token["logprob"] == token["top_logprobs"][0]["logprob"] <= 0 for token in likely)
    sampled = {"temperature": 1, "seed": 3, "presence_penalty": 0.5, "frequency_penalty": 0.5, "max_tokens": 6}
    assert model.chat(MESSAGES, **sampled).message.content == model.chat(MESSAGES, **sampled).message.content
    with warned("tools is not offered by the local runtime"):
        model.chat(MESSAGES, **BRIEF, tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}])


def constrain_answers(client: Any) -> None:
    """Let the answer be one of several, match a regular expression, or be JSON."""
    model = make_model(client)

    def answer(**constraint: Any) -> str:
        return str(model.chat(MESSAGES, **constraint).message.content)

    assert answer(guided_choice=LABELS) in LABELS
    assert re.fullmatch("[ab]{3}", answer(guided_regex="[ab]{3}"))
    assert answer(guided_grammar='root ::= "yes" | "no"') in ("yes", "no")
    assert json.loads(answer(guided_json=LABEL_SCHEMA))["label"] in LABELS
    wanted = {"type": "json_schema", "json_schema": {"name": "judgement", "schema": LABEL_SCHEMA}}
    assert json.loads(answer(response_format=wanted))["label"] in LABELS


def fail(client: Any) -> None:
    """Get the client's own errors, with the runtime's words in them."""
    with refused(InvalidCredentialsError, WRONG_KEY):
        make_client("wrong")
    with refused(WMLClientError, f"Model '{UNKNOWN_MODEL}' is not supported"):  # says the SDK, by the list of models
        make_model(client, model_id=UNKNOWN_MODEL)
    # Without the window of the model, this client asks for it first and takes None for an answer.
    unchecked = make_model(client, model_id=UNKNOWN_MODEL, validate_model=False, context_window=2048)
    with refused(ApiRequestFailure, WRONG_MODEL):
        unchecked.complete(PROMPT)
    with refused(WMLClientError, WRONG_MODEL):
        list(unchecked.stream_complete(PROMPT))
    with refused(ApiRequestFailure, WRONG_MODEL):
        unchecked.chat(MESSAGES)
    with refused(ApiRequestFailure, "temperature must be a number from 0 to 2"):
        make_model(client).chat(MESSAGES, temperature=9)


def main() -> None:
    """Make every call, and some more once the runtime has stopped."""
    client = make_client()
    complete(client)
    use_deployment(client)
    chat(client)
    constrain_answers(client)
    fail(client)
    model = make_model(client)
    assert model.metadata  # which it keeps
    wait_for_the_end_of_the_runtime()
    for call in (
        lambda: model.complete(PROMPT),
        lambda: list(model.stream_complete(PROMPT)),
        lambda: model.chat(MESSAGES),
        make_client,
    ):
        with refused(httpx.ConnectError, "Connection refused"):
            call()


if __name__ == "__main__":
    main()
