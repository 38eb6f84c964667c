"""The language of what the comparison prints and plots: English text in, the reader's language out.

Each folder has the tables of its own texts, ``translations/<language>.json``; what they lack, the helpers may have.
"""

from collections.abc import Sequence

from prompt_tuning_helpers import i18n
from prompt_tuning_helpers.i18n import language, paragraph

__all__ = ["language", "listed", "paragraph", "say", "whole"]

PACKAGES = ("comparison", "comparison.plots", "comparison.controls")


def say(text: str, **values: object) -> str:
    """Say a text in the language of the notebook.

    Args:
        text: the English text, which is also the key to its translations; ``{name}`` marks a value. What has no
            translation stays English.
        values: what stands for the marks.
    """
    for package in PACKAGES:
        if text in (table := i18n.translations(language(), package)):
            return table[text].format(**values)
    return i18n.say(text, **values)


def listed(texts: Sequence[str], joint: str = "{all} and {last}") -> str:
    """List texts in a sentence.

    Args:
        texts: at least one.
        joint: the English text that joins the last of them to all others.
    """
    *others, last = texts
    return say(joint, all=say(", ").join(others), last=last) if others else last


def whole(number: float) -> str:
    """Write a number without decimals; Spanish sets blanks between thousands, and none within four digits."""
    text = f"{number:,.0f}"
    if language() != "es":
        return text
    return text.replace(",", "\N{NO-BREAK SPACE}" if abs(number) >= 10_000 else "")
