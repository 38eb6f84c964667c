"""What a client is told of a field that is not what it must be: which one, what it must be, and what it is."""

from collections.abc import Callable
from typing import Any

import pytest

from prompt_tuning_helpers.runtime.http.errors import ApiError
from prompt_tuning_helpers.runtime.http.fields import Fields, parse_fields

Read = Callable[[Fields], Any]


def nested(value: Any) -> Fields:
    return Fields({"outer": {"inner": value}}).object("outer")


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (lambda fields: fields.text("inner"), 5, "outer.inner must be a string; it is 5."),
        (lambda fields: fields.text("inner", 3), "four", "outer.inner may have at most 3 characters; it has 4."),
        (lambda fields: fields.required_text("inner"), "", "outer.inner is missing: give it a value."),
        (lambda fields: fields.choice("inner", ("a", "b")), "c", 'outer.inner must be one of a, b; it is "c".'),
        (lambda fields: fields.required_choice("inner", ("a",)), None, "outer.inner is missing: give it a value."),
        (lambda fields: fields.texts("inner"), ["a", 1], 'outer.inner must be a list of strings; it is ["a", 1].'),
        (
            lambda fields: fields.texts("inner", 1),
            ["a", "b"],
            "outer.inner may have at most 1 entries of at most 1000 characters each.",
        ),
        (lambda fields: fields.integer("inner", 1, 5), 6.0, "outer.inner must be a whole number from 1 to 5; it is 6."),
        (
            lambda fields: fields.integer("inner", 0, 5),
            True,
            "outer.inner must be a whole number from 0 to 5; it is true.",
        ),
        (lambda fields: fields.integer("inner", 1, 1), 2, "outer.inner must be 1; it is 2."),
        (lambda fields: fields.number("inner", 2), 0, "outer.inner must be a number above 0 and at most 2; it is 0."),
        (lambda fields: fields.number("inner", 2, 1), 0.5, "outer.inner must be a number from 1 to 2; it is 0.5."),
        (lambda fields: fields.flag("inner"), "yes", 'outer.inner must be true or false; it is "yes".'),
        (lambda fields: fields.object("inner"), [], "outer.inner must be an object; it is []."),
        (lambda fields: fields.object("inner").text("x"), {"x": 1}, "outer.inner.x must be a string; it is 1."),
        (
            lambda fields: fields.required_object("inner", ", which is needed,"),
            None,
            "outer.inner, which is needed, is missing: give it a value.",
        ),
    ],
)
def test_what_is_wrong_is_named(read: Read, value: Any, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(nested(value))
    assert refused.value.message == message
    assert refused.value.status == 400


def test_what_is_left_out_is_null_too() -> None:
    for fields in (Fields({}), parse_fields(b'{"a": null}')):
        assert fields.text("a") is None
        assert fields.choice("a", ("b",)) is None
        assert fields.integer("a", 0, 1) is None
        assert fields.number("a", 1) is None
        assert fields.flag("a") is None
        assert fields.texts("a") == []
        assert fields.object("a").values == {}
