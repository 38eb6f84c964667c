"""Sentences with the figures of the controls in them, so that nobody has to type a number."""

import numpy as np

from ..language import listed, paragraph, say, whole
from ..paragraphs import in_paragraphs
from ..plots.style import clauses
from ..sentences import list_machines
from .facts import (
    LITTLE,
    NOTHING,
    after_pass,
    attention_to_all,
    attention_to_first,
    chance_cosine,
    clear_falls,
    difference,
    falls,
    hits,
    share_of_gain,
    staying_proves,
    still_nearest,
    ticket_hits,
    verdict,
)
from .kinds import DEALT, FURTHER, HALF, MOVES, RANDOM, REVIEWS_TUNED, SHUFFLED, START, TUNED
from .plan import SEARCHED
from .results import Controls, Score
from .reviews import count_all_reviews, uncertainty
from .wording import STARTS_IN_SENTENCES, count, figure, mean_and_reach, percent, reach


@in_paragraphs
def describe_controls(controls: Controls) -> str:
    """Say which soft prompts these are, what they are asked about, and how precise that is.

    Args:
        controls: what ``load_controls`` returns.
    """
    plan = controls.plan
    points = {accuracy: figure(100 * uncertainty(accuracy, controls.reviews), 0) for accuracy in (0.9, 0.5)}
    asked = {"reviews": controls.reviews, "all": count_all_reviews()}
    return "\n".join(
        [
            paragraph(
                say(
                    "{prompts} of {tokens} virtual tokens, one for each seed, tuned on {rows} reviews with {recipe}.",
                    prompts=count(len(plan.seeds), "{count} soft prompt", "{count} soft prompts"),
                    tokens=plan.virtual_tokens,
                    rows=plan.rows,
                    recipe=plan.recipe.describe(say),
                ),
                say("This is what the comparison's search chose.")
                if plan.recipe_from == SEARCHED
                else say("These are the lesson's settings."),
            ),
            paragraph(
                say("They are asked about {reviews} of the {all} test reviews: of each label, all.", **asked)
                if plan.every == 1
                else say(
                    "They are asked about {reviews} of the {all} test reviews: of each label, one in {every}.",
                    every=plan.every,
                    **asked,
                ),
                say(
                    "On so many, an accuracy is uncertain: one of {high} by ± {of_high} points and one of {low} by "
                    "± {of_low} points, 19 times in 20.",
                    high=figure(0.9),
                    of_high=points[0.9],
                    low=figure(0.5),
                    of_low=points[0.5],
                ),
            ),
            say("Computed on {machines}.", machines=list_machines(controls.machines)),
        ]
    )


@in_paragraphs
def describe_variants(controls: Controls) -> str:
    """Say what the tuned soft prompts are worth, and what remains of that if they are changed in one respect.

    Args:
        controls: what ``load_controls`` returns.
    """
    said = {name: mean_and_reach(controls.accuracies(name)) for name in controls.variants}
    value, (low, high) = difference(hits(controls, TUNED), hits(controls, RANDOM))
    return "\n".join(
        [
            say(
                "Accuracy is {start} before tuning and {tuned} after it; in brackets, the least and the greatest over "
                "the seeds.",
                start=said[START],
                tuned=said[TUNED],
            ),
            paragraph(
                say(
                    "With each virtual token moved as far, but in a random direction, it is {random}: a difference of "
                    "{points} points ({interval}, 19 times in 20).",
                    random=said[RANDOM],
                    points=figure(100 * value, 1),
                    interval=reach([100 * low, 100 * high], 1),
                ),
                _worth_of_random_moves(controls),
            ),
            say(
                "With the moves dealt out to other tokens it is {dealt}, with the tuned tokens in another order "
                "{shuffled}, and with the moves alone, without the text, {moves}.",
                dealt=said[DEALT],
                shuffled=said[SHUFFLED],
                moves=said[MOVES],
            ),
            say(
                "Half of the way from the text to the tuned vectors gives {half}, half of the way further {further}.",
                half=said[HALF],
                further=said[FURTHER],
            ),
        ]
    )


