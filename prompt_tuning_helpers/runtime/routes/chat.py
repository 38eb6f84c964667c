"""Chat with a base model, through its chat template."""

import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from ...engine import Generation, Token
from ..http.errors import ApiError
from .chat_request import CHAT_FIELDS, read_chat_request, read_messages
from .foundation_models import find_card, warnings_for
from .inference import InferenceRequest, answer, created_at, stream
from .operations import Operation, RequestContext
from .request_fields import Declaration
from .text import find_deployment

DECLARED: Declaration = CHAT_FIELDS
FINISH_REASONS = {"max_tokens": "length", "token_limit": "length", "time_limit": "time_limit"}


async def chat(context: RequestContext) -> Response:
    """Give a base model's turn in a conversation."""
    request = await context.prepare(_read)
    generation = await answer(context, request)
    message = {"role": "assistant", "content": generation.text}
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(generation)}
    choice |= _logprobs(request, generation)
    head = _head(context, request, "chat.completion")
    return JSONResponse({**head, "choices": [choice], "usage": _usage(generation), **_system(request)})


async def chat_stream(context: RequestContext) -> Response:
    """Give a base model's turn as it is made."""
    request = await context.prepare(_read)
    head = _head(context, request, "chat.completion.chunk")

    def event(part: Generation, _: bool) -> dict[str, Any]:
        is_last = part.stop_reason != "not_finished"
        delta = {"role": "assistant", "content": part.text}
        choice = {"index": 0, "delta": delta, "finish_reason": _finish_reason(part) if is_last else None}
        choice |= _logprobs(request, part)
        data = {**head, "choices": [choice], **_system(request)}
        return {**data, "usage": _usage(part)} if is_last else data

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
    messages = read_messages(body)
    prompt = context.runtime.engine.chat_prompt(card.model_id, messages)
    return read_chat_request(body, card, prompt, messages[-1]["content"])


def _head(context: RequestContext, request: InferenceRequest, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "model_id": request.card.model_id,
        "model": request.card.model_id,
        "created": int(context.runtime.clock.time()),
        **created_at(context),
    }


def _finish_reason(generation: Generation) -> str:
    return FINISH_REASONS.get(generation.stop_reason, "stop")


def _usage(generation: Generation) -> dict[str, int]:
    asked, answered = generation.input_token_count, generation.generated_token_count
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _system(request: InferenceRequest) -> dict[str, Any]:
    return warnings_for(request.card, request.warnings)


def _logprobs(request: InferenceRequest, generation: Generation) -> dict[str, Any]:
    """Show how likely the tokens of a message were, as OpenAI does; the end of the message is none of them."""
    if not request.shown.logprobs:
        return {}
    tokens = [token for token in generation.tokens if not token.is_end]
    content = [{**_token(token), "top_logprobs": [_token(other) for other in token.top]} for token in tokens]
    return {"logprobs": {"content": content}}


def _token(token: Token) -> dict[str, Any]:
    is_whole = "\ufffd" not in token.text
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.text.encode()) if is_whole else None}


DIFFERS = "text only; tools are ignored with a warning"
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
