"""Under an alias: settings that suit the model that is really there, in place of those chosen for another model."""

from collections.abc import Mapping
from typing import Any

from ..engine import TuningSettings
from ..engine.defaults import PACE, suited_settings
from .catalogue import ServedModel


def replace_settings(card: ServedModel, asked: TuningSettings, rows: int) -> tuple[TuningSettings, dict[str, Any]]:
    """Choose the settings to tune with.

    Args:
        card: the model that a training asks for.
        asked: the settings that it asks for.
        rows: number of training rows that are not too long.

    Returns:
        The settings, and what of them differs from those asked for, ``{"asked": {...}, "used": {...}}``; nothing
        where they suit the model already.
    """
    used = suited_settings(card.source, asked, rows)
    changed = [name for name in PACE if getattr(used, name) != getattr(asked, name)]
    if not changed:
        return asked, {}
    settings = {"asked": asked, "used": used}
    return used, {which: {name: getattr(values, name) for name in changed} for which, values in settings.items()}


def say_replaced(model: str, replaced: Mapping[str, Any]) -> str:
    """Say with which settings a training tunes instead of those that it asked for; nothing where they are these.

    Args:
        model: the real name of the model that is tuned.
        replaced: what ``replace_settings`` gave.
    """
    if not replaced:
        return ""
    return (
        f"Tuned with {_listed(replaced['used'])}, which suit {model}, instead of {_listed(replaced['asked'])}; "
        "with --keep-settings the local runtime tunes as asked."
    )


def _listed(settings: Mapping[str, Any]) -> str:
    *most, last = [f"{name}={value:g}" for name, value in settings.items()]
    return f"{', '.join(most)} and {last}" if most else last