def _worth_of_random_moves(controls: Controls) -> str:
    share = share_of_gain(controls, RANDOM)
    if share is None:
        return say("Tuning gained nothing clear, so there is nothing to explain.")
    if verdict(hits(controls, TUNED), hits(controls, RANDOM)) < 1:
        return say("That cannot be told from the tuned ones: how far the vectors moved may be all that counts.")
    if share < NOTHING:
        return say("So distance alone gains nothing.")
    if share < LITTLE:
        return say(
            "That is {share} of what tuning gained: distance alone is worth little.",
            share=percent(share),
        )
    return say("That is {share} of what tuning gained.", share=percent(share))


@in_paragraphs
def describe_geometry(controls: Controls) -> str:
    """Say how many virtual tokens are still nearest to their words, and what that is worth as a finding.

    Args:
        controls: what ``load_controls`` returns.
    """
    tuned, random, of = still_nearest(controls)
    tokens = [token for prompt in controls.tokens for token in prompt]
    mean = {
        name: figure(float(np.mean([getattr(token, name) for token in tokens])))
        for name in ("moved", "cosine", "predicted", "random_cosine", "other")
    }
    proves = {
        "nothing": say("So it proves nothing that they stay."),
        "next to nothing": say("So it proves next to nothing that they stay."),
        "": say("So chance alone does not keep so many there."),
    }
    further = [
        say(
            "{times} times as far: {tuned} and {random}",
            times=times,
            tuned=percent(after_tuned),
            random=percent(after_random),
        )
        for times, after_tuned, after_random in zip(
            controls.plan.reaches, controls.nearest["tuned"], controls.nearest["random"], strict=True
        )
        if times > 1
    ]
    return "\n".join(
        [
            paragraph(
                say(
                    "{tuned} of {all} virtual tokens of all seeds are still nearest to the word that they started as.",
                    tuned=tuned,
                    all=whole(of),
                ),
                say("After random moves as long, {random} of {all} are.", random=random, all=of),
                proves[staying_proves(controls)],
            ),
            paragraph(
                say(
                    "Geometry says so beforehand: in {dimensions} dimensions a random move is all but perpendicular to "
                    "everything.",
                    dimensions=controls.numbers // controls.plan.virtual_tokens,
                ),
                say(
                    "Virtual tokens moved by {moved} lengths of a typical word's embedding, which should leave a "
                    "cosine of {predicted} to their words.",
                    moved=mean["moved"],
                    predicted=mean["predicted"],
                ),
                say(
                    "Random moves leave {random}, tuning left {tuned}, and the nearest other word is at {other}.",
                    random=mean["random_cosine"],
                    tuned=mean["cosine"],
                    other=mean["other"],
                ),
            ),
            say(
                "Still nearest if the tuned moves, and random ones, are made longer: {shares}.", shares=clauses(further)
            ),
        ]
    )


