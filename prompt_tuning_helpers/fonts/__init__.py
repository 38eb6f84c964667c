"""Fonts for the Chinese characters in a plot, which matplotlib's own font lacks."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A font of our own with just the characters of the Chinese translation; ``make`` beside this file makes it.
FAMILY = "Lesson Sans SC"
FILE = Path(__file__).with_name("lesson_sans_sc.otf")

# Chinese fonts of Linux, macOS and Windows. Ours comes after the first that is installed: a label of the user's may
# have characters that ours lacks.
INSTALLED = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
)
FIRST_CHARACTER = "\u2e80"  # of the blocks with Chinese characters and punctuation


def show_chinese(figure: "Figure") -> None:
    """Give every text of a figure that has Chinese characters the fonts to show them.

    The font that the text has stays the first choice: only characters that it lacks are taken from another one. Other
    texts, other figures and matplotlib's settings are left alone.

    Args:
        figure: the figure, with all its texts.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text) and any(character >= FIRST_CHARACTER for character in text.get_text()):
            text.set_fontfamily([*text.get_fontfamily(), *_families()])


def _families() -> list[str]:
    """Name the fonts to take Chinese characters from, the best one first."""
    from matplotlib.font_manager import fontManager

    known = fontManager.get_font_names()
    if FAMILY not in known:
        fontManager.addfont(FILE)
    return [*[name for name in INSTALLED if name in known][:1], FAMILY]
