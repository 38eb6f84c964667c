"""What the fields of a request come to: each is honoured, ignored with a warning, or refused; none is dropped."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..http.errors import bad_request
from ..http.fields import LONGEST_SHOWN, Fields, shorten

LOCAL_RUNTIME = "local_runtime"  # holds, in requests and answers, what watsonx.ai does not know
HONOURED, IGNORED, REFUSED = "honoured", "ignored with a warning", "refused"
MOST_UNKNOWN = 10  # names that are told one by one; a request may have very many


@dataclass(frozen=True)
class Declared:
    """A field that clients are known to send.

    Args:
        name: with the names of the objects that it is in: ``parameters.temperature``.
        treatment: ``HONOURED``, ``IGNORED`` or ``REFUSED``.
        remark: for ``IMPLEMENTED.md``, and for the client where the field is refused.
    """

    name: str
    treatment: str
    remark: str = ""


Declaration = tuple[Declared, ...]

PROJECT: Declaration = (
    Declared("project_id", HONOURED),
    Declared("space_id", REFUSED, "deployment spaces are not offered here: use a project, by project_id"),
    Declared("crypto", IGNORED, "nothing here is encrypted by a key of the client's"),
)


def honoured(*names: str, within: str = "", remark: str = "") -> Declaration:
    """Declare fields that are honoured.

    Args:
        names: of the fields.
        within: what stands before each name, for instance ``"parameters."``.
        remark: on each of them.
    """
    return tuple(Declared(within + name, HONOURED, remark) for name in names)


def ignored(*names: str, within: str = "", remark: str = "") -> Declaration:
    """Declare fields that are ignored with a warning; the arguments are those of ``honoured``."""
    return tuple(Declared(within + name, IGNORED, remark) for name in names)


def warnings_of(body: Fields, declaration: Declaration) -> tuple[str, ...]:
    """Say what a request holds that is ignored.

    Args:
        body: of the request.
        declaration: of the operation; every field that it does not name is unknown, and ignored, too.

    Raises:
        ApiError: 400 for a field that is refused.
    """
    known = {field.name: field for field in declaration}
    warnings, unknown = [], []
    for path, value in _paths(body.values, known):
        field = known.get(path)
        if field is None:
            unknown.append(path)
        elif field.treatment == REFUSED:
            raise bad_request(f"{path} cannot be used: {field.remark}.")
        elif field.treatment == IGNORED and value:  # false, 0 and the like ask for nothing
            warnings.append(warning_of_ignored(path))
    for path in unknown[:MOST_UNKNOWN]:
        warnings.append(f"{_shown(path)} is not known to the local runtime and was ignored.")
    if len(unknown) > MOST_UNKNOWN:
        warnings.append(f"{len(unknown) - MOST_UNKNOWN} more fields are not known and were ignored.")
    return tuple(warnings)


def warning_of_ignored(name: str) -> str:
    """Say that a part of a request was ignored."""
    return f"{name} is not offered by the local runtime and was ignored."


def _shown(path: str) -> str:
    """Write a field's name as a message shows it."""
    return path if path.isascii() and path.isprintable() and len(path) < LONGEST_SHOWN else shorten(path)


def _paths(values: Mapping[str, Any], known: Mapping[str, Declared], within: str = "") -> Iterator[tuple[str, Any]]:
    """Give every field that is not null, by its path; objects whose parts are declared are opened."""
    for name, value in values.items():
        path = within + name
        if isinstance(value, dict) and any(other.startswith(f"{path}.") for other in known):
            yield from _paths(value, known, f"{path}.")
        elif value is not None:
            yield path, value