@in_paragraphs
def describe_between_seeds(controls: Controls) -> str:
    """Say whether the seeds found the same place.

    Args:
        controls: what ``load_controls`` returns.
    """
    ends = [score for line in controls.lines for _, score in (line.points[0], line.points[-1])]
    inner = [score for line in controls.lines for _, score in line.points[1:-1]]
    found, lines = clear_falls(controls), len(controls.lines)
    return "\n".join(
        [
            paragraph(
                say("The moves of two seeds have a cosine of {cosines}.", cosines=mean_and_reach(controls.cosines)),
                say(
                    "Of random moves, with {numbers} numbers each, it would lie within ± {chance} of 0, 19 times in "
                    "20.",
                    numbers=whole(controls.numbers),
                    chance=figure(chance_cosine(controls)),
                ),
            ),
            paragraph(
                say(
                    "At the soft prompts themselves, accuracy is {accuracies}; in brackets, the least and the "
                    "greatest.",
                    accuracies=mean_and_reach([score.accuracy for score in ends]),
                ),
                say(
                    "On the lines between them it falls below the mean of the two ends by up to {points} points.",
                    points=listed([figure(100 * each, 1) for each in falls(controls)]),
                ),
                say("So each seed has found a place of its own.")
                if found == lines
                else say("On {found} of {lines} lines, that is more than chance.", found=found, lines=lines)
                if found
                else say("On no line is that more than chance."),
            ),
            paragraph(
                say(
                    "Loss is {ends} at the ends and {inner} between them; the text that all of them started from has "
                    "{start}.",
                    ends=reach([score.loss for score in ends]),
                    inner=reach([score.loss for score in inner]),
                    start=figure(controls.losses(START)[0]),
                ),
                *_lower_between(ends, inner),
            ),
        ]
    )


def _lower_between(ends: list[Score], inner: list[Score]) -> list[str]:
    if min(score.loss for score in inner) >= min(score.loss for score in ends):
        return []
    return [
        say(
            "It can be lower between them, since soft prompts that are too sure of themselves lose much where they are "
            "wrong."
        )
    ]


@in_paragraphs
def describe_attention(controls: Controls) -> str:
    """Say how much attention the virtual tokens get, before and after tuning.

    Args:
        controls: what ``load_controls`` returns.
    """
    everything, first = attention_to_all(controls), attention_to_first(controls)
    fair = float(np.mean(everything["tuned"])) / controls.plan.virtual_tokens
    shares = say(
        "At the end of a review, where the answer is about to be given, the virtual tokens get this share of the "
        "attention, the mean over layers, heads and seeds: before tuning {start} (the first alone "
        "{first_of_start}), after it {tuned} (the first alone {first_of_tuned}), after random moves as long {random} "
        "(the first alone {first_of_random}).",
        **{state: percent(float(np.mean(shares))) for state, shares in everything.items()},
        **{f"first_of_{state}": percent(share) for state, share in first.items()},
    )
    if first["tuned"] <= 2 * fair:
        return shares
    return paragraph(shares, say("(Models like this one direct much attention to whatever stands first.)"))


@in_paragraphs
def describe_transfer(controls: Controls) -> str:
    """Say whether a soft prompt tuned on reviews is a good start for tickets.

    Args:
        controls: what ``load_controls`` returns.
    """
    names = {start: say(name) for start, name in STARTS_IN_SENTENCES.items()}
    last = {start: mean_and_reach(after_pass(scores, -1)) for start, scores in controls.transfer.items()}
    others: dict[int, list[str]] = {}
    for start in (start for start in last if start != REVIEWS_TUNED):
        found = verdict(ticket_hits(controls, REVIEWS_TUNED), ticket_hits(controls, start))
        others.setdefault(found, []).append(names[start])
    return paragraph(
        say(
            "After {passes} over the tickets, accuracy on {tickets} held-back ones is {accuracies}; in brackets, the "
            "least and the greatest over the seeds.",
            passes=count(controls.plan.tickets.num_epochs, "{count} pass", "{count} passes"),
            tickets=controls.tickets,
            accuracies=listed(
                [say("{accuracy} from {start}", accuracy=said, start=names[start]) for start, said in last.items()]
            ),
        ),
        say(
            "On these, {tuned} is {verdicts}.",
            tuned=names[REVIEWS_TUNED],
            verdicts=clauses([_better_or_worse(found, starts) for found, starts in others.items()]),
        ),
    )


def _better_or_worse(found: int, starts: list[str]) -> str:
    if found > 0:
        return say("a better start than {others}", others=listed(starts))
    if found < 0:
        return say("a worse start than {others}", others=listed(starts))
    return say("not to be told from {others}", others=listed(starts, "{all} or {last}"))
