"""What a test sets and sees: answers in the model's place, faults, the clock, and the requests that were made."""

import re
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .routes import ControlRoutes

FLAGS = {"a": re.ASCII, "i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


@dataclass(frozen=True)
class Answer:
    """An answer that is given in the model's place.

    Args:
        text: of the answer; it is given whole, whatever the request's parameters are.
        stop_reason: why it ends: ``eos_token``, ``max_tokens``, ``stop_sequence``, ``token_limit`` or ``time_limit``.
    """

    text: str
    stop_reason: str = "eos_token"


@dataclass(frozen=True)
class Request:
    """A request that a program made. Keys and tokens are not in it.

    Args:
        at: when it came, by the runtime's clock.
        operation: its method and path as IMPLEMENTED.md writes them, ``"POST /ml/v1/text/generation"`` for instance.
        path: as it was sent.
        query: parameters of the address; one that came more than once has a list.
        headers: with names in lower case, without those for secrets.
        body: the JSON document, or the fields of a form; ``None`` for files, and for what was refused unread.
        project_id: the project that it names, itself or by its deployment.
        status: of the answer; ``None`` as long as there is none.
        fault: whether one of the test's faults met it.
    """

    at: datetime
    operation: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    project_id: str | None
    status: int | None
    fault: bool


Prompt = str | re.Pattern[str]
Given = str | Answer | Sequence[str | Answer]


class Answers(MutableMapping[Prompt, Given]):
    """Answers by prompt: a whole text, or a pattern that is searched for in it.

    For a conversation, the prompt is what its last message says. Several answers are given one after the other, the
    last of them again and again. A whole prompt comes before a pattern, and of two patterns the one that was set later.
    What has no answer here is answered by the model.

    Args:
        routes: to the runtime's controls.
    """

    def __init__(self, routes: ControlRoutes) -> None:
        self._routes = routes

    def __setitem__(self, prompt: Prompt, answer: Given) -> None:
        """Set the answer to a prompt, or several.

        Raises:
            TypeError: for an answer that is neither a text nor an ``Answer``, or a prompt that is no text.
            ValueError: for a pattern or an answer that cannot be used.
        """
        answers = list(answer) if isinstance(answer, Sequence) and not isinstance(answer, str) else [answer]
        if not answers:
            raise ValueError("There is no answer: give one, or take the prompt back with del.")
        self._put(prompt, [_answer_document(item) for item in answers])

    def __getitem__(self, prompt: Prompt) -> list[Answer]:
        """Give the answers that are set for a prompt or a pattern."""
        return self._read()[prompt]

    def __delitem__(self, prompt: Prompt) -> None:
        """Let the model answer this again."""
        if prompt not in self._read():
            raise KeyError(prompt)
        self._put(prompt, [])

    def __iter__(self) -> Iterator[Prompt]:
        """Go through the prompts and patterns, the oldest first."""
        return iter(self._read())

    def __len__(self) -> int:
        """Count the prompts and patterns."""
        return len(self._read())

    def _put(self, prompt: Prompt, answers: list[dict[str, str]]) -> None:
        text = prompt.pattern if isinstance(prompt, re.Pattern) else prompt
        if not isinstance(text, str):
            raise TypeError(f"A prompt is a text, or a pattern of re.compile for texts, not {prompt!r}.")
        if isinstance(prompt, re.Pattern):
            flags = "".join(letter for letter, flag in FLAGS.items() if prompt.flags & flag)
            which = {"pattern": prompt.pattern, "flags": flags}
        else:
            which = {"prompt": prompt}
        self._routes.set_in_scope("PUT", "/answers", **which, answers=answers)

    def _read(self) -> dict[Prompt, list[Answer]]:
        rules = self._routes.get()["answers"]
        return {_prompt(rule): [Answer(**answer) for answer in rule["answers"]] for rule in rules}


class Faults:
    """What goes wrong, on which operations, and how often.

    Args:
        routes: to the runtime's controls.
    """

    def __init__(self, routes: ControlRoutes) -> None:
        self._routes = routes

    def add(
        self,
        operation: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        delay: float = 0.0,
        drop_after: int | None = None,
        times: int | None = 1,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        """Let the next requests for an operation fail; of several faults, the one that was added first comes first.

        Args:
            operation: a method and a path as IMPLEMENTED.md writes them, with ``*`` for any part:
                ``"POST /ml/v1/text/generation"``, ``"*/text/chat*"``.
            status: of the error that is answered, 400 to 599; without one the answer is as it would be.
            retry_after: seconds that the error asks to wait for, in its header ``Retry-After``.
            delay: seconds before anything else happens.
            drop_after: pieces of the answer after which the connection is cut: the events of a stream. A plain answer
                is one piece, and is cut in its middle.
            times: how many requests fail; ``None`` for every one, until ``clear``.
            code: watsonx.ai's short name of the error; one that suits the status by default.
            message: of the error.

        Raises:
            ValueError: for an operation that is not there, or another argument that cannot be used.
        """
        how_often = {"always": True} if times is None else {"times": times}
        fields = {"status": status, "retry_after": retry_after, "drop_after": drop_after, "code": code}
        given = {name: value for name, value in {**fields, "message": message}.items() if value is not None}
        self._routes.set_in_scope("POST", "/faults", operation=operation, delay=delay, **how_often, **given)

    def clear(self) -> None:
        """Let nothing fail any more."""
        self._routes.delete("/faults")

    def expire_tokens(self) -> None:
        """Let all tokens be over that were issued so far; who uses one is answered 401 and must sign in again."""
        self._routes.set_for_all("/tokens", expire_issued=True)

    def shorten_tokens(self, seconds: int) -> None:
        """Let tokens that are issued from now on last for so many seconds only."""
        self._routes.set_for_all("/tokens", seconds=seconds)

    def restore_tokens(self) -> None:
        """Let tokens last as long as ever again."""
        self._routes.set_for_all("/tokens")

    def __len__(self) -> int:
        """Count the faults that are still to come."""
        return len(self._routes.get()["faults"])


class Clock:
    """The runtime's clock: what it dates things by, and what its tokens grow old by. All projects share it.

    Args:
        routes: to the runtime's controls.
    """

    def __init__(self, routes: ControlRoutes) -> None:
        self._routes = routes

    def now(self) -> datetime:
        """Give the runtime's time."""
        return _time(self._routes.get()["clock"]["now"])

    def freeze(self, at: datetime | str | None = None) -> None:
        """Let the time stand still.

        Args:
            at: when, with a time zone; a text as in ``"2026-01-31T12:00:00Z"``. Now by default.

        Raises:
            ValueError: for a time without a zone, or before 1970.
        """
        moment = self.now() if at is None else at
        text = moment if isinstance(moment, str) else moment.isoformat()
        self._routes.set_for_all("/clock", frozen_at=text)

    def advance(self, by: timedelta | float) -> None:
        """Move on, by a time or by so many seconds; a frozen clock stays frozen."""
        self._routes.set_for_all("/clock", advance=by.total_seconds() if isinstance(by, timedelta) else by)

    def reset(self) -> None:
        """Go by the computer's clock again."""
        self._routes.set_for_all("/clock")


def read_requests(routes: ControlRoutes) -> list[Request]:
    """Give the requests that a runtime was sent.

    Raises:
        RuntimeError: when there were so many that the first of them were forgotten.
    """
    document = routes.get("/requests")
    if document["forgotten"]:
        raise RuntimeError(
            f"The first {document['forgotten']} requests were forgotten, so the record is not whole: look at it "
            "earlier in the test."
        )
    return [Request(**{**request, "at": _time(request["at"])}) for request in document["resources"]]


def _answer_document(answer: str | Answer) -> dict[str, str]:
    if isinstance(answer, str):
        return {"text": answer}
    if not isinstance(answer, Answer):
        raise TypeError(f"An answer is a text, an Answer, or a list of them; {answer!r} is none of these.")
    return vars(answer)


def _prompt(rule: dict[str, Any]) -> Prompt:
    """Give the key that a rule was set by."""
    if "prompt" in rule:
        return str(rule["prompt"])
    flags = re.NOFLAG
    for letter in rule["flags"]:
        flags |= FLAGS[letter]
    return re.compile(rule["pattern"], flags)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
