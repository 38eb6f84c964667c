"""Sentences with the figures of the controls in them, so that nobody has to type a number."""

import numpy as np

from ..sentences import list_machines
from .facts import (
    LITTLE,
    after_pass,
    attention_to_all,
    attention_to_first,
    chance_cosine,
    difference,
    falls,
    hits,
    ridges,
    share_of_gain,
    staying_proves,
    still_nearest,
    ticket_hits,
    verdict,
)
from .kinds import DEALT, FURTHER, HALF, MOVES, RANDOM, REVIEWS_TUNED, SHUFFLED, START, TUNED
from .plan import SEARCHED
from .results import Controls
from .reviews import count_all_reviews, uncertainty
from .wording import STARTS_IN_SENTENCES, count, figure, listed, mean_and_reach, percent, reach


def describe_controls(controls: Controls) -> str:
    """Say which soft prompts these are, what they are asked about, and how precise that is.

    Args:
        controls: what ``load_controls`` returns.
    """
    plan = controls.plan
    points = [f"one of {figure(accuracy)} by ± {figure(100 * uncertainty(accuracy, controls.reviews), 0)} points"
              for accuracy in (0.9, 0.5)]  # fmt: skip
    return "\n".join(
        [
            f"{count(len(plan.seeds), 'soft prompt')} of {plan.virtual_tokens} virtual tokens, one for each seed, "
            f"tuned on {plan.rows} reviews with {plan.recipe.describe()}. {_recipe_from(plan.recipe_from)}.",
            f"They are asked about {controls.reviews} of the {count_all_reviews()} test reviews: of each label, "
            f"{'all' if plan.every == 1 else f'one in {plan.every}'}. On so many, an accuracy is uncertain: "
            f"{listed(points)}, 19 times in 20.",
            f"Computed on {list_machines(controls.machines)}.",
        ]
    )


def _recipe_from(name: str) -> str:
    return "This is what the comparison's search chose" if name == SEARCHED else f"These are {name}"


def describe_variants(controls: Controls) -> str:
    """Say what the tuned soft prompts are worth, and what remains of that if they are changed in one respect.

    Args:
        controls: what ``load_controls`` returns.
    """
    said = {name: mean_and_reach(controls.accuracies(name)) for name in controls.variants}
    share = share_of_gain(controls, RANDOM)
    if share is None:
        found = "Tuning gained nothing clear, so there is nothing to explain"
    elif verdict(hits(controls, TUNED), hits(controls, RANDOM)) < 1:
        found = "That cannot be told from the tuned ones: how far the vectors moved may be all that counts"
    else:
        gained = "nothing" if share < 0.005 else percent(share)
        found = f"That is {gained} of what tuning gained" + (
            ": which way the vectors moved counts, not how far" if share < LITTLE else ""
        )
    value, (low, high) = difference(hits(controls, TUNED), hits(controls, RANDOM))
    paired = f"{figure(100 * value, 1)} points ({reach([100 * low, 100 * high], 1)}, 19 times in 20)"
    return "\n".join(
        [
            f"Accuracy is {said[START]} before tuning and {said[TUNED]} after it; in brackets, the least and the "
            "greatest over the seeds.",
            f"With each virtual token moved as far, but in a random direction, it is {said[RANDOM]}: "
            f"a difference of {paired}. {found}.",
            f"With the moves dealt out to other tokens it is {said[DEALT]}, with the tuned tokens in another order "
            f"{said[SHUFFLED]}, and with the moves alone, without the text, {said[MOVES]}.",
            f"Half of the way from the text to the tuned vectors gives {said[HALF]}, half of the way further "
            f"{said[FURTHER]}.",
        ]
    )


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
    nothing = staying_proves(controls)
    proves = f"So it proves {nothing} that they stay" if nothing else "So chance alone does not keep so many there"
    dimensions = controls.numbers // controls.plan.virtual_tokens
    further = [
        f"{times} times as far: {percent(after_tuned)} and {percent(after_random)}"
        for times, after_tuned, after_random in zip(
            controls.plan.reaches, controls.nearest["tuned"], controls.nearest["random"], strict=True
        )
        if times > 1
    ]
    return "\n".join(
        [
            f"{tuned} of {count(of, 'virtual token')} of all seeds are still nearest to the word that they started as. "
            f"After random moves as long, {random} of {of} are. {proves}.",
            f"Geometry says so beforehand: in {dimensions} dimensions a random move is all but perpendicular to "
            f"everything. Virtual tokens moved by {mean['moved']} lengths of a typical word's embedding, which should "
            f"leave a cosine of {mean['predicted']} to their words. Random moves leave {mean['random_cosine']}, tuning "
            f"left {mean['cosine']}, and the nearest other word is at {mean['other']}.",
            "Still nearest if the tuned moves, and random ones, are made longer: " + "; ".join(further) + ".",
        ]
    )


