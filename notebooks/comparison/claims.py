"""What the notebook opens with: the claims of the lesson with their verdicts, as a table and in five lines."""

from collections import Counter
from typing import TYPE_CHECKING

from .against import find
from .judging import (
    FAILS,
    HOLDS,
    IN_PART,
    LITTLE,
    PREFIX,
    SOFT,
    START,
    UNTOLD,
    WRITTEN,
    Claim,
    judge,
    kept_words,
    little_rows,
    opened_reviews,
    trained_share,
)
from .language import listed, paragraph, say
from .paragraphs import in_paragraphs
from .results import Comparison
from .tables import percentage

if TYPE_CHECKING:
    import pandas as pd


# How many claims have a verdict: of one claim, and of several.
COUNTED = {
    HOLDS: ("{count} holds", "{count} hold"),
    IN_PART: ("{count} holds in part", "{count} hold in part"),
    FAILS: ("{count} does not hold", "{count} do not hold"),
    UNTOLD: ("{count} cannot be told", "{count} cannot be told"),
}
# In which respects prompt tuning is cheaper, or no less accurate, by the verdict on them.
CHEAPER = {
    HOLDS: "Against both full fine-tuning and LoRA, this is true of {topics}.",
    IN_PART: "Against one of them, it is true of {topics}.",
    FAILS: "It is not true of {topics}.",
    UNTOLD: "It cannot be told of {topics}.",
}


def show_claims(comparison: Comparison) -> "pd.DataFrame":
    """Show each claim of the lesson with its parts, what was measured of it, and whether it holds.

    What is measured against something is a multiple of its cost, or a difference in points of accuracy, with its 95 %
    interval in brackets. The rules that give the verdicts stand at ``judge``.

    Args:
        comparison: what ``load`` returns.

    Returns:
        One row a claim, and after it one for each of its parts.
    """
    from prompt_tuning_helpers.evaluation.reading import ReadingTable

    rows = {}
    for number, claim in enumerate(judge(comparison), start=1):
        held = sum(part.verdict == HOLDS for part in claim.counting)
        counted = say("{held} of {parts} hold", held=held, parts=len(claim.counting))
        rows[str(number)] = (claim.title, counted, say(claim.verdict))
        for letter, part in zip("abcdefghij", claim.parts, strict=False):
            rows[f"{number}{letter}"] = (part.name, part.measured, say(part.verdict))
    return ReadingTable.from_dict(rows, orient="index", columns=[say("claim"), say("measured"), say("verdict")])


@in_paragraphs
def describe_answers(comparison: Comparison) -> str:
    """Answer the notebook's question in five lines: how many claims hold, and then each claim in a line.

    Args:
        comparison: what ``load`` returns.
    """
    claims = judge(comparison)
    details = (_cheaper(claims[0]), _better(comparison), _prefix(comparison), _opened(comparison))
    lines = [
        paragraph(
            say("{number}. {claim}: {verdict}.", number=number, claim=claim.title, verdict=say(claim.verdict)), *detail
        )
        for number, (claim, detail) in enumerate(zip(claims, details, strict=True), start=1)
    ]
    return "\n".join([_summary(comparison, claims), *lines])


def _summary(comparison: Comparison, claims: tuple[Claim, ...]) -> str:
    found = Counter(claim.verdict for claim in claims)
    counts = listed([say(COUNTED[kind][found[kind] > 1], count=found[kind]) for kind in COUNTED if found[kind]])
    reviews, seeds = comparison.plan.test_rows, len(comparison.plan.seeds)
    if seeds == 1:
        return say(
            "Does it hold? Of {claims} claims, {counts}, on {reviews} test reviews and 1 seed.",
            claims=len(claims),
            counts=counts,
            reviews=reviews,
        )
    return say(
        "Does it hold? Of {claims} claims, {counts}, on {reviews} test reviews and {seeds} seeds.",
        claims=len(claims),
        counts=counts,
        reviews=reviews,
        seeds=seeds,
    )


def _cheaper(claim: Claim) -> list[str]:
    """Say in which respects prompt tuning is ahead."""
    sentences = []
    for verdict, sentence in CHEAPER.items():
        topics = [part.topic for part in claim.parts if part.verdict == verdict]
        if topics:
            joint = "{all} and {last}" if verdict in (HOLDS, IN_PART) else "{all} or {last}"
            sentences.append(say(sentence, topics=listed(topics, joint)))
    return sentences


def _better(comparison: Comparison) -> list[str]:
    """Give the accuracies of the soft prompt, of the best hard prompts, and of the text that it started from."""
    soft, start = find(comparison, SOFT), find(comparison, START)
    choosing = [find(comparison, method).accuracy for method, by in WRITTEN if by == "choosing"]
    writing = [find(comparison, method).written_accuracy for method, by in WRITTEN if by == "writing"]
    return [
        say(
            "Choosing between the labels, the soft prompt has an accuracy of {soft}, the best hard prompt {hard}, and "
            "the text that the soft prompt started from {start}.",
            soft=_percent(soft.accuracy),
            hard=_percent(max(choosing)),
            start=_percent(start.accuracy),
        ),
        say(
            "Writing freely, the soft prompt has an accuracy of {soft}, the best hard prompt {hard}, and the text that "
            "the soft prompt started from {start}.",
            soft=_percent(soft.written_accuracy),
            hard=_percent(max(writing)),
            start=_percent(start.written_accuracy),
        ),
        *(
            say(
                "With {rows} training rows and choosing, the soft prompt has {soft}.",
                rows=rows,
                soft=_percent(find(comparison, SOFT, rows).accuracy),
            )
            for rows in comparison.plan.rows[:-1]
        ),
    ]


def _prefix(comparison: Comparison) -> list[str]:
    """Give the share of parameters, and accuracies with little data beside the best rival's."""
    known = trained_share(comparison)
    sentences = [say("It trains {share}.", share=known[1])] if known else []
    for rows in little_rows(comparison.plan):
        rivals = {rival: find(comparison, rival, rows).accuracy for rival in LITTLE}
        best = max(rivals, key=lambda rival: rivals[rival])
        sentences.append(
            say(
                "With {rows} rows its accuracy is {own}; the best of {count} others, {best}, has {accuracy}.",
                rows=rows,
                own=_percent(find(comparison, PREFIX, rows).accuracy),
                count=len(rivals),
                best=say(LITTLE[best]),
                accuracy=_percent(rivals[best]),
            )
        )
    return sentences


def _opened(comparison: Comparison) -> list[str]:
    """Say how many tokens kept their word, and what the words are worth."""
    opened, sentences = comparison.opened, []
    kept, tokens = kept_words(comparison)
    if tokens:
        sentences.append(
            say(
                "{kept} of {tokens} virtual tokens are still nearest to the word that they started as.",
                kept=kept,
                tokens=tokens,
            )
        )
    if "accuracy_as_words" in opened:
        sentences.append(
            say(
                "On {reviews} test reviews this soft prompt has an accuracy of {tuned}; the words nearest to its "
                "tokens, in their place, have {words}.",
                reviews=opened_reviews(comparison),
                tuned=_percent(opened["accuracy"]),
                words=_percent(opened["accuracy_as_words"]),
            )
        )
    return sentences


def _percent(value: float) -> str:
    return percentage(100 * value, decimals=1)
