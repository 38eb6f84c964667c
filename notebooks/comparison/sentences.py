"""Sentences with the figures of the comparison in them, so that nobody has to type a number."""

from collections.abc import Sequence

from .results import Comparison, Machine
from .tables import share


def describe_machines(comparison: Comparison) -> str:
    """Say what accuracies and costs were computed on.

    Args:
        comparison: what ``load`` returns.
    """
    return f"Accuracies: {list_machines(comparison.machines)}. Times and memory: {list_machines(comparison.timed_on)}."


def list_machines(machines: Sequence[tuple[Machine, int]]) -> str:
    """Name machines, with the number of results of each if there are several.

    Args:
        machines: each with this number.
    """
    if len(machines) == 1:
        return _describe(machines[0][0])
    return "; ".join(f"{_describe(machine)} ({count} results)" for machine, count in machines)


def _describe(machine: Machine) -> str:
    threads = f"{machine.threads} thread" + ("s" if machine.threads > 1 else "")
    device = machine.cpu if machine.device == "cpu" else machine.device
    return f"{device}, with {threads} a job"


def describe_choice(comparison: Comparison, method: str) -> str:
    """Say what the search chose, for whichever draw of training rows.

    Args:
        comparison: what ``load`` returns.
        method: its name.
    """
    found = comparison.of(method)
    choices = dict.fromkeys(choice.describe() for choice in found.chosen)
    return f"Chosen for {found.method.title}: {'; '.join(choices)}."


def describe_share(comparison: Comparison, method: str) -> str:
    """Say how many parameters a method trains.

    Args:
        comparison: what ``load`` returns.
        method: its name.
    """
    found, parameters = comparison.of(method), comparison.cost(method).trained_parameters
    part = share(found.method, parameters, comparison)
    return (
        f"With {found.method.title}, {parameters:,} parameters are trained. The base model has "
        f"{comparison.base_parameters:,}: that is {part}."
    )


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
            f"Accuracy before tuning {opened['accuracy_before']:.3f}, as tuned {opened['accuracy']:.3f}, and with each "
            f"virtual token replaced by its nearest word {opened['accuracy_as_words']:.3f}.",
            f"{kept} of {len(tokens)} virtual tokens are still nearest to the word that they started as.",
            f"They moved by {min(moved):.2f} to {max(moved):.2f} times the length of a typical word's embedding.",
            f"Without one of them, accuracy is between {min(without):.3f} and {max(without):.3f}.",
        ]
    )
