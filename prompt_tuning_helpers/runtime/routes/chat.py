"""Chat with a base model, through its chat template."""

import time
import uuid
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from ...engine import Generation, GenerationParameters, GenerationRequest
from ..http.errors import ApiError, bad_request
from ..http.fields import Fields, shorten
from .foundation_models import find_card, warnings_for
from .inference import InferenceRequest, answer, created_at, read_time_limit, stream, value_or, warning_of_ignored
from .operations import Operation, RequestContext
from .text import LONGEST_INPUT, find_deployment

ROLES = ("system", "user", "assistant")
MOST_MESSAGES = 1000
DEFAULT_NEW_TOKENS = 1024
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


async def chat(context: RequestContext) -> Response:
    """Give a base model's turn in a conversation."""
    request = await context.prepare(_read)
    generation = await answer(context, request)
    message = {"role": "assistant", "content": generation.text}
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(generation)}
    return JSONResponse({**_head(request), "choices": [choice], "usage": _usage(generation), **_system(request)})


async def chat_stream(context: RequestContext) -> Response:
    """Give a base model's turn as it is made."""
    request = await context.prepare(_read)
    head = _head(request)

    def event(piece: str, generation: Generation | None) -> dict[str, Any]:
        delta = {"role": "assistant", "content": piece}
        reason = _finish_reason(generation) if generation else None
        data = {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **_system(request)}
        return {**data, "usage": _usage(generation)} if generation else data

    return await stream(context, request, event)


def refuse_deployed(context: RequestContext) -> Response:
    """Refuse to chat with a prompt-tuned deployment."""
    find_deployment(context)
    # The SDK turns a 404 here into its own "chat is not supported for this deployment".
    raise ApiError(
        404,
        "model_no_support_for_function",
        "A prompt-tuned deployment does not chat: its soft prompt was tuned for text/generation. Use that instead.",
    )


def _read(context: RequestContext) -> InferenceRequest:
    body = context.fields()
    card = find_card(context, body.required_text("model_id"))
    context.project_id(body)
    body.integer("n", 1, 1)  # one answer; more is refused
    prompt = context.runtime.engine.chat_prompt(card.model_id, _read_messages(body))
    parameters = _read_parameters(body, card.max_sequence_length)
    return InferenceRequest(
        generation=GenerationRequest(card.model_id, prompt, parameters),
        card=card,
        ignored=tuple(warning_of_ignored(name) for name in IGNORED if body.values.get(name)),
    )


def _read_parameters(body: Fields, longest: int) -> GenerationParameters:
    most = body.integer("max_completion_tokens", 0, 2**31) or body.integer("max_tokens", 0, 2**31)
    temperature = value_or(body.number("temperature", 2, least=0), 1.0)
    sampled = GenerationParameters(
        max_new_tokens=min(most or DEFAULT_NEW_TOKENS, longest),
        decoding_method="sample",
        temperature=temperature,
        top_p=value_or(body.number("top_p", 1), 1.0),
        random_seed=body.integer("seed", 0, 2**31 - 1),
        stop_sequences=tuple(text for text in body.texts("stop", most=4) if text),
        include_stop_sequence=False,
        time_limit=read_time_limit(body),
    )
    return replace(sampled, decoding_method="greedy", temperature=1.0) if temperature == 0 else sampled


def _read_messages(body: Fields) -> list[dict[str, Any]]:
    messages = body.values.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_MESSAGES:
        raise bad_request(f"messages must be a list of 1 to {MOST_MESSAGES} messages.")
    return [_read_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _read_message(message: Any, where: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise bad_request(f"{where} must be an object with role and content; it is {shorten(message)}.")
    fields = Fields(message, f"{where}.")
    return {"role": fields.required_choice("role", ROLES), "content": _read_content(fields)}


def _read_content(message: Fields) -> str:
    """Read what a message says; it may be empty, and its parts are joined."""
    parts = message.values.get("content")
    if isinstance(parts, list):
        texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
        if not all(isinstance(text, str) for text in texts):
            raise bad_request(
                f"{message.where}content may have parts of type text only: this model does not see images."
            )
        message = Fields({"content": "".join(str(text) for text in texts)}, message.where)
    content = message.text("content", LONGEST_INPUT)
    if content is None:
        raise bad_request(f"{message.where}content is missing: give it the text.")
    return content


def _head(request: InferenceRequest) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "model_id": request.card.model_id,
        "model": request.card.model_id,
        "created": int(time.time()),
        **created_at(),
    }


def _finish_reason(generation: Generation) -> str:
    return FINISH_REASONS.get(generation.stop_reason, "stop")


def _usage(generation: Generation) -> dict[str, int]:
    asked, answered = generation.input_token_count, generation.generated_token_count
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _system(request: InferenceRequest) -> dict[str, Any]:
    return warnings_for(request.card, request.ignored)


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
