"""Sentences that notebooks set as text; of what a program printed, they would break long lines within words."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

Arguments = ParamSpec("Arguments")


class Paragraphs(str):
    """A text of which each line is a paragraph."""

    def __repr__(self) -> str:
        """Give the lines, where nothing is set."""
        return str(self)

    def _repr_markdown_(self) -> str:
        """Give the paragraphs as notebooks show them."""
        return self.replace("\n", "\n\n")


def in_paragraphs(describe: Callable[Arguments, str]) -> Callable[Arguments, Paragraphs]:
    """Let a function's text be set in paragraphs."""

    @wraps(describe)
    def described(*arguments: Arguments.args, **named: Arguments.kwargs) -> Paragraphs:
        return Paragraphs(describe(*arguments, **named))

    return described
