"""The language of what the helpers print and plot: English text in, the reader's language out."""

import os

# One table per language, from the English text to its translation. What a table lacks stays English.
TRANSLATIONS: dict[str, dict[str, str]] = {}


def language() -> str:
    """Tell the language of the lesson.

    Returns:
        ``LESSON_LANGUAGE`` if that is set; otherwise what the name of the running notebook says, which Jupyter hands
        to its kernels (``prompt_tuning_tutorial.es.ipynb`` gives ``"es"``); otherwise ``"en"``.
    """
    chosen = os.environ.get("LESSON_LANGUAGE", "")
    if chosen:
        return chosen
    parts = os.environ.get("JPY_SESSION_NAME", "").rsplit("/", 1)[-1].split(".")
    return parts[1] if len(parts) == 3 and parts[2] == "ipynb" else "en"


def say(text: str, **values: object) -> str:
    """Say a text in the language of the lesson.

    Args:
        text: the English text, which is also the key to its translations; ``{name}`` marks a value.
        values: what stands for the marks.
    """
    return TRANSLATIONS.get(language(), {}).get(text, text).format(**values)
