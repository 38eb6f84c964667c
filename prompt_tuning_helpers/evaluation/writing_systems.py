"""Scripts: what a letter is in them, and which are written without blanks between words."""

import re
import unicodedata
from functools import cache

# Thai and Lao, Myanmar, Khmer, kana, Han: the inside of a character class.
WITHOUT_BLANKS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
VARIATION = re.compile("[\ufe00-\ufe0f]")  # says whether a character is drawn as an emoji


def fold(text: str) -> str:
    """Give a text the form in which upper and lower case, blanks and ways to encode an accent are not told apart.

    Args:
        text: any text; what it says stays, and so do its accents.
    """
    return " ".join(unicodedata.normalize("NFC", VARIATION.sub("", text).casefold()).split())


@cache
def word_edges() -> tuple[str, str]:
    """Give patterns for where a word may begin and where it has ended.

    Where blanks stand between words, no letter may be beside it. In scripts without them, nobody can tell where a word
    ends without knowing the language, so a word must not have more of the same script beside it. Between letters of
    the two kinds a word ends.
    """
    # Python does not count vowel signs of Hindi or Arabic among the letters of a word, nor what joins letters.
    signs = "".join(chr(code) for code in range(0x10000) if unicodedata.category(chr(code)).startswith("M"))
    spaced, other = rf"(?:[^\W_{WITHOUT_BLANKS}]|[{re.escape(signs)}\u200c\u200d])", f"[{WITHOUT_BLANKS}]"
    begin = f"(?:(?={other})(?<!{other})|(?!{other})(?<!{spaced}))"
    end = f"(?:(?<={other})(?!{other})|(?<!{other})(?!{spaced}))"
    return begin, end
