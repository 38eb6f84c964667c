"""What a route is: an operation of the REST API, and the context that its handler gets."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..context import Runtime
from ..controls import Exchange
from ..http.errors import bad_request, not_found
from ..http.fields import Fields, as_fields, parse_json, shorten
from ..http.undeclared import check_query, check_version, no_spaces, unread

Result = TypeVar("Result")

LONGEST_PAGE = 200
PROJECT = ("project_id",)
PAGE = ("limit", "start")
BODILESS = ("GET", "DELETE")
EMPTY_BODIES = (b"", b"{}", b"null")  # what some clients send for none
VERSIONED = ("/ml/v1", "/ml/v4")
MOST_WARNINGS = 20


@dataclass
class RequestContext:
    """One request to an operation.

    Args:
        runtime: what answers it.
        request: as Starlette gives it.
        body: the whole body, of at most ``body.LARGEST_BODY`` bytes; empty where the operation streams it.
        dialect: ``"cloud"``, or ``"cpd"`` for a client in Cloud Pak for Data mode.
        operation: what is asked for.
        exchange: where tests look on; ``None`` unless they may.
        warnings: what the client is to be told of its request, as ``answer`` does.
    """

    runtime: Runtime
    request: Request
    body: bytes
    dialect: str
    operation: "Operation"
    exchange: Exchange | None = None
    warnings: list[str] = field(default_factory=list)

    def path(self, name: str) -> str:
        """Give a part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """Give a query parameter that the operation declares; ``None`` when it is left out or empty."""
        assert self.operation.query is None or name in self.operation.query, name
        return self.request.query_params.get(name) or None

    def query_choice(self, name: str, choices: Collection[str]) -> str | None:
        """Give a query parameter that must be one of a few; ``None`` when it is left out."""
        value = self.query(name)
        if value is not None and value not in choices:
            raise bad_request(f"The query's {name} must be one of {', '.join(choices)}; it is {shorten(value)}.")
        return value

    def query_flag(self, name: str) -> bool:
        """Give a query parameter that must be true or false, however written; it is false when it is left out."""
        value = (self.query(name) or "false").lower()
        if value not in ("true", "false"):
            raise bad_request(f"The query's {name} must be true or false; it is {shorten(value)}.")
        return value == "true"

    def query_tags(self) -> list[str]:
        """Give what the query says of tags; all of it must fit."""
        return self.request.query_params.getlist("tag.value")

    def document(self) -> Any:
        """Read the body as JSON; fields that the operation does not read are warned of, or refused."""
        document = parse_json(self.body)
        self.notice(document)
        return document

    def fields(self) -> Fields:
        """Read the body, which must be a JSON object, as ``document`` does."""
        fields = as_fields(parse_json(self.body))
        self.notice(fields.values)
        return fields

    def notice(self, document: Any) -> None:
        """Warn of the fields of a body that the operation does not read, or refuse them."""
        operation = self.operation
        if operation.fields is None:
            return
        for name in unread(document, operation.fields)[:MOST_WARNINGS]:
            if any(f"{known}.".startswith((f"{name}.", f"{name}[")) for known in operation.ignored):
                self.warnings.append(f"{name} is not offered by the local runtime and was ignored.")
                continue
            problem = f"There is no field {shorten(name)} here"
            if operation.strict:
                raise bad_request(f"{problem}: {operation} takes {', '.join(operation.fields)}.")
            self.warnings.append(f"{problem}, so it was ignored; IMPLEMENTED.md lists those of {operation}.")

    def answer(self, document: Mapping[str, Any], status_code: int = 200) -> Response:
        """Answer with a JSON object and the warnings, if there are any; the SDK shows them as Python warnings."""
        if not self.warnings:
            return JSONResponse(document, status_code=status_code)
        warnings = [{"id": "unsupported_input", "message": message} for message in self.warnings]
        system = document.get("system", {})
        system = {**system, "warnings": [*system.get("warnings", []), *warnings]}
        return JSONResponse({**document, "system": system}, status_code=status_code)

    async def prepare(self, read: Callable[["RequestContext"], Result]) -> Result:
        """Read an inference request in a thread; when very many are waiting to be read, this one is refused."""
        return await self.runtime.questions.run(self.request, partial(read, self))

    def project_id(self, body: Fields | None = None) -> str:
        """Find the project that the query or the body names; it must be there, and they must not name two."""
        in_query, in_body = self.query("project_id"), None
        if body is not None:
            in_body = body.text("project_id") or None
            if body.values.get("space_id"):
                raise no_spaces()
        if in_query and in_body and in_query != in_body:
            raise bad_request("The query's project_id and the body's are two projects: name one.")
        named = in_body or in_query
        if named is None:
            place = "query" if body is None else "body"
            raise bad_request(f"project_id is missing: add it to the {place}.", "missing_project_id")
        return self.known_project(named)

    def known_project(self, project_id: str) -> str:
        """Give a project's id, if it is there."""
        if self.runtime.projects.get(project_id) is None:
            raise not_found(
                f"Project {shorten(project_id)} is not there. The runtime's own is {self.runtime.secrets.project_id}.",
                "project_not_found",
            )
        return project_id

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

    def listing(
        self, documents: list[dict[str, Any]], total: int, default: int = 100, total_name: str = "total_count"
    ) -> Response:
        """Answer with a page of documents, and with the link to the next page if there is one."""
        limit, start = self.page(default)
        answer: dict[str, Any] = {
            total_name: total,
            "limit": limit,
            "first": {"href": self._link(limit, None)},
            "resources": documents,
        }
        if start + len(documents) < total and documents:
            answer["next"] = {"href": self._link(limit, start + len(documents))}
        return self.answer(answer)

    def _link(self, limit: int, start: int | None) -> str:
        """Give the address of a page; a whole one, as the service's are."""
        pairs = [pair for pair in self.request.query_params.multi_items() if pair[0] not in ("limit", "start")]
        pairs.append(("limit", str(limit)))
        if start is not None:
            pairs.append(("start", str(start)))
        return f"{self.runtime.url}{self.request.url.path}?{urlencode(pairs)}"


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
        query: the query parameters that it reads, next to ``version``; others are refused. ``None`` where the request
            is refused anyway.
        fields: the fields of the body that it reads, as paths such as ``"metadata.name"`` and ``"messages[].role"``;
            a path stands for all that is in it, too. Others are warned of. ``None`` where the body is not checked.
        ignored: fields that the hosted service knows and that have no meaning here; they are warned of.
        strict: whether other fields are refused: those that filter have to be, and those of whose warning nobody hears.
        public: whether it is answered without a token.
        control: whether it is for tests: open only to those that have the key itself, and only where tests may control
            the runtime; it is neither recorded nor met by faults.
        streams_body: whether the handler reads the body itself.
        heavy: whether the handler, a plain function, takes so long or so much memory that few may run at once.
        differs: what the hosted service does otherwise, for ``IMPLEMENTED.md``.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    query: tuple[str, ...] | None = PROJECT
    fields: tuple[str, ...] | None = None
    ignored: tuple[str, ...] = ()
    strict: bool = False
    public: bool = False
    control: bool = False
    streams_body: bool = False
    heavy: bool = False
    differs: str = ""

    def __str__(self) -> str:
        """Write the method and the path."""
        return f"{self.method} {self.path}"

    @property
    def needs_version(self) -> bool:
        """Say whether the query must have a version; the platform's own operations, under /v2, do without."""
        return self.path.startswith(VERSIONED)

    @property
    def has_body(self) -> bool:
        """Say whether the operation takes a body."""
        return self.streams_body or (self.method not in BODILESS and self.fields != ())

    def check(self, query: QueryParams, body: bytes) -> None:
        """Refuse a request whose query has what is not read, or that has a body where none is read.

        Raises:
            ApiError: 400.
        """
        if self.query is None:
            return
        check_query(query, ("version", *self.query), str(self))
        check_version(query, self.needs_version)
        if not self.has_body and body.strip() not in EMPTY_BODIES:
            raise bad_request(f"{self} takes no body: send none.")


def no_content() -> Response:
    """Answer with a 204."""
    return Response(status_code=204)
