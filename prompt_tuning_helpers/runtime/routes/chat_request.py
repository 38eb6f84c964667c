"""What a chat request may say, and how it is read."""

from typing import Any

from ...engine import GenerationParameters, GenerationRequest
from ..catalogue import ServedModel
from ..http.errors import bad_request
from ..http.fields import Fields, shorten
from .answer_controls import STEERING, read_steering, value_or
from .inference import InferenceRequest, Shown
from .request_fields import PROJECT, Declaration, Declared, honoured, ignored, warnings_of
from .text_request import LONGEST_INPUT

ROLES = ("system", "user", "assistant")
TOOL_ROLES = ("tool", "function")
TOOL_FIELDS = ("tool_calls", "tool_call_id", "function_call")
MOST_MESSAGES = 1000
MOST_TOP_LOGPROBS = 20
DEFAULT_NEW_TOKENS = 1024

CHAT_FIELDS: Declaration = (
    *honoured("model_id"),
    *PROJECT,
    *honoured("messages", remark="of system, user and assistant, in text; those of tools are refused"),
    *honoured("max_completion_tokens", "max_tokens", remark="1024 by default; 0 is as many as the model attends to"),
    *honoured("temperature", "top_p", remark="0 is greedy decoding"),
    Declared("n", "honoured", "1; more is refused"),
    *honoured("seed", "time_limit", "repetition_penalty"),
    *honoured("stop", remark="4 at most"),
    *honoured("presence_penalty", "frequency_penalty", remark="-2 to 2, by OpenAI's formula"),
    *honoured("logit_bias", remark="-100 to 100 by token id"),
    *honoured("logprobs", remark="of the model's own distribution"),
    *honoured("top_logprobs", remark="0 to 20, with logprobs"),
    *honoured("guided_choice", "guided_regex", "guided_json", "guided_grammar", remark="one of them"),
    *honoured("response_format", remark="text, json_object or json_schema, which is always strict"),
    *ignored("tools", "tool_choice", "tool_choice_option"),
    *ignored("length_penalty", remark="it is one of beam search"),
    *ignored("chat_template_kwargs", "reasoning_effort", "include_reasoning", "context"),
)
assert {field.name for field in CHAT_FIELDS} >= set(STEERING)


def read_chat_request(body: Fields, card: ServedModel, prompt: str, asked: str) -> InferenceRequest:
    """Read the body of a chat request.

    Args:
        body: of the request.
        card: the base model that answers.
        prompt: what its chat template made of the messages.
        asked: what the last message says.

    Raises:
        ApiError: 400 for the first field that cannot be used.
    """
    warnings = (*warnings_of(body, CHAT_FIELDS), *_warnings_of_messages(body.values["messages"]))
    if body.values.get("max_completion_tokens") is not None and body.values.get("max_tokens") is not None:
        warnings += ("max_tokens was ignored: max_completion_tokens, its newer name, is given, too.",)
    parameters = _read_parameters(body, card.max_sequence_length)
    return InferenceRequest(
        generation=GenerationRequest(card.model_id, prompt, parameters),
        card=card,
        asked=asked,
        shown=Shown(logprobs=parameters.describe_generated),
        warnings=warnings,
    )


def _read_parameters(body: Fields, longest: int) -> GenerationParameters:
    _check_number_of_answers(body)
    temperature = value_or(body.number("temperature", 2, least=0), 1.0)
    top_p = value_or(body.number("top_p", 1, least=0), 1.0)
    is_greedy = temperature == 0 or top_p == 0
    logprobs, top_logprobs = _read_logprobs(body)
    return GenerationParameters(
        max_new_tokens=_read_length(body, longest),
        decoding_method="greedy" if is_greedy else "sample",
        temperature=1.0 if is_greedy else temperature,
        top_p=1.0 if is_greedy else top_p,
        random_seed=body.integer("seed", 0, 2**63 - 1),
        stop_sequences=tuple(text for text in body.texts("stop", most=4) if text),
        include_stop_sequence=False,
        describe_generated=logprobs,
        top_tokens=top_logprobs,
        **read_steering(body),
    )


def _check_number_of_answers(body: Fields) -> None:
    wanted = body.integer("n", 1, 128)
    if wanted not in (None, 1):
        raise bad_request(
            f"n is {wanted}, but the local runtime gives one answer to a request: leave n out, and send the request "
            "again for each further answer."
        )


def _read_length(body: Fields, longest: int) -> int:
    """Read how many tokens an answer may have; the newer of two names counts."""
    limits = [body.integer(name, 0, 2**31) for name in ("max_completion_tokens", "max_tokens")]
    given = [limit for limit in limits if limit is not None]
    return min((given[0] or longest) if given else DEFAULT_NEW_TOKENS, longest)


def _read_logprobs(body: Fields) -> tuple[bool, int]:
    wanted = body.flag("logprobs") is True
    top = body.integer("top_logprobs", 0, MOST_TOP_LOGPROBS) or 0
    if top and not wanted:
        raise bad_request(f"top_logprobs is {top}, which needs logprobs: set logprobs to true, too.")
    return wanted, top


def read_messages(body: Fields) -> list[dict[str, Any]]:
    """Read the messages of a conversation, for a chat template.

    Raises:
        ApiError: 400 for the first that cannot be used.
    """
    messages = body.values.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MOST_MESSAGES:
        raise bad_request(f"messages must be a list of 1 to {MOST_MESSAGES} messages.")
    return [_read_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _read_message(message: Any, where: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise bad_request(f"{where} must be an object with role and content; it is {shorten(message)}.")
    if message.get("role") in TOOL_ROLES or any(message.get(name) for name in TOOL_FIELDS):
        raise bad_request(
            f"{where} is about a tool, and tools are not offered here: leave such messages out, and write what the "
            "tool said into a message of the user."
        )
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


def _warnings_of_messages(messages: list[dict[str, Any]]) -> tuple[str, ...]:
    """Say what messages hold beside their role and content; each name is told once."""
    declared = (*honoured("role", "content"), *ignored("name", "refusal", *TOOL_FIELDS))
    told = {warning: None for message in messages for warning in warnings_of(Fields(message), declared)}
    return tuple(f"In messages, {warning}" for warning in told)
