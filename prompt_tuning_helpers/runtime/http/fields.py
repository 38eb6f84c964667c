"""Reading values from a request's JSON: each function takes one kind of value or says what is wrong with it."""

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from .errors import ApiError, bad_request

Value = TypeVar("Value")
LONGEST_SHOWN = 60


def parse_json(body: bytes) -> Any:
    """A JSON document.

    Raises:
        ApiError: 400 for anything that is not strict JSON in UTF-8.
    """
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
        # A lone surrogate is legal in JSON's escapes, but it can be neither stored nor sent.
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise bad_request("The body is nested too deeply.", "json_type_error") from None
    except ValueError as error:
        raise bad_request(f"The body is not valid JSON in UTF-8: {str(error)[:200]}.", "json_type_error") from None
    return document


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object."""
    document = parse_json(body)
    if not isinstance(document, dict):
        raise bad_request(f"The body must be a JSON object; it is {show(document)}.", "json_type_error")
    return document


def read_text(source: Mapping[str, Any], key: str, where: str = "", longest: int = 1000) -> str | None:
    """A string; ``None`` when it is left out."""
    value = source.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(where + key, "a string", value)
    if len(value) > longest:
        raise bad_request(f"{where}{key} may have at most {longest} characters; it has {len(value)}.")
    return value


def read_texts(source: Mapping[str, Any], key: str, where: str = "", most: int = 100) -> list[str]:
    """A list of strings; empty when it is left out."""
    value = source.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(where + key, "a list of strings", value)
    if len(value) > most or any(len(item) > 1000 for item in value):
        raise bad_request(f"{where}{key} may have at most {most} entries of at most 1000 characters each.")
    return value


def read_integer(source: Mapping[str, Any], key: str, least: int, most: int, where: str = "") -> int | None:
    """A whole number within limits; ``None`` when it is left out."""
    value = source.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(where + key, f"a whole number from {least} to {most}", value)
    return value


def read_number(
    source: Mapping[str, Any], key: str, most: float, where: str = "", least: float | None = None
) -> float | None:
    """A number from ``least``, or above zero when that is left out, to ``most``; ``None`` when it is left out."""
    value = source.get(key)
    if value is None:
        return None
    limits = f"a number above 0 and at most {most:g}" if least is None else f"a number from {least:g} to {most:g}"
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(where + key, limits, value)
    fits = value <= most and (value > 0 if least is None else value >= least)
    if not fits or not math.isfinite(value):
        raise _wrong(where + key, limits, value)
    return float(value)


def read_flag(source: Mapping[str, Any], key: str, where: str = "") -> bool | None:
    """A boolean; ``None`` when it is left out."""
    value = source.get(key)
    if value is not None and not isinstance(value, bool):
        raise _wrong(where + key, "true or false", value)
    return value


def read_object(source: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any] | None:
    """An object; ``None`` when it is left out."""
    value = source.get(key)
    if value is not None and not isinstance(value, dict):
        raise _wrong(where + key, "an object", value)
    return value


def required(value: Value | None, name: str) -> Value:
    """The value, which must be there and, if it is text, not be empty."""
    if value is None or value == "":
        raise bad_request(f"{name} is missing: give it a value.")
    return value


def show(value: object) -> str:
    """A value as an error message shows it: short."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _wrong(name: str, expected: str, value: object) -> ApiError:
    return bad_request(f"{name} must be {expected}; it is {show(value)}.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
