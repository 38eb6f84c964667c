"""Tokenization."""

from typing import Any

from starlette.responses import JSONResponse, Response

from ..http.errors import bad_request
from ..http.fields import read_flag, read_object, read_text, required
from .foundation_models import find_card, warnings_for
from .operations import Call, Operation
from .text import LONGEST_INPUT


def tokenize(call: Call) -> Response:
    """The tokens of a text."""
    body = call.json()
    card = find_card(call, required(read_text(body, "model_id"), "model_id"))
    call.project_id(body)
    text = read_text(body, "input", longest=LONGEST_INPUT)
    if text is None:
        raise bad_request("input is missing: give it the text.")
    parameters = read_object(body, "parameters") or {}
    return_tokens = read_flag(parameters, "return_tokens", "parameters.")
    engine = call.runtime.engine
    result: dict[str, Any]
    if return_tokens:
        tokens = engine.tokenize(card.model_id, text)
        result = {"token_count": len(tokens), "tokens": tokens}
    else:
        result = {"token_count": engine.count_tokens(card.model_id, text)}
    return JSONResponse({"model_id": card.model_id, "result": result, **warnings_for(card)})


OPERATIONS = [Operation("POST", "/ml/v1/text/tokenization", tokenize, "Tokenize a text", heavy=True)]
