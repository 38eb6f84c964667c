"""Canned answers: what is answered to a prompt in the model's place."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import regex

from ..http.errors import bad_request
from ..http.fields import shorten

MOST_RULES = 10_000
# A pattern can take for ever, and nothing else would be answered meanwhile.
PATTERN_SECONDS = 1.0
FLAGS = {
    "a": regex.ASCII,
    "i": regex.IGNORECASE,
    "m": regex.MULTILINE,
    "s": regex.DOTALL,
    "x": regex.VERBOSE,
}


@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        text: what is answered, whole, whatever the request's parameters are.
        stop_reason: why the answer ends there, as the engine says it.
    """

    text: str
    stop_reason: str = "eos_token"


@dataclass(frozen=True)
class Key:
    """Which prompts are answered.

    Args:
        project_id: the only project to answer in; ``None`` for all.
        prompt: the whole prompt, where it is no pattern.
        pattern: a regular expression that is searched for in the prompt.
        flags: letters of ``FLAGS``.
    """

    project_id: str | None
    prompt: str | None = None
    pattern: str = ""
    flags: str = ""


@dataclass
class Rule:
    """The answers to some prompts: one after the other, and then the last one again and again."""

    key: Key
    answers: Sequence[Answer]
    compiled: Any = None
    given: int = field(default=0)

    def next_answer(self) -> Answer:
        """Give the answer whose turn it is."""
        self.given += 1
        return self.answers[min(self.given, len(self.answers)) - 1]


class Answers:
    """All canned answers. What was set later comes before what was set earlier, and a whole prompt before a pattern."""

    def __init__(self) -> None:
        self._rules: dict[Key, Rule] = {}
        self._lock = threading.Lock()

    def put(self, key: Key, answers: Sequence[Answer]) -> None:
        """Set the answers to some prompts; without any, the model answers again.

        Raises:
            ApiError: 400 for a pattern that is none, or for more rules than can be kept.
        """
        compiled = None if key.prompt is not None else compile_pattern(key.pattern, key.flags)
        with self._lock:
            self._rules.pop(key, None)
            if not answers:
                return
            if len(self._rules) >= MOST_RULES:
                raise bad_request(f"{MOST_RULES} answers are set already: take some back.")
            self._rules[key] = Rule(key, answers, compiled)

    def find(self, prompt: str, project_id: str | None) -> Answer | None:
        """Give the next answer to a prompt, if any is set.

        Args:
            prompt: the text, or what the last message of a conversation says.
            project_id: of the request.

        Raises:
            ApiError: 400 for a pattern that takes too long on this prompt.
        """
        with self._lock:
            for project in (project_id, None):
                rule = self._rules.get(Key(project, prompt))
                if rule is not None:
                    return rule.next_answer()
            patterns = [rule for rule in reversed(self._rules.values()) if rule.compiled is not None]
        for rule in patterns:
            if rule.key.project_id in (None, project_id) and _fits(rule, prompt):
                with self._lock:
                    return rule.next_answer()
        return None

    def of(self, project_id: str | None) -> list[Rule]:
        """Give what is set for one project alone, or for all of them, the oldest first."""
        with self._lock:
            return [rule for rule in self._rules.values() if rule.key.project_id == project_id]

    def forget(self, project_id: str | None) -> None:
        """Take back what is set for a project; without one, everything."""
        with self._lock:
            for key in list(self._rules):
                if project_id is None or key.project_id == project_id:
                    del self._rules[key]


def compile_pattern(pattern: str, flags: str) -> Any:
    """Compile a regular expression of Python's.

    Raises:
        ApiError: 400 for one that is none.
    """
    try:
        combined = regex.VERSION0
        for letter in flags:
            combined |= FLAGS[letter]
        return regex.compile(pattern, combined)
    except (regex.error, ValueError, OverflowError, RecursionError, KeyError) as error:
        raise bad_request(f"The pattern {shorten(pattern)} is no regular expression: {error}.") from None


def _fits(rule: Rule, prompt: str) -> bool:
    try:
        return rule.compiled.search(prompt, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        raise bad_request(
            f"The pattern {shorten(rule.key.pattern)} was not done with this prompt after {PATTERN_SECONDS:g} second: "
            "simplify it.",
            "pattern_too_slow",
        ) from None
