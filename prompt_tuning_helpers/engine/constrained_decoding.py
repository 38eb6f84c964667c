"""Constrained decoding: an answer is held to one of a few texts, to a regular expression, to JSON or to a grammar."""

from abc import ABC, abstractmethod
from functools import cache
from typing import Any

from .errors import UnusablePrompt, reason_of
from .loading import LoadedModel
from .settings import Guide
from .tokenizer_file import FileTokenizer

GUIDED = "llguidance"  # computes which tokens may come next in a grammar
MOST_WORK = 100_000  # in its own unit, "initial_lexer_fuel"; a schema of a hundred fields fits


class Constraint(ABC):
    """Says which tokens may come next in one answer."""

    @abstractmethod
    def allowed(self) -> list[int]:
        """Return the ids of the tokens that may come next, end-of-text tokens among them: at least one."""

    @abstractmethod
    def read(self, token: int) -> None:
        """Take note of the next token, one of those allowed that does not end the text."""

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Tell whether nothing but the end may come next."""


def constrain(guide: Guide, loaded: LoadedModel) -> Constraint:
    """Hold one answer to a guide.

    Args:
        guide: what the answer must be.
        loaded: the model and its tokenizer.

    Raises:
        UnusablePrompt: for a guide that this model cannot be held to; it says why.
    """
    if not loaded.end_tokens:
        raise UnusablePrompt("This model has no token that ends a text, so its answers cannot be guided. Ask freely.")
    if guide.kind == "choice":
        return _Choice(tuple(guide.value), loaded)
    return _Grammar(guide, loaded)


_Trie = dict[int, "_Trie"]


class _Choice(Constraint):
    """One of a few texts: a trie over their tokens, and the place in it."""

    def __init__(self, texts: tuple[str, ...], loaded: LoadedModel) -> None:
        self._end_tokens = loaded.end_tokens
        self._place: _Trie = {}
        for text in texts:
            tokens = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
            if loaded.tokenizer.decode(tokens, skip_special_tokens=True) != text:
                raise UnusablePrompt(f"The choice {text!r} cannot be written with this model's tokens. Change it.")
            loaded.check_tokens(tokens)
            place = self._place
            for token in tokens:
                place = place.setdefault(token, {})
            place.update((token, {}) for token in self._end_tokens)

    def allowed(self) -> list[int]:
        """Return the ids of the tokens that may come next."""
        return list(self._place)

    def read(self, token: int) -> None:
        """Take note of the next token."""
        self._place = self._place[token]

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing but the end may come next."""
        return self._place.keys() <= self._end_tokens


class _Grammar(Constraint):
    """A regular expression, a JSON schema or a grammar, by llguidance (https://github.com/guidance-ai/llguidance)."""

    def __init__(self, guide: Guide, loaded: LoadedModel) -> None:
        try:
            from llguidance import LLMatcher, LLParserLimits
        except ImportError:
            raise UnusablePrompt(
                f"Answers are held to a {guide.kind} by the package {GUIDED}, which is not installed here: "
                f"pip install {GUIDED}. Choices (guided_choice) need no package."
            ) from None
        try:
            # Others wait while a guide is prepared: one that would take seconds is refused instead.
            limits = LLParserLimits(initial_lexer_fuel=MOST_WORK, verbose_errors=False)
            self._matcher = LLMatcher(_vocabulary(loaded), _grammar(guide), log_level=0, limits=limits)
        except Exception as error:  # of a tokenizer or a grammar that it does not know
            raise _unusable(guide, reason_of(error)) from error
        if self._matcher.is_error():
            raise _unusable(guide, self._matcher.get_error())
        self._guide = guide

    def allowed(self) -> list[int]:
        """Return the ids of the tokens that may come next."""
        import numpy as np

        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed: list[int] = np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist()
        if not allowed or self._matcher.is_error():
            raise _unusable(self._guide, self._matcher.get_error() or "no token may come next")
        return allowed

    def read(self, token: int) -> None:
        """Take note of the next token."""
        if not self._matcher.consume_token(token):
            raise _unusable(self._guide, self._matcher.get_error())

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing but the end may come next."""
        return bool(self._matcher.is_stopped())


@cache
def _vocabulary(loaded: LoadedModel) -> Any:
    """Give llguidance the tokens of a model; this takes a second for a large vocabulary."""
    size, ends = loaded.model.embedding.shape[0], sorted(loaded.end_tokens)
    if isinstance(loaded.tokenizer, FileTokenizer):
        from llguidance import LLTokenizer

        return LLTokenizer(loaded.tokenizer.to_json(), n_vocab=size, eos_token=ends)
    from llguidance.hf import from_tokenizer

    return from_tokenizer(loaded.tokenizer, n_vocab=size, eos_token=ends)


def _grammar(guide: Guide) -> str:
    """Write a guide as llguidance reads it."""
    from llguidance import LLMatcher
    from llguidance.gbnf_to_lark import any_to_lark

    value = str(guide.value)
    grammar: str
    if guide.kind == "regex":
        grammar = LLMatcher.grammar_from_regex(value)
    elif guide.kind == "json":
        # With blanks wherever JSON allows them, a small model would write nothing else.
        layout: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        grammar = LLMatcher.grammar_from_json_schema(value, overrides=layout)
    else:
        grammar = LLMatcher.grammar_from_lark(any_to_lark(value))
    return grammar


def _unusable(guide: Guide, reason: str) -> UnusablePrompt:
    line = " ".join(reason.split())[:300].rstrip(".")
    return UnusablePrompt(f"Answers cannot be held to this {guide.kind}: {line}. Correct it, or ask without it.")
