"""What lists are searched by: tags joined by ``and`` and ``or``, and searches such as ``asset.name:<name>``."""

import re
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase

from ..http.errors import bad_request
from ..http.fields import shorten

ALL = "*:*"
OPERATORS = re.compile(r"\s(OR|NOT|\|\||&&)\s|^NOT\s")


def has_tags(tags: Collection[str], wanted: Collection[str]) -> bool:
    """Tell whether all that are wanted are among some tags."""
    return set(wanted) <= set(tags)


def fits_tags(tags: Collection[str], expressions: Collection[str]) -> bool:
    """Tell whether tags fit all that a query of models says of them, which knows ``and`` and ``or``.

    Args:
        tags: of a resource.
        expressions: each is a tag, or several, joined by ``and`` and ``or``, of which ``and`` binds closer.
    """
    return all(_fits(tags, expression) for expression in expressions)


def _fits(tags: Collection[str], expression: str) -> bool:
    if expression in tags:  # a tag may have these words in it
        return True
    return any(all(tag in tags for tag in part.split(" and ")) for part in expression.split(" or "))


def read_search(text: str, fields: Collection[str], where: str) -> Callable[[Mapping[str, Collection[str]]], bool]:
    """Read a search: ``field:value`` terms, joined by ``AND``; ``*`` and ``?`` in a value without quotes are wildcards.

    Args:
        text: the search.
        fields: those that may be searched.
        where: what the search is called in messages.

    Returns:
        The function that tells whether a resource, given as the values of each field, is found.

    Raises:
        ApiError: 400 for what is not understood: nobody is to get more than was asked for.
    """
    if text.strip() == ALL:
        return lambda _: True
    terms = [_read_term(term.strip(), fields) for term in text.split(" AND ")]
    if OPERATORS.search(text) or None in terms:
        known = ", ".join(f"{field}:<value>" for field in fields)
        raise bad_request(f"{where} must be {ALL} or terms joined by AND, each one of {known}; it is {shorten(text)}.")
    wanted = [term for term in terms if term is not None]
    return lambda values: all(any(fits(value) for value in values[field]) for field, fits in wanted)


def _read_term(term: str, fields: Collection[str]) -> tuple[str, Callable[[str], bool]] | None:
    field, _, value = term.partition(":")
    value = value.strip()
    if field not in fields or not value or value[0] in "([{<>":
        return None
    if value[0] == '"':
        quoted = value[1:-1]
        return (field, quoted.__eq__) if len(value) > 1 and value[-1] == '"' and '"' not in quoted else None
    # fnmatch knows brackets, too, which are no wildcards here.
    pattern = value.replace("[", "[[]")
    return field, lambda found: fnmatchcase(found, pattern)
