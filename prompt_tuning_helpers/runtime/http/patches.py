"""Reads JSON Patch bodies: what an update of a resource asks to change."""

from collections.abc import Collection
from typing import Any

from .errors import bad_request
from .fields import parse_json, read_text, required, show

SETTING = ("add", "replace")


def read_changes(body: bytes, paths: Collection[str]) -> dict[str, Any]:
    """The new values that a JSON Patch sets, by path.

    Args:
        body: a list of ``add`` and ``replace`` operations.
        paths: what may be changed.

    Raises:
        ApiError: 400 for another operation, another path, or a body of another kind.
    """
    operations = parse_json(body)
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise bad_request("The body must be a JSON Patch, a list of objects with op, path and value.")
    changes: dict[str, Any] = {}
    for index, operation in enumerate(operations):
        name = required(read_text(operation, "op", f"[{index}]."), f"[{index}].op")
        path = required(read_text(operation, "path", f"[{index}]."), f"[{index}].path")
        if name not in SETTING:
            raise bad_request(f"[{index}].op must be one of {', '.join(SETTING)}; it is {show(name)}.")
        if path not in paths:
            raise bad_request(f"[{index}].path must be one of {', '.join(paths)}; it is {show(path)}.")
        changes[path] = operation.get("value")
    return changes
