"""What clients ask about in passing and this runtime does not have: empty lists, and a 404 that says so."""

from starlette.responses import Response

from ..http.errors import not_found
from .operations import PAGE, Operation, RequestContext


def list_nothing(context: RequestContext) -> Response:
    """Give an empty list in the platform's shape."""
    return context.answer({"total_results": 0, "resources": []})


def list_no_results(context: RequestContext) -> Response:
    """Give an empty list as older SDKs expect it."""
    return context.answer({"results": []})


def refuse_fine_tuning(_: RequestContext) -> Response:
    """Refuse fine-tuning, which is not offered."""
    raise not_found("Fine-tuning is not offered by the local runtime: tune a prompt, with POST /ml/v4/trainings.")


def refuse_embeddings(_: RequestContext) -> Response:
    """Refuse embeddings, which are not offered."""
    raise not_found(f"Embeddings are not offered by the local runtime. {OFFERED}")


def refuse_rerank(_: RequestContext) -> Response:
    """Refuse reranking, which is not offered."""
    raise not_found(f"Reranking is not offered by the local runtime. {OFFERED}")


def refuse_prompt(_: RequestContext) -> Response:
    """Say that there are no stored prompts; the SDK asks before each deployment."""
    raise not_found("There is no prompt template of this id: prompt templates are not offered by the local runtime.")


def _nothing(path: str, what: str) -> Operation:
    return Operation("GET", path, list_nothing, f"List {what}", query=FILTERS, differs="always empty")


def _refused(method: str, path: str) -> Operation:
    summary = "Refused: there is no fine-tuning"
    return Operation(method, path, refuse_fine_tuning, summary, query=None)


OFFERED = (
    "It generates text, with POST /ml/v1/text/generation; chats, with POST /ml/v1/text/chat; and counts tokens, with "
    "POST /ml/v1/text/tokenization."
)
KINDS = ("functions", "experiments", "pipelines", "ai_services")
# What such lists can be filtered by; no filter finds anything.
FILTERS = (
    "project_id",
    *PAGE,
    *("name", "type", "tag.value", "search", "include", "member", "roles", "summary", "system_runtimes"),
)
OPERATIONS = [
    _nothing("/v2/software_specifications", "software specifications"),
    _nothing("/v2/hardware_specifications", "hardware specifications"),
    _nothing("/v2/spaces", "deployment spaces"),
    *(_nothing(f"/ml/v4/{kind}", kind.replace("ai_", "AI ")) for kind in KINDS),
    Operation(
        "GET",
        "/ml/v4/list/software_specifications",
        list_no_results,
        "The same, for older SDKs",
        query=FILTERS,
        differs="always empty",
    ),
    _refused("GET", "/ml/v1/fine_tunings"),
    _refused("POST", "/ml/v1/fine_tunings"),
    _refused("GET", "/ml/v1/fine_tunings/{training_id}"),
    _refused("DELETE", "/ml/v1/fine_tunings/{training_id}"),
    Operation("POST", "/ml/v1/text/embeddings", refuse_embeddings, "Refused: there are no embeddings", query=None),
    Operation("POST", "/ml/v1/text/rerank", refuse_rerank, "Refused: there is no reranking", query=None),
    Operation("GET", "/wx/v1/prompts/{prompt_id}", refuse_prompt, "Refused: there are no prompt templates", query=None),
]
