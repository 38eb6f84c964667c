"""All that langchain-ibm offers of what the runtime implements: text generation, chat and tokenization."""

import asyncio
import json
import re
from typing import Any, Literal

import httpx
from ibm_watsonx_ai.wml_client_error import ApiRequestFailure, InvalidCredentialsError, WMLClientError
from langchain_ibm import ChatWatsonx, WatsonxLLM
from pydantic import BaseModel

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
MESSAGES = [("system", "Be brief."), ("human", PROMPT)]


class Judgement(BaseModel):
    """A label."""

    label: Literal["satisfied", "unsatisfied"]


def make_llm(client: Any, **settings: Any) -> Any:
    """Make a model that generates a few tokens."""
    which = {} if "deployment_id" in settings else {"model_id": BASE_MODEL}
    return WatsonxLLM(**{"watsonx_client": client, "params": {"max_new_tokens": 6}, **which, **settings})


def make_chat(client: Any, **settings: Any) -> Any:
    """Make a chat model that gives the same answer to the same messages."""
    return ChatWatsonx(
        **{"model_id": BASE_MODEL, "watsonx_client": client, "temperature": 0, "max_completion_tokens": 6, **settings}
    )


async def join_stream(model: Any, asked: Any) -> str:
    """Stream an answer asynchronously, and give the whole."""
    pieces = [piece async for piece in model.astream(asked)]
    return "".join(piece if isinstance(piece, str) else piece.content for piece in pieces)


def generate_text(client: Any) -> None:
    """Generate with a base model: alone, in batches, as streams, asynchronously, up to a stop sequence."""
    model = make_llm(client)
    answer = model.invoke(PROMPT)
    assert answer
    assert "".join(model.stream(PROMPT)) == answer
    assert model.batch([PROMPT, "Ho"]) == [answer, model.invoke("Ho")]
    result = model.generate([PROMPT, "Ho"])
    assert result.llm_output["token_usage"] == {"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16}
    assert {made.generation_info["finish_reason"] for [made] in result.generations} == {"max_tokens"}
    assert model.invoke(PROMPT, stop=[answer[0]]) == answer[0]
    assert model.get_num_tokens("Hi there") == len("Hi there")  # the tiny model's tokens are bytes
    # The SDK's asynchronous connections belong to one event loop.
    assert asyncio.run(make_llm(make_client()).ainvoke(PROMPT)) == answer
    assert asyncio.run(join_stream(make_llm(make_client()), PROMPT)) == answer


def use_deployment(client: Any) -> None:
    """Generate with a deployment; to the SDK those of tuned models neither chat nor tokenize."""
    model = make_llm(client, deployment_id=DEPLOYMENT_ID)
    answer = model.invoke(PROMPT)
    assert answer != make_llm(client).invoke(PROMPT)
    assert "".join(model.stream(PROMPT)) == answer
    with refused(ApiRequestFailure, "no deployment of this id"):
        make_llm(client, deployment_id=UNKNOWN_ID)


def chat(client: Any) -> None:
    """Chat with a base model: at once, as streams, asynchronously, with log-probabilities, up to a stop sequence."""
    model = make_chat(client)
    answer = model.invoke(MESSAGES)
    assert answer.usage_metadata["output_tokens"] == 6
    assert answer.response_metadata["finish_reason"] == "length"
    whole = None
    for piece in model.stream(MESSAGES):
        whole = piece if whole is None else whole + piece
    assert whole is not None
    assert whole.content == answer.content
    assert whole.usage_metadata == answer.usage_metadata
    assert asyncio.run(make_chat(make_client()).ainvoke(MESSAGES)).content == answer.content
    assert asyncio.run(join_stream(make_chat(make_client()), MESSAGES)) == answer.content
    in_parts = [("system", "Be brief."), ("human", [{"type": "text", "text": PROMPT}])]
    assert model.invoke(in_parts).content == answer.content
    assert model.invoke([*MESSAGES, answer, ("human", "And?")]).usage_metadata["output_tokens"] == 6

    likely = make_chat(client, logprobs=True, top_logprobs=2).invoke(MESSAGES).response_metadata["logprobs"]["content"]
    assert len(likely) == 6
    assert all(token["logprob"] == token["top_logprobs"][0]["logprob"] <= 0 for token in likely)
    sampled = {"temperature": 1, "presence_penalty": 0.5, "frequency_penalty": 0.5}
    once, again = (make_chat(client, seed=3, **sampled).invoke(MESSAGES).content for _ in range(2))
    assert once == again
    biased = make_chat(client, logit_bias={str(ord("A")): 100}).invoke(MESSAGES).content
    assert biased != answer.content

    letter = re.search("[ -~]", make_chat(client, max_completion_tokens=60).invoke(MESSAGES).content)
    assert letter is not None
    stopped = make_chat(client, stop=[letter[0]], max_completion_tokens=60).invoke(MESSAGES)
    assert stopped.response_metadata["finish_reason"] == "stop"
    with warned("stop_sequences is not known to the local runtime"):  # the client's name for stop in ``invoke``
        model.invoke(MESSAGES, stop=[letter[0]])
    with warned("tools is not offered by the local runtime"):
        model.bind_tools([Judgement]).invoke(MESSAGES)


def constrain_answers(client: Any) -> None:
    """Let the answer be one of several, match a regular expression, or be JSON."""
    model = make_chat(client, max_completion_tokens=None)
    assert model.invoke(MESSAGES, params={"guided_choice": LABELS}).content in LABELS
    assert re.fullmatch("[ab]{3}", model.invoke(MESSAGES, params={"guided_regex": "[ab]{3}"}).content)
    assert json.loads(model.invoke(MESSAGES, params={"guided_json": LABEL_SCHEMA}).content)["label"] in LABELS
    judgement = model.with_structured_output(Judgement, method="json_schema").invoke(MESSAGES)
    assert isinstance(judgement, Judgement)
    assert isinstance(model.with_structured_output(method="json_mode").invoke(MESSAGES), dict)


def fail(client: Any) -> None:
    """Get the client's own errors, with the runtime's words in them."""
    with refused(InvalidCredentialsError, WRONG_KEY):
        make_client("wrong")
    with refused(
        WMLClientError, f"Model '{UNKNOWN_MODEL}' is not supported for this environment"
    ):  # says the SDK, by the list of models
        make_llm(client, model_id=UNKNOWN_MODEL)
    unchecked = make_chat(client, model_id=UNKNOWN_MODEL, validate_model=False)
    with refused(ApiRequestFailure, WRONG_MODEL):
        unchecked.invoke(MESSAGES)
    with refused(WMLClientError, WRONG_MODEL):
        list(unchecked.stream(MESSAGES))
    with refused(ApiRequestFailure, "parameters.max_new_tokens must be a whole number"):
        make_llm(client, params={"max_new_tokens": -1}).invoke(PROMPT)
    with refused(ApiRequestFailure, "but the model attends to at most"):
        make_chat(client).invoke("x" * 3000)


def main() -> None:
    """Make every call, and some more once the runtime has stopped."""
    client = make_client()
    generate_text(client)
    use_deployment(client)
    chat(client)
    constrain_answers(client)
    fail(client)
    model, chat_model = make_llm(client), make_chat(client)
    wait_for_the_end_of_the_runtime()
    for call in (
        lambda: model.invoke(PROMPT),
        lambda: list(model.stream(PROMPT)),
        lambda: chat_model.invoke(MESSAGES),
        make_client,
    ):
        with refused(httpx.ConnectError, "Connection refused"):
            call()


if __name__ == "__main__":
    main()
