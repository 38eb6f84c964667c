"""Holds requests to what their operation declares to read, so that nothing a client sends is dropped in silence."""

import re
from collections.abc import Collection, Iterator
from datetime import date
from typing import Any

from starlette.datastructures import QueryParams

from .errors import ApiError, bad_request
from .fields import shorten

REPEATABLE = ("tag.value",)
MAY_BE_EMPTY = ("limit", "start")  # some clients send an empty one for none; others filter, and empty ones would not
VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def check_query(query: QueryParams, known: Collection[str], operation: str) -> None:
    """Refuse a query with a parameter that is unknown, repeated or empty: what it was to filter would come in full.

    Args:
        query: of the request.
        known: the parameters that the operation reads.
        operation: method and path, for messages.

    Raises:
        ApiError: 400 for the first that is wrong.
    """
    for name in query:
        values = query.getlist(name)
        if name == "space_id":
            raise no_spaces()
        if name not in known:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise bad_request(f"There is no query parameter {shorten(name)} here: {operation} {takes}.")
        if len(values) > 1 and name not in REPEATABLE:
            raise bad_request(f"The query has {name} {len(values)} times: give it once.")
        if "" in values and name not in MAY_BE_EMPTY:
            raise bad_request(f"The query's {name} is empty: give it a value, or leave it out.")


def check_version(query: QueryParams, needed: bool) -> None:
    """Refuse a query whose ``version`` is no date, or missing where it is needed.

    Raises:
        ApiError: 400.
    """
    version = query.get("version")
    if version is None and needed:
        raise bad_request("version is missing: add it to the query, a date in the form YYYY-MM-DD.", "missing_version")
    if version is not None and not _is_date(version):
        raise bad_request(f"The query's version must be a date in the form YYYY-MM-DD; it is {shorten(version)}.")


def no_spaces() -> ApiError:
    """Make the error for a request that names a deployment space."""
    return bad_request(
        "Deployment spaces are not offered here: name a project, by project_id, and leave space_id out.",
        "spaces_not_offered",
    )


def unread(document: Any, known: Collection[str]) -> list[str]:
    """List the fields of a JSON document that are not among those that are read.

    What is null or empty is as good as left out.

    Args:
        document: the body.
        known: paths such as ``"metadata.name"`` or ``"messages[].role"``; one stands for all that is in it, too.

    Returns:
        The outermost path of each field that is not read, once, in the document's order.
    """
    containers = {path[: match.start()] for path in known for match in re.finditer(r"\.|\[\]|$", path)} - {*known}
    return list(dict.fromkeys(_unread(document, "", frozenset(known), frozenset(containers))))


def _unread(value: Any, path: str, known: frozenset[str], containers: frozenset[str]) -> Iterator[str]:
    if path in known or value in (None, {}, []):
        return
    if path and path not in containers:
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            # A dot or brackets in a field's own name must not make it look like another's.
            own = re.sub(r"[.\[\]]", "?", name)
            yield from _unread(inner, f"{path}.{own}" if path else own, known, containers)
    elif isinstance(value, list):
        for inner in value:
            yield from _unread(inner, f"{path}[]", known, containers)


def _is_date(text: str) -> bool:
    try:
        return bool(VERSION.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False
