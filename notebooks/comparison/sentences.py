"""Sentences with the figures of the comparison in them, so that nobody has to type a number."""

from collections.abc import Sequence

from .language import say
from .paragraphs import in_paragraphs
from .results import Comparison, Machine


@in_paragraphs
def describe_machines(comparison: Comparison) -> str:
    """Say what accuracies and costs were computed on.

    Args:
        comparison: what ``load`` returns.
    """
    return say(
        "Accuracies on test reviews: {machines}. Times and memory: {timed_on}.",
        machines=list_machines(comparison.machines),
        timed_on=list_machines(comparison.timed_on),
    )


def list_machines(machines: Sequence[tuple[Machine, int]]) -> str:
    """Name machines, with the number of results of each if there are several.

    Args:
        machines: each with this number.
    """
    if len(machines) == 1:
        return _describe(machines[0][0])
    return say("; ").join(
        say("{machine} ({count} results)", machine=_describe(machine), count=count) for machine, count in machines
    )


def _describe(machine: Machine) -> str:
    device = machine.cpu if machine.device == "cpu" else machine.device
    if machine.threads == 1:
        return say("{device}, with 1 thread a job", device=device)
    return say("{device}, with {threads} threads a job", device=device, threads=machine.threads)


@in_paragraphs
def describe_choice(comparison: Comparison, method: str) -> str:
    """Say what the search chose, for whichever draw of training rows.

    Args:
        comparison: what ``load`` returns.
        method: its name.
    """
    found = comparison.of(method)
    choices = dict.fromkeys(choice.describe(say) for choice in found.chosen)
    return say("Chosen for {method}: {choices}.", method=say(found.method.title), choices=say("; ").join(choices))


@in_paragraphs
def describe_opened(comparison: Comparison) -> str:
    """Sum up what was seen inside the soft prompt.

    Args:
        comparison: what ``load`` returns.
    """
    opened = comparison.opened
    tokens = opened["tokens"]
    kept = sum(token["before"][0]["token"] == token["after"][0]["token"] for token in tokens)
    moved = [token["moved"] for token in tokens]
    without = [token["accuracy_without"] for token in tokens]
    return "\n".join(
        [
            say(
                "Accuracy before tuning {before:.3f}, as tuned {tuned:.3f}, and with each virtual token replaced by "
                "its nearest word {words:.3f}.",
                before=opened["accuracy_before"],
                tuned=opened["accuracy"],
                words=opened["accuracy_as_words"],
            ),
            say(
                "{kept} of {tokens} virtual tokens are still nearest to the word that they started as.",
                kept=kept,
                tokens=len(tokens),
            ),
            say(
                "They moved by {least:.2f} to {most:.2f} times the length of a typical word's embedding.",
                least=min(moved),
                most=max(moved),
            ),
            say(
                "Without one of them, accuracy is between {low:.3f} and {high:.3f}.",
                low=min(without),
                high=max(without),
            ),
        ]
    )
