"""The language of what the helpers print and plot: English text in, the reader's language out.

Translated is what a reader meets when all goes as it should, and what is wrong with the reader's own data: the lines
that the helpers print, their tables and plots, their warnings, and the errors about a data file. All other errors stay
English, those about the connection, the tuning or an argument: they stand beside what the SDK and the service say,
which is English too, and can be searched for. The local runtime and its engine speak English alone.
"""

import json
import os
import re
from functools import cache
from importlib.resources import files


def language() -> str:
    """Tell the language of the lesson.

    Returns:
        ``LESSON_LANGUAGE`` if that is set; otherwise what the name of the running notebook says, which Jupyter hands
        to its kernels (``prompt_tuning_tutorial.es.ipynb`` gives ``"es"``, and so does a copy of it); otherwise
        ``"en"``.
    """
    chosen = os.environ.get("LESSON_LANGUAGE", "")
    if chosen:
        return chosen
    named = re.search(r"\.([a-z]{2})\b[^./]*\.ipynb$", os.environ.get("JPY_SESSION_NAME", ""))
    return named[1] if named else "en"


@cache
def translations(language: str, package: str = __package__) -> dict[str, str]:
    """Read a package's table of a language, ``translations/<language>.json``.

    Args:
        language: two letters.
        package: whose table; by default that of the helpers.

    Returns:
        From each English text to its translation; nothing for English, and for a language that there is no table for.
    """
    table = files(package) / "translations" / f"{language}.json"
    texts: dict[str, str] = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else {}
    return texts


def say(text: str, **values: object) -> str:
    """Say a text in the language of the lesson.

    Args:
        text: the English text, which is also the key to its translations; ``{name}`` marks a value. What has no
            translation stays English.
        values: what stands for the marks.
    """
    return translations(language()).get(text, text).format(**values)


def paragraph(*sentences: str) -> str:
    """Set sentences one after another as the language of the lesson does; Chinese has no space between them."""
    return ("" if language() == "zh" else " ").join(sentences)
