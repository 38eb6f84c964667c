"""What the notebook opens with: the claims of the lesson with their verdicts, as a table and in five lines."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .against import find
from .differences import Way
from .judging import (
    FAILS,
    FINE_TUNING,
    HOLDS,
    IN_PART,
    LITTLE,
    PREFIX,
    SHORT,
    SOFT,
    START,
    UNTOLD,
    WAYS,
    WRITTEN,
    Claim,
    judge,
    kept_words,
    little_rows,
    opened_reviews,
    trained_share,
)
from .results import Comparison, Measured

if TYPE_CHECKING:
    import pandas as pd


def show_claims(comparison: Comparison) -> "pd.DataFrame":
    """Show each claim of the lesson with its parts, what was measured of it, and whether it holds.

    What is measured against something is a multiple of its cost, or a difference in points of accuracy, with its 95 %
    interval in brackets. The rules that give the verdicts stand at ``judge``.

    Args:
        comparison: what ``load`` returns.

    Returns:
        One row a claim, and after it one for each of its parts.
    """
    import pandas as pd

    rows = {}
    for number, claim in enumerate(judge(comparison), start=1):
        held = sum(part.verdict == HOLDS for part in claim.counting)
        rows[str(number)] = (claim.title, f"{held} of {len(claim.counting)} hold", claim.verdict)
        for letter, part in zip("abcdefghij", claim.parts, strict=False):
            rows[f"{number}{letter}"] = (part.name, part.measured, part.verdict)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["claim", "measured", "verdict"])


def describe_answers(comparison: Comparison) -> str:
    """Answer the notebook's question in five lines: how many claims hold, and then each claim in a line.

    Args:
        comparison: what ``load`` returns.
    """
    claims = judge(comparison)
    details = (_cheaper(claims[0]), _better(comparison), _prefix(comparison), _opened(comparison))
    lines = [
        f"{number}. {claim.title}: {claim.verdict}. {detail}".rstrip()
        for number, (claim, detail) in enumerate(zip(claims, details, strict=True), start=1)
    ]
    return "\n".join([_summary(comparison, claims), *lines])


def _summary(comparison: Comparison, claims: tuple[Claim, ...]) -> str:
    found = Counter(claim.verdict for claim in claims)
    words = {
        HOLDS: ("holds", "hold"),
        IN_PART: ("holds in part", "hold in part"),
        FAILS: ("does not hold", "do not hold"),
        UNTOLD: ("cannot be told", "cannot be told"),
    }
    counts = [f"{found[kind]} {words[kind][found[kind] > 1]}" for kind in words if found[kind]]
    seeds = len(comparison.plan.seeds)
    measured_on = f"{comparison.plan.test_rows} test reviews and {seeds} seed{'s' if seeds > 1 else ''}"
    return f"Does it hold? Of {len(claims)} claims, {_list(counts)}, on {measured_on}."


def _cheaper(claim: Claim) -> str:
    """Say in which respects prompt tuning is ahead."""
    words = {
        HOLDS: f"Against both {_list([SHORT[rival] for rival in FINE_TUNING])}, this is true of",
        IN_PART: "Against one of them, it is true of",
        FAILS: "It is not true of",
        UNTOLD: "It cannot be told of",
    }
    sentences = []
    for verdict, start in words.items():
        topics = [part.topic for part in claim.parts if part.verdict == verdict]
        if topics:
            sentences.append(f"{start} {_list(topics, 'and' if verdict in (HOLDS, IN_PART) else 'or')}.")
    return " ".join(sentences)


def _better(comparison: Comparison) -> str:
    """Give the accuracies of the soft prompt, of the best hard prompts, and of the text that it started from."""
    soft, start = find(comparison, SOFT), find(comparison, START)
    sentences = []
    for by, way in WAYS.items():
        best = max(_accuracy(find(comparison, method), by) for method, judged_by in WRITTEN if judged_by == by)
        own, started = _accuracy(soft, by), _accuracy(start, by)
        sentences.append(
            f"{way.capitalize()}, the soft prompt has an accuracy of {_percent(own)}, the best hard prompt "
            f"{_percent(best)}, and the text that the soft prompt started from {_percent(started)}."
        )
    return " ".join(sentences)


def _prefix(comparison: Comparison) -> str:
    """Give the share of parameters, and accuracies with little data beside the best rival's."""
    known = trained_share(comparison)
    sentences = [f"It trains {known[1]}."] if known else []
    for rows in little_rows(comparison.plan):
        rivals = {rival: find(comparison, rival, rows).accuracy for rival in LITTLE}
        best = max(rivals, key=lambda rival: rivals[rival])
        own = find(comparison, PREFIX, rows).accuracy
        sentences.append(
            f"With {rows} rows its accuracy is {_percent(own)}; the best of {len(rivals)} others, {SHORT[best]}, has "
            f"{_percent(rivals[best])}."
        )
    return " ".join(sentences)


def _opened(comparison: Comparison) -> str:
    """Say how many tokens kept their word, and what the words are worth."""
    opened, sentences = comparison.opened, []
    kept, tokens = kept_words(comparison)
    if tokens:
        sentences.append(f"{kept} of {tokens} virtual tokens are still nearest to the word that they started as.")
    if "accuracy_as_words" in opened:
        tuned, words = (_percent(opened[name]) for name in ("accuracy", "accuracy_as_words"))
        sentences.append(
            f"On {opened_reviews(comparison)} test reviews this soft prompt has an accuracy of {tuned}; the words "
            f"nearest to its tokens, in their place, have {words}."
        )
    return " ".join(sentences)


def _accuracy(found: Measured, by: Way) -> float:
    return found.accuracy if by == "choosing" else found.written_accuracy


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _list(words: Sequence[str], joint: str = "and") -> str:
    *first, last = words
    return f"{', '.join(first)} {joint} {last}" if first else last
