"""Controls for tests of other programs, open only where the runtime was started with `--test-controls`.

Elsewhere they are answered as what there is not. They take the API key itself, in the header
`Authorization: Test-Controls KEY`. With that header, every other operation works, too, and is neither recorded nor met
by a fault: so a test tells its own requests from those of the program. `docs/test-double.md` shows them at work.
"""

import difflib
import math
from dataclasses import asdict
from datetime import datetime
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from ..controls import Controls
from ..controls.answers import FLAGS, Answer, Key, Rule
from ..controls.faults import Fault
from ..http.errors import bad_request
from ..http.fields import Fields, shorten
from ..tokens import TOKEN_SECONDS
from .operations import PROJECT, Operation, RequestContext, no_content
from .text_request import LONGEST_INPUT

LONGEST_PATTERN = 1000
LONGEST_ANSWER = 1_000_000
MOST_ANSWERS = 1000
MOST_TIMES = 1_000_000
LONGEST_DELAY = 3600.0
LONGEST_STEP = 1e11  # seconds; 3,000 years
STOP_REASONS = ("eos_token", "max_tokens", "stop_sequence", "token_limit", "time_limit")
CODES = {
    401: "authentication_token_expired",
    403: "user_authorization_failed",
    404: "not_found",
    429: "too_many_requests",
    500: "internal_error",
    503: "service_unavailable",
}


def get_controls(context: RequestContext) -> Response:
    """Show what is set."""
    controls, project_id = _controls(context), context.query("project_id")
    return context.answer(
        {
            "answers": [_rule_document(rule) for rule in controls.answers.of(project_id)],
            "faults": [_fault_document(fault) for fault in controls.faults.of(project_id)],
            "clock": _clock_document(controls),
            "tokens": {"seconds": context.runtime.token_seconds},
        }
    )


def reset_controls(context: RequestContext) -> Response:
    """Take back all that is set, and forget what was asked."""
    _controls(context).reset(context.query("project_id"))
    return no_content()


def clear_faults(context: RequestContext) -> Response:
    """Let nothing fail any more."""
    _controls(context).faults.forget(context.query("project_id"))
    return no_content()


def put_answers(context: RequestContext) -> Response:
    """Set the answers to a prompt, or to all that have a pattern in them."""
    body = context.fields()
    prompt, pattern = body.text("prompt", LONGEST_INPUT), body.text("pattern", LONGEST_PATTERN)
    if (prompt is None) == (pattern is None):
        raise bad_request("Give either a prompt, whole, or a pattern that is searched for in prompts.")
    flags = body.text("flags") or ""
    if not set(flags) <= set(FLAGS) or (flags and pattern is None):
        raise bad_request(
            f"flags are letters of {', '.join(FLAGS)}, and belong to a pattern; they are {shorten(flags)}."
        )
    key = Key(_read_project(context, body), prompt, pattern or "", "".join(sorted(set(flags))))
    _controls(context).answers.put(key, _read_answers(body))
    return no_content()


def add_fault(context: RequestContext) -> Response:
    """Let requests fail."""
    body = context.fields()
    status = body.integer("status", 400, 599)
    drop_after = body.integer("drop_after", 0, MOST_TIMES)
    delay = body.number("delay", LONGEST_DELAY, least=0) or 0.0
    retry_after = body.number("retry_after", LONGEST_DELAY, least=0)
    if status is None and drop_after is None and not delay:
        raise bad_request("A fault needs a status, a delay or drop_after: say what is to go wrong.")
    if retry_after is not None and status is None:
        raise bad_request("retry_after needs a status: it is a header of the error, of a 429 for instance.")
    always, times = body.flag("always"), body.integer("times", 1, MOST_TIMES)
    if always and times is not None:
        raise bad_request("times says how many requests fail, and always that all do: give one of them.")
    fault = Fault(
        operation=_read_operation(body),
        project_id=_read_project(context, body),
        times=None if always else (times or 1),
        status=status,
        code=body.text("code") or CODES.get(status or 0, "test_fault"),
        message=body.text("message", 10_000) or f"A test asked for this fault{_phrase(status)}.",
        retry_after=retry_after,
        delay=delay,
        drop_after=drop_after,
    )
    _controls(context).faults.add(fault)
    return no_content()


def list_requests(context: RequestContext) -> Response:
    """Show what was asked, the oldest first."""
    requests, forgotten = _controls(context).record.of(context.query("project_id"))
    shown = [{name: value for name, value in asdict(request).items() if name != "size"} for request in requests]
    return context.answer({"resources": shown, "forgotten": forgotten})


def set_clock(context: RequestContext) -> Response:
    """Let the runtime's time stand still or move on; without either, it goes by the computer's again."""
    body, clock = context.fields(), _controls(context).clock
    frozen_at, step = body.text("frozen_at"), body.number("advance", LONGEST_STEP, least=-LONGEST_STEP)
    if frozen_at is not None:
        clock.freeze(_read_time(frozen_at))
    if step is not None:
        clock.advance(step)
    if frozen_at is None and step is None:
        clock.reset()
    return context.answer(_clock_document(_controls(context)))