def describe_between_seeds(controls: Controls) -> str:
    """Say whether the seeds found the same place.

    Args:
        controls: what ``load_controls`` returns.
    """
    ends = [score for line in controls.lines for _, score in (line.points[0], line.points[-1])]
    inner = [score for line in controls.lines for _, score in line.points[1:-1]]
    found, lines = ridges(controls), len(controls.lines)
    parted = (
        "So each seed has found a place of its own"
        if found == lines
        else f"So {found} of {lines} lines cross a ridge"
        if found
        else "So no ridge parts them"
    )
    return "\n".join(
        [
            f"The moves of two seeds have a cosine of {mean_and_reach(controls.cosines)}. Of random moves, with "
            f"{controls.numbers:,} numbers each, it would lie within ± {figure(chance_cosine(controls))} of 0, "
            "19 times in 20.",
            f"At the soft prompts themselves, accuracy is {mean_and_reach([score.accuracy for score in ends])}. On the "
            f"lines between them it falls below the mean of the two ends by up to "
            f"{listed([figure(100 * each, 1) for each in falls(controls)])} points. {parted}.",
            f"Loss is {reach([score.loss for score in ends])} at the ends and {reach([score.loss for score in inner])} "
            f"between them; the text that all of them started from has {figure(controls.losses(START)[0])}.",
        ]
    )


def describe_attention(controls: Controls) -> str:
    """Say how much attention the virtual tokens get, before and after tuning.

    Args:
        controls: what ``load_controls`` returns.
    """
    everything, first = attention_to_all(controls), attention_to_first(controls)
    parts = [
        f"{name} {percent(float(np.mean(everything[state])))}, of which the first has {percent(first[state])}"
        for state, name in (("start", "before tuning"), ("tuned", "after it"), ("random", "after random moves as long"))
    ]
    fair = float(np.mean(everything["tuned"])) / controls.plan.virtual_tokens
    note = (
        " (Models like this one direct much attention to whatever stands first.)" if first["tuned"] > 2 * fair else ""
    )
    return (
        "At the end of a review, where the answer is about to be given, the virtual tokens get this share of the "
        f"attention, the mean over layers, heads and seeds: {'; '.join(parts)}.{note}"
    )


def describe_transfer(controls: Controls) -> str:
    """Say whether a soft prompt tuned on reviews is a good start for tickets.

    Args:
        controls: what ``load_controls`` returns.
    """
    passes = controls.plan.tickets.num_epochs
    last = {start: after_pass(scores, -1) for start, scores in controls.transfer.items()}
    parts = [f"{mean_and_reach(values)} from {STARTS_IN_SENTENCES[start]}" for start, values in last.items()]
    verdicts: dict[str, list[str]] = {}
    for other in (start for start in last if start != REVIEWS_TUNED):
        found = verdict(ticket_hits(controls, REVIEWS_TUNED), ticket_hits(controls, other))
        said = ("not to be told from", "a better start than", "a worse start than")[found]
        verdicts.setdefault(said, []).append(STARTS_IN_SENTENCES[other])
    return (
        f"After {count(passes, 'pass', 'passes')} over the tickets, accuracy on {controls.tickets} held-back ones is "
        f"{listed(parts)}. On these, {STARTS_IN_SENTENCES[REVIEWS_TUNED]} is "
        f"{'; '.join(f'{said} {listed(others)}' for said, others in verdicts.items())}."
    )
