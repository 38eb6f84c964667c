"""Reads JSON Patch bodies: what an update of a resource asks to change."""

from collections.abc import Collection
from typing import Any

from .errors import bad_request
from .fields import Fields

OPERATIONS = ("add", "replace", "remove")
FIELDS = ("[].op", "[].path", "[].value")  # what is read of such a body


def read_changes(operations: Any, paths: Collection[str]) -> dict[str, Any]:
    """Read the new values that a JSON Patch sets, by path; ``None`` for what it removes.

    Args:
        operations: the body, a list of ``add``, ``replace`` and ``remove`` operations.
        paths: what may be changed.

    Raises:
        ApiError: 400 for another operation, another path, or a body of another kind.
    """
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise bad_request("The body must be a JSON Patch, a list of objects with op, path and value.")
    changes: dict[str, Any] = {}
    for index, operation in enumerate(operations):
        fields = Fields(operation, f"[{index}].")
        removes = fields.required_choice("op", OPERATIONS) == "remove"
        path, value = fields.required_choice("path", paths), operation.get("value")
        if removes and value is not None:
            raise bad_request(f"{fields.where}value is not for the op remove: leave it out, or replace.")
        if not removes and "value" not in operation:
            raise fields.missing("value")
        changes[path] = value
    return changes
