"""Tokenization."""

from typing import Any

from starlette.responses import JSONResponse, Response

from ..http.errors import bad_request
from .foundation_models import find_card, warnings_for
from .operations import Operation, RequestContext
from .request_fields import PROJECT, Declaration, honoured, warnings_of
from .text_request import LONGEST_INPUT, TEXT_FIELDS

DECLARED: Declaration = (*honoured("model_id"), *PROJECT, *honoured("input", "parameters.return_tokens"))
# The SDK sends the parameters that a model was made with along. They concern answers, and there is nothing to warn of.
OF_GENERATION: Declaration = honoured(*(field.name for field in TEXT_FIELDS if field.name.startswith("parameters.")))


def tokenize(context: RequestContext) -> Response:
    """Split a text into its tokens, or count them."""
    body = context.fields()
    card = find_card(context, body.required_text("model_id"))
    context.project_id(body)
    text = body.text("input", LONGEST_INPUT)
    if text is None:  # an empty text is a text
        raise bad_request("input is missing: give it the text.")
    return_tokens = body.object("parameters").flag("return_tokens")
    warnings = warnings_of(body, DECLARED + OF_GENERATION)
    engine = context.runtime.engine
    result: dict[str, Any]
    if return_tokens:
        tokens = engine.tokenize(card.model_id, text)
        result = {"token_count": len(tokens), "tokens": tokens}
    else:
        result = {"token_count": engine.count_tokens(card.model_id, text)}
    return JSONResponse({"model_id": card.model_id, "result": result, **warnings_for(card, warnings)})


OPERATIONS = [
    Operation(
        "POST",
        "/ml/v1/text/tokenization",
        tokenize,
        "Tokenize a text",
        heavy=True,
        differs="parameters of text generation, which the SDK sends along, change nothing",
    )
]
