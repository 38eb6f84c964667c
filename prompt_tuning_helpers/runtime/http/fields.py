"""Reading a request's JSON: each value is taken as what it must be, or the client is told what is wrong and where."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ApiError, bad_request

LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Fields:
    """The fields of a JSON object. One that is null is as good as left out.

    Every method that reads a field raises an ``ApiError``, a 400, when it holds something else than it must.

    Args:
        values: the object.
        where: what messages put before a field's name, for instance ``"metadata."``.
    """

    values: Mapping[str, Any]
    where: str = ""

    def text(self, name: str, longest: int = 1000) -> str | None:
        """Read a string of at most so many characters; ``None`` when it is left out."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        if len(value) > longest:
            raise bad_request(f"{self.where}{name} may have at most {longest} characters; it has {len(value)}.")
        return value

    def required_text(self, name: str, longest: int = 1000) -> str:
        """Read a string that must be there and not be empty."""
        value = self.text(name, longest)
        if not value:
            raise self.missing(name)
        return value

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """Read a string that must be one of a few; ``None`` when it is left out or empty."""
        value = self.text(name)
        if value and value not in choices:
            raise self.wrong(name, f"one of {', '.join(choices)}")
        return value or None

    def required_choice(self, name: str, choices: Collection[str]) -> str:
        """Read a string that must be there and be one of a few."""
        value = self.choice(name, choices)
        if value is None:
            raise self.missing(name)
        return value

    def texts(self, name: str, most: int = 100) -> list[str]:
        """Read a list of strings, of at most so many; it is empty when it is left out."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, "a list of strings")
        if len(value) > most or any(len(item) > 1000 for item in value):
            raise bad_request(f"{self.where}{name} may have at most {most} entries of at most 1000 characters each.")
        return value

    def integer(self, name: str, least: int, most: int) -> int | None:
        """Read a whole number within limits; ``None`` when it is left out."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            limits = f"a whole number from {least} to {most}" if least < most else str(least)
            raise bad_request(f"{self.where}{name} must be {limits}; it is {shorten(value)}.")
        return value

    def number(self, name: str, most: float, least: float | None = None) -> float | None:
        """Read a number from ``least``, or above zero without it, to ``most``; ``None`` when it is left out."""
        value = self.values.get(name)
        if value is None:
            return None
        limits = f"a number above 0 and at most {most:g}" if least is None else f"a number from {least:g} to {most:g}"
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(name, limits)
        fits = value <= most and (value > 0 if least is None else value >= least)
        if not fits or not math.isfinite(value):
            raise self.wrong(name, limits)
        return float(value)

    def flag(self, name: str) -> bool | None:
        """Read a boolean; ``None`` when it is left out."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def object(self, name: str) -> "Fields":
        """Read an object; it has no fields when it is left out."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Fields(value or {}, f"{self.where}{name}.")

    def required_object(self, name: str, remark: str = "") -> "Fields":
        """Read an object that must be there; a remark on it follows its name where the message says that it is not."""
        if self.values.get(name) is None:
            raise self.missing(name, remark)
        return self.object(name)

    def missing(self, name: str, remark: str = "") -> ApiError:
        """Make the error that says that a field is missing."""
        return bad_request(f"{self.where}{name}{remark} is missing: give it a value.")

    def wrong(self, name: str, expected: str) -> ApiError:
        """Make the error that says what a field must be and what it is."""
        return bad_request(f"{self.where}{name} must be {expected}; it is {shorten(self.values.get(name))}.")


def parse_json(body: bytes) -> Any:
    """Read a JSON document.

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


def parse_fields(body: bytes) -> Fields:
    """Read a JSON object.

    Raises:
        ApiError: 400 for anything else.
    """
    return as_fields(parse_json(body))


def as_fields(document: Any) -> Fields:
    """Take a JSON document for an object.

    Raises:
        ApiError: 400 for anything else.
    """
    if not isinstance(document, dict):
        raise bad_request(f"The body must be a JSON object; it is {shorten(document)}.", "json_type_error")
    return Fields(document)


def shorten(value: object) -> str:
    """Write a value as an error message shows it: in JSON, and short."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
