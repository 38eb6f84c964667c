"""Reads what steers an answer, in text generation and in chat alike: penalties, biases, guides and limits."""

import json
from typing import Any

from ...engine import Guide
from ..http.errors import bad_request
from ..http.fields import Fields, shorten

LONGEST_MILLISECONDS = 3_600_000
MOST_CHOICES = 1000
MOST_BIASES = 1000
LONGEST_GUIDE = 20_000
GUIDES = ("guided_choice", "guided_regex", "guided_json", "guided_grammar", "response_format")
FORMATS = ("text", "json_object", "json_schema")
STEERING = ("presence_penalty", "frequency_penalty", "logit_bias", *GUIDES)


def read_steering(fields: Fields) -> dict[str, Any]:
    """Read what steers an answer; the result are arguments of ``GenerationParameters``.

    Raises:
        ApiError: 400 for the first that is out of range.
    """
    return {
        "presence_penalty": fields.number("presence_penalty", 2, least=-2) or 0.0,
        "frequency_penalty": fields.number("frequency_penalty", 2, least=-2) or 0.0,
        "logit_bias": _read_biases(fields),
        "repetition_penalty": value_or(fields.number("repetition_penalty", 2, least=1), 1.0),
        "guide": _read_guide(fields),
        "time_limit": _read_time_limit(fields),
    }


def value_or(value: float | None, default: float) -> float:
    """Give a value, which may be zero, or the default when there is none."""
    return default if value is None else value


def _read_time_limit(fields: Fields) -> float | None:
    """Read how long an answer may take, in seconds; clients give it in milliseconds."""
    milliseconds = fields.integer("time_limit", 1, LONGEST_MILLISECONDS)
    return None if milliseconds is None else milliseconds / 1000


def _read_biases(fields: Fields) -> dict[int, float]:
    """Read the biases of tokens, whose ids are strings, as the names of a JSON object are."""
    biases = fields.object("logit_bias")
    if len(biases.values) > MOST_BIASES:
        raise bad_request(f"{fields.where}logit_bias may have at most {MOST_BIASES} tokens.")
    for token in biases.values:
        if not (token.isascii() and token.isdecimal() and len(token) <= 9):
            raise bad_request(
                f'{fields.where}logit_bias must name tokens by their ids, as in {{"1003": -100}}; '
                f"one is {shorten(token)}."
            )
    return {int(token): biases.number(token, 100, least=-100) or 0.0 for token in biases.values}


def _read_guide(fields: Fields) -> Guide | None:
    """Read what the answer must be; at most one guide may be given."""
    guides = {name: guide for name in GUIDES if (guide := _read_one_guide(fields, name))}
    if len(guides) > 1:
        raise bad_request(f"Only one of {' and '.join(fields.where + name for name in guides)} can be given.")
    return next(iter(guides.values()), None)


def _read_one_guide(fields: Fields, name: str) -> Guide | None:
    if name == "guided_choice":
        choices = fields.texts(name, MOST_CHOICES)
        if "" in choices or fields.values.get(name) == []:
            raise bad_request(f"{fields.where}{name} must have texts to choose from, and none may be empty.")
        return Guide("choice", tuple(choices)) if choices else None
    if name == "response_format":
        return _read_format(fields)
    if name == "guided_json":
        return _read_schema(fields, name)
    text = fields.text(name, LONGEST_GUIDE)
    return Guide(name.removeprefix("guided_"), text) if text else None


def _read_format(fields: Fields) -> Guide | None:
    wanted = fields.object("response_format")
    if not wanted.values:
        return None
    kind = wanted.required_choice("type", FORMATS)
    if kind == "json_schema":
        schema = wanted.required_object("json_schema")
        return _read_schema(schema, "schema") or Guide("json", "{}")
    return Guide("json", '{"type": "object"}') if kind == "json_object" else None


def _read_schema(fields: Fields, name: str) -> Guide | None:
    """Read a JSON schema; some clients send it as a string."""
    value = fields.values.get(name)
    if isinstance(value, str):
        try:
            fields = Fields({name: json.loads(value)}, fields.where)
        except (ValueError, RecursionError):
            raise fields.wrong(name, "a JSON schema") from None
    schema = fields.object(name).values
    text = json.dumps(schema)
    if len(text) > LONGEST_GUIDE:
        raise bad_request(f"{fields.where}{name} may have at most {LONGEST_GUIDE} characters; it has {len(text)}.")
    return Guide("json", text) if fields.values.get(name) is not None else None
