"""Reads JSON Patch bodies: what an update of a resource asks to change."""

from collections.abc import Collection
from typing import Any

from .errors import bad_request
from .fields import Fields, parse_json

SETTING = ("add", "replace")


def read_changes(body: bytes, paths: Collection[str]) -> dict[str, Any]:
    """Read the new values that a JSON Patch sets, by path.

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
        fields = Fields(operation, f"[{index}].")
        fields.required_choice("op", SETTING)
        changes[fields.required_choice("path", paths)] = operation.get("value")
    return changes
