"""The language of what the comparison prints and plots: English text in, the reader's language out.

Each folder has the tables of its own texts, ``translations/<language>.json``; what they lack, the helpers may have.
"""

from prompt_tuning_helpers import i18n
from prompt_tuning_helpers.i18n import language, paragraph

__all__ = ["language", "paragraph", "say"]

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
