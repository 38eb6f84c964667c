"""What clients ask about in passing and this runtime does not have: empty lists, and a 404 that says so."""

from starlette.responses import JSONResponse, Response

from ..http.errors import not_found
from .operations import Operation, RequestContext


def list_nothing(_: RequestContext) -> Response:
    """Give an empty list in the platform's shape."""
    return JSONResponse({"total_results": 0, "resources": []})


def list_no_results(_: RequestContext) -> Response:
    """Give an empty list as older SDKs expect it."""
    return JSONResponse({"results": []})


def refuse_fine_tuning(_: RequestContext) -> Response:
    """Refuse fine-tuning, which is not offered."""
    raise not_found("Fine-tuning is not offered by the local runtime: tune a prompt, with POST /ml/v4/trainings.")


def refuse_prompt(_: RequestContext) -> Response:
    """Say that there are no stored prompts; the SDK asks before each deployment."""
    raise not_found("There is no prompt template of this id: prompt templates are not offered by the local runtime.")


def _nothing(path: str, what: str) -> Operation:
    return Operation("GET", path, list_nothing, f"List {what}", differs="always empty")


OPERATIONS = [
    _nothing("/v2/software_specifications", "software specifications"),
    _nothing("/v2/hardware_specifications", "hardware specifications"),
    _nothing("/v2/spaces", "deployment spaces"),
    _nothing("/ml/v4/functions", "functions"),
    Operation(
        "GET",
        "/ml/v4/list/software_specifications",
        list_no_results,
        "The same, for older SDKs",
        differs="always empty",
    ),
    Operation("GET", "/ml/v1/fine_tunings", refuse_fine_tuning, "Refused: there is no fine-tuning"),
    Operation("POST", "/ml/v1/fine_tunings", refuse_fine_tuning, "Refused: there is no fine-tuning"),
    Operation("GET", "/ml/v1/fine_tunings/{training_id}", refuse_fine_tuning, "Refused: there is no fine-tuning"),
    Operation("DELETE", "/ml/v1/fine_tunings/{training_id}", refuse_fine_tuning, "Refused: there is no fine-tuning"),
    Operation("GET", "/wx/v1/prompts/{prompt_id}", refuse_prompt, "Refused: there are no prompt templates"),
]
