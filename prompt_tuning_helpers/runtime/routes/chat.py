"""Chat with a base model, through its chat template."""

import time
import uuid
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from ...engine import Generation, GenerationParameters, GenerationRequest
from ..http.errors import ApiError, bad_request
from ..http.fields import read_integer, read_number, read_text, read_texts, required, show
from .foundation_models import find_card, warnings_for
from .inference import Question, answer, created_at, stream
from .operations import Call, Operation
from .text import LONGEST_INPUT, find_deployment

ROLES = ("system", "user", "assistant")
MOST_MESSAGES = 1000
IGNORED = (
    "tools",
    "tool_choice",
    "tool_choice_option",
    "response_format",
    "logprobs",
    "logit_bias",
    "presence_penalty",
)
FINISH_REASONS = {"max_tokens": "length", "token_limit": "length", "time_limit": "time_limit"}


async def chat(call: Call) -> Response:
    """A base model's turn in a conversation."""
    question = await call.prepare(_question)
    generation = await answer(call, question)
    message = {"role": "assistant", "content": generation.text}
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(generation)}
    return JSONResponse({**_head(question), "choices": [choice], "usage": _usage(generation), **_system(question)})


async def chat_stream(call: Call) -> Response:
    """A base model's turn as it is made."""
    question = await call.prepare(_question)
    head = _head(question)

    def event(piece: str, generation: Generation | None) -> dict[str, Any]:
        delta = {"role": "assistant", "content": piece}
        reason = _finish_reason(generation) if generation else None
        data = {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **_system(question)}
        return {**data, "usage": _usage(generation)} if generation else data

    return await stream(call, question, event)


def refuse_deployed(call: Call) -> Response:
    """A prompt-tuned deployment does not chat."""
    find_deployment(call)
    # The SDK turns a 404 here into its own "chat is not supported for this deployment".
    raise ApiError(
        404,
        "model_no_support_for_function",
        "A prompt-tuned deployment does not chat: its soft prompt was tuned for text/generation. Use that instead.",
    )


def _question(call: Call) -> Question:
    body = call.json()
    card = find_card(call, required(read_text(body, "model_id"), "model_id"))
    call.project_id(body)
    read_integer(body, "n", 1, 1)  # one answer; more is refused
    prompt = call.runtime.engine.chat_prompt(card.model_id, _read_messages(body))
    parameters = _read_parameters(body, card.max_sequence_length)
    ignored = tuple(
        f"{name} is not offered by the local runtime and was ignored." for name in IGNORED if body.get(name)
    )
    return Question(request=GenerationRequest(card.model_id, prompt, parameters), card=card, ignored=ignored)


def _read_parameters(body: dict[str, Any], longest: int) -> GenerationParameters:
    most = read_integer(body, "max_completion_tokens", 0, 2**31) or read_integer(body, "max_tokens", 0, 2**31) or 1024
    temperature = read_number(body, "temperature", 2, least=0)
    top_p = read_number(body, "top_p", 1)
    milliseconds = read_integer(body, "time_limit", 1, 3_600_000)
    sampled = GenerationParameters(
        max_new_tokens=min(most, longest),
        decoding_method="sample",
        temperature=1.0 if temperature is None else temperature,
        top_p=1.0 if top_p is None else top_p,
        random_seed=read_integer(body, "seed", 0, 2**31 - 1),
        stop_sequences=tuple(text for text in read_texts(body, "stop", most=4) if text),
        include_stop_sequence=False,
        time_limit=None if milliseconds is None else milliseconds / 1000,
    )
    return replace(sampled, decoding_method="greedy", temperature=1.0) if temperature == 0 else sampled


def _read_messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_MESSAGES:
        raise bad_request(f"messages must be a list of 1 to {MOST_MESSAGES} messages.")
    return [_read_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _read_message(message: Any, where: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise bad_request(f"{where} must be an object with role and content; it is {show(message)}.")
    role = required(read_text(message, "role", f"{where}."), f"{where}.role")
    if role not in ROLES:
        raise bad_request(f"{where}.role must be one of {', '.join(ROLES)}; it is {show(role)}.")
    content = message.get("content")
    if isinstance(content, list):
        parts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content
        ]
        if not all(isinstance(part, str) for part in parts):
            raise bad_request(f"{where}.content may have parts of type text only: this model does not see images.")
        content = "".join(str(part) for part in parts)
    content = read_text({"content": content}, "content", f"{where}.", LONGEST_INPUT)
    if content is None:
        raise bad_request(f"{where}.content is missing: give it the text.")
    return {"role": role, "content": content}


def _head(question: Question) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "model_id": question.card.model_id,
        "model": question.card.model_id,
        "created": int(time.time()),
        **created_at(),
    }


def _finish_reason(generation: Generation) -> str:
    return FINISH_REASONS.get(generation.stop_reason, "stop")


def _usage(generation: Generation) -> dict[str, int]:
    asked, answered = generation.input_token_count, generation.generated_token_count
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _system(question: Question) -> dict[str, Any]:
    return warnings_for(question.card, question.ignored)


DIFFERS = "text only; tools, response formats and log-probabilities are ignored with a warning"
OPERATIONS = [
    Operation("POST", "/ml/v1/text/chat", chat, "Chat with a base model", differs=DIFFERS),
    Operation("POST", "/ml/v1/text/chat_stream", chat_stream, "The same as a stream", differs=DIFFERS),
    Operation(
        "POST", "/ml/v1/deployments/{id_or_name}/text/chat", refuse_deployed, "Refused: prompt-tuned models do not chat"
    ),
    Operation(
        "POST",
        "/ml/v1/deployments/{id_or_name}/text/chat_stream",
        refuse_deployed,
        "Refused: prompt-tuned models do not chat",
    ),
]
