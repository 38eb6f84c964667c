"""The ``filters`` grammar of ``foundation_model_specs``: ``tfilter[,tfilter][:(and|or)]``, ``!`` for absence."""

from collections.abc import Callable, Mapping
from typing import Any

from ..http.errors import bad_request
from ..http.fields import shorten

Test = Callable[[Mapping[str, Any], str], bool]


def _has(key: str, field: str) -> Test:
    return lambda spec, value: any(item.get(field) == value for item in spec.get(key, []))


def _is(key: str) -> Test:
    return lambda spec, value: spec.get(key) == value


def _has_tier(spec: Mapping[str, Any], value: str) -> bool:
    return value in (spec.get("input_tier"), spec.get("output_tier"))


# The longer prefixes come first, because "tier_" would not tell them apart otherwise.
TESTS: dict[str, Test] = {
    "input_tier_": _is("input_tier"),
    "output_tier_": _is("output_tier"),
    "tier_": _has_tier,
    "modelid_": _is("model_id"),
    "provider_": _is("provider"),
    "source_": _is("source"),
    "task_": _has("tasks", "id"),
    "lifecycle_": _has("lifecycle", "id"),
    "function_": _has("functions", "id"),
}


def matches(spec: Mapping[str, Any], filters: str | None) -> bool:
    """Tell whether a model's spec passes the filters of a query.

    Args:
        spec: as answered.
        filters: the query's text; ``None`` lets everything pass. Without ``:and`` one filter that passes is enough.

    Raises:
        ApiError: 400 for text that does not follow the grammar.
    """
    if filters is None:
        return True
    terms, combine = filters, any
    for suffix, function in ((":and", all), (":or", any)):
        if filters.endswith(suffix):
            terms, combine = filters.removesuffix(suffix), function
    # Every term is looked at before they are combined, so that a wrong one is always reported.
    return combine([_matches_one(spec, term.strip()) for term in terms.split(",")])


def _matches_one(spec: Mapping[str, Any], term: str) -> bool:
    wanted = not term.startswith("!")
    name = term.removeprefix("!")
    for prefix, test in TESTS.items():
        if name.startswith(prefix) and len(name) > len(prefix):
            return test(spec, name.removeprefix(prefix)) == wanted
    raise bad_request(
        f"filters has the term {shorten(term)}: a term is one of {', '.join(TESTS)} with a value, with ! before it for "
        "absence; terms are joined by commas, and :and or :or may end them."
    )
