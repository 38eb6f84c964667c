"""What a route is: an operation of the REST API, and the context that its handler gets."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..context import Runtime
from ..http.errors import bad_request, not_found
from ..http.fields import Fields, parse_fields, shorten

Result = TypeVar("Result")

LONGEST_PAGE = 200


@dataclass
class RequestContext:
    """One request to an operation.

    Args:
        runtime: what answers it.
        request: as Starlette gives it.
        body: the whole body, of at most ``body.LARGEST_BODY`` bytes; empty where the operation streams it.
        dialect: ``"cloud"``, or ``"cpd"`` for a client in Cloud Pak for Data mode.
    """

    runtime: Runtime
    request: Request
    body: bytes
    dialect: str

    def path(self, name: str) -> str:
        """Give a part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """Give a query parameter; ``None`` when it is left out or empty."""
        return self.request.query_params.get(name) or None

    def fields(self) -> Fields:
        """Read the body, which must be a JSON object."""
        return parse_fields(self.body)

    async def prepare(self, read: Callable[["RequestContext"], Result]) -> Result:
        """Read an inference request in a thread; when very many are waiting to be read, this one is refused."""
        return await self.runtime.questions.run(self.request, partial(read, self))

    def project_id(self, body: Fields | None = None) -> str:
        """Find the project that the query or the body names; it must be there."""
        values = {} if body is None else body.values
        named = values.get("project_id") or self.query("project_id")
        if named is None:
            if self.query("space_id") or values.get("space_id"):
                raise bad_request("Deployment spaces are not offered here: use a project, by project_id.")
            raise bad_request("project_id is missing: add it to the query.", "missing_project_id")
        if not isinstance(named, str):
            raise bad_request(f"project_id must be a string; it is {shorten(named)}.")
        if self.runtime.projects.get(named) is None:
            raise not_found(
                f"Project {shorten(named)} is not there. The runtime's own is {self.runtime.secrets.project_id}.",
                "project_not_found",
            )
        return named

    def page(self, default: int = 100) -> tuple[int, int]:
        """Read the limit and the start of a page from the query."""
        return self._whole("limit", default, 1, LONGEST_PAGE), self._whole("start", 0, 0, 2**31)

    def _whole(self, name: str, default: int, least: int, most: int) -> int:
        text = self.query(name)
        if text is None:
            return default
        # isdecimal alone would let other scripts' digits and numbers of any length through.
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and least <= int(text) <= most):
            raise bad_request(
                f"The query's {name} must be a whole number from {least} to {most}; it is {shorten(text)}."
            )
        return int(text)

    def listing(self, documents: list[dict[str, Any]], total: int, default: int = 100) -> Response:
        """Answer with a page of documents, and with the link to the next page if there is one."""
        limit, start = self.page(default)
        path = self.request.url.path
        answer: dict[str, Any] = {
            "total_count": total,
            "limit": limit,
            "first": {"href": f"{path}?{self._query(limit, None)}"},
            "resources": documents,
        }
        if start + len(documents) < total and documents:
            answer["next"] = {"href": f"{path}?{self._query(limit, start + len(documents))}"}
        return JSONResponse(answer)

    def _query(self, limit: int, start: int | None) -> str:
        pairs = [pair for pair in self.request.query_params.multi_items() if pair[0] not in ("limit", "start")]
        pairs.append(("limit", str(limit)))
        if start is not None:
            pairs.append(("start", str(start)))
        return urlencode(pairs)


Plain = Callable[[RequestContext], Response]
Handler = Plain | Callable[[RequestContext], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """An operation of the REST API.

    Args:
        method: the HTTP method.
        path: with ``{names}`` for its parts.
        handler: plain functions run in a thread, coroutines in the event loop.
        summary: one line for ``IMPLEMENTED.md``.
        public: whether it is answered without a token.
        streams_body: whether the handler reads the body itself.
        heavy: whether the handler, a plain function, takes so long or so much memory that few may run at once.
        differs: what the hosted service does otherwise, for ``IMPLEMENTED.md``.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    public: bool = False
    streams_body: bool = False
    heavy: bool = False
    differs: str = ""


def no_content() -> Response:
    """Answer with a 204."""
    return Response(status_code=204)