def set_tokens(context: RequestContext) -> Response:
    """Let tokens last for so long from now on, without that as long as ever, and those that were issued be over."""
    body = context.fields()
    _controls(context).token_seconds = body.integer("seconds", 1, 24 * TOKEN_SECONDS)
    if body.flag("expire_issued"):
        context.runtime.tokens.expire_issued()
    return context.answer({"seconds": context.runtime.token_seconds})


def _controls(context: RequestContext) -> Controls:
    controls = context.runtime.controls
    assert controls is not None, "without controls there are no routes to them"
    return controls


def _read_project(context: RequestContext, body: Fields) -> str | None:
    """Read the project that is meant, which must be there; ``None`` for all."""
    project_id = body.text("project_id")
    return context.known_project(project_id) if project_id else None


def _read_answers(body: Fields) -> list[Answer]:
    answers = body.values.get("answers")
    if not isinstance(answers, list) or len(answers) > MOST_ANSWERS:
        raise bad_request(f"answers must be a list of at most {MOST_ANSWERS}; an empty one takes back what was set.")
    return [_read_answer(answer, f"answers[{number}]") for number, answer in enumerate(answers)]


def _read_answer(answer: Any, where: str) -> Answer:
    """Read an answer: a text, or an object that also says why it ends."""
    fields = Fields(answer if isinstance(answer, dict) else {"text": answer}, f"{where}.")
    text = fields.text("text", LONGEST_ANSWER)
    if text is None:
        raise fields.missing("text")
    return Answer(text, fields.choice("stop_reason", STOP_REASONS) or "eos_token")


def _read_operation(body: Fields) -> str:
    """Read which operations fail: at least one must be meant."""
    from . import OPERATIONS  # of which these are a part

    wanted = body.required_text("operation", 200)
    known = [str(operation) for operation in OPERATIONS if not operation.control]
    if not any(fnmatchcase(name, wanted) for name in known):
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.3)
        hint = f", for instance {close[0]}" if close else ""
        raise bad_request(
            f"operation must be a method and a path as IMPLEMENTED.md writes them, with * for any part{hint}; "
            f"{shorten(wanted)} is none of them."
        )
    return wanted


def _read_time(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
        seconds = time.timestamp()
    except (ValueError, OverflowError, OSError):
        time, seconds = None, math.nan
    if time is None or time.tzinfo is None or seconds < 0:
        raise bad_request(
            f"frozen_at must be a time from 1970 on with its zone, as in 2026-01-31T12:00:00Z; it is {shorten(text)}."
        )
    return seconds


def _phrase(status: int | None) -> str:
    try:
        return f": {status} {HTTPStatus(status or 0).phrase}"
    except ValueError:
        return ""


def _rule_document(rule: Rule) -> dict[str, Any]:
    key = rule.key
    which = {"pattern": key.pattern, "flags": key.flags} if key.prompt is None else {"prompt": key.prompt}
    return {**which, "answers": [asdict(answer) for answer in rule.answers], "given": rule.given}


def _fault_document(fault: Fault) -> dict[str, Any]:
    document = {name: value for name, value in asdict(fault).items() if name != "project_id"}
    return {**document, "always": fault.times is None}


def _clock_document(controls: Controls) -> dict[str, Any]:
    return {"now": controls.clock.now(), "frozen": controls.clock.is_frozen}


ONLY_ONE: dict[str, Any] = {"control": True, "strict": True, "differs": "ours alone"}
OPERATIONS = [
    Operation("GET", "/test-controls", get_controls, "Show what is set", query=PROJECT, **ONLY_ONE),
    Operation("DELETE", "/test-controls", reset_controls, "Take all of it back", query=PROJECT, fields=(), **ONLY_ONE),
    Operation(
        "PUT",
        "/test-controls/answers",
        put_answers,
        "Answer in the model's place",
        query=(),
        fields=("prompt", "pattern", "flags", "answers", "project_id"),
        **ONLY_ONE,
    ),
    Operation(
        "POST",
        "/test-controls/faults",
        add_fault,
        "Let requests fail",
        query=(),
        fields=(
            *("operation", "times", "always", "status", "code", "message", "retry_after", "delay", "drop_after"),
            "project_id",
        ),
        **ONLY_ONE,
    ),
    Operation(
        "DELETE",
        "/test-controls/faults",
        clear_faults,
        "Let nothing fail any more",
        query=PROJECT,
        fields=(),
        **ONLY_ONE,
    ),
    Operation("GET", "/test-controls/requests", list_requests, "Show what was asked", query=PROJECT, **ONLY_ONE),
    Operation(
        "PUT",
        "/test-controls/clock",
        set_clock,
        "Stop or set the clock",
        query=(),
        fields=("frozen_at", "advance"),
        **ONLY_ONE,
    ),
    Operation(
        "PUT",
        "/test-controls/tokens",
        set_tokens,
        "Let tokens be over",
        query=(),
        fields=("seconds", "expire_issued"),
        **ONLY_ONE,
    ),
]
