"""The look that the plots of the comparison share: marks, names and titles."""

import re
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from prompt_tuning_helpers.plots import LINES, QUIET, finished
from prompt_tuning_helpers.plots.style import width_of

from ..language import paragraph, say
from ..methods import FullFineTuning, HardPrompt, LoRA, Method, PrefixTuning, PromptTuning, StartingText, TfIdf
from ..tables import unbroken

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prompt_tuning_helpers.plots.described import DescribedFigure

# A colour and a marker for each kind of method, so that colour is never all there is to go by. All have a contrast of
# at least 4.5:1 with white.
STYLES: dict[type[Method], tuple[str, str]] = {
    HardPrompt: LINES[1],
    StartingText: ("#7D6608", "v"),
    PromptTuning: LINES[0],
    PrefixTuning: (LINES[3][0], "^"),
    LoRA: (LINES[2][0], "D"),
    FullFineTuning: LINES[5],
    TfIdf: ("#333333", "X"),
}
TEXT = "#222222"
SIZES = {"P": 7.5, "X": 7}  # points, of markers that look smaller than others
SIZE = 6
GUESSING = 0.5  # accuracy of guessing, since half of the reviews have each label
WIDTH = 8.6  # inches: about as wide as a notebook's cells
LINE_LENGTH = 94  # characters of a title; those of Chinese and the like count as two
NOTE_LENGTH = 126  # characters of a note, likewise
WIDE = "\u2e80-\uffff"  # characters of Chinese and their punctuation
# What stays together where a Chinese line ends: a character, letters and figures, or all within brackets; each with the
# punctuation beside it, and the blank behind it.
PIECES = re.compile(f"“?(?:（[^）]*）|[{WIDE}]|[^ {WIDE}]+)[，。；：、”]* ?")  # noqa: RUF001


def short(method: Method) -> str:
    """Name a method where there is little room."""
    return say(_shortened(method))


def in_sentence(method: Method) -> str:
    """Name a method without commas."""
    kind, _, rest = _shortened(method).partition(", ")
    return say(f"{kind} ({rest})" if rest else kind)


def _shortened(method: Method) -> str:
    return method.title.replace("virtual tokens", "tokens")


def series(parts: Sequence[str]) -> str:
    """Set parts of a sentence one after another."""
    return say(", ").join(parts)


def clauses(parts: Sequence[str]) -> str:
    """Set clauses one after another, which may be series themselves."""
    return say("; ").join(parts)


def sentence(text: str) -> str:
    """Give a text a capital letter to begin with."""
    return text[:1].upper() + text[1:]


def told(findings: Sequence[str]) -> str:
    """Write findings as sentences."""
    return paragraph(*(say("{sentence}.", sentence=sentence(finding)) for finding in findings))


def head(figure: "Figure", *findings: str) -> None:
    """Put what the picture shows above it, from its left edge on."""
    lines = [line for finding in findings for line in _balanced(sentence(finding))]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11, fontweight="bold", color=TEXT, parse_math=False)


def _balanced(text: str) -> list[str]:
    """Break a text into as few lines as it takes, all about as long as each other, and none within brackets."""
    text = re.sub(r"\([^)]*\)", lambda part: unbroken(part[0]), text)
    lines = wrapped(text, LINE_LENGTH)
    lengths = range(width_of(text) // len(lines), LINE_LENGTH + 1)
    return next(found for length in lengths if len(found := wrapped(text, length)) == len(lines))


def wrapped(text: str, length: int) -> list[str]:
    """Break a text into lines of at most so many characters; Chinese, which has no blanks, between its characters."""
    if _is_narrow(text):
        return wrap(text, length)
    lines = [""]
    for piece in PIECES.findall(text):
        if lines[-1] and width_of((lines[-1] + piece).rstrip()) > length:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def foot(figure: "Figure", note: str) -> None:
    """Say below a picture how to read it."""
    figure.supxlabel("\n".join(wrapped(note, NOTE_LENGTH)), x=0.01, ha="left", fontsize=9, color=TEXT)


def described(figure: "DescribedFigure", alternative_text: str) -> "DescribedFigure":
    """Hand a figure over, with what can be seen in it, the numbers too; on a phone, it is scrolled."""
    figure.keeps_its_width = True
    _embolden(figure)
    return finished(figure, alternative_text)


def _embolden(figure: "Figure") -> None:
    """Outline Chinese texts that are to be bold: the font that the helpers bring for Chinese has one weight alone."""
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_fontweight() == "bold" and not _is_narrow(text.get_text()):
            text.set_fontweight("normal")
            text.set_path_effects([withStroke(linewidth=0.7, foreground=text.get_color())])


def _is_narrow(text: str) -> bool:
    return width_of(text) == len(text)


def draw_score(
    ax: "Axes",
    method: Method,
    place: tuple[float, float],
    interval: tuple[float, float],
    *,
    along: str = "x",
    is_hollow: bool = False,
) -> None:
    """Draw a mark, and its interval along an axis.

    Args:
        ax: to draw on.
        method: whose mark.
        place: of the mark.
        interval: of the score.
        along: the axis that the score is measured on, ``"x"`` or ``"y"``.
        is_hollow: whether only the mark's outline is drawn.
    """
    colour, marker = STYLES[type(method)]
    score, (low, high) = place["xy".index(along)], interval
    # An interval of rounding noise must not give a negative length.
    lengths: dict[str, Any] = {f"{along}err": [[max(0.0, score - low)], [max(0.0, high - score)]]}
    face = "white" if is_hollow else colour
    ax.errorbar(
        *place,
        **lengths,
        fmt=marker,
        color=colour,
        markerfacecolor=face,
        markersize=size_of(marker),
        capsize=2,
        elinewidth=1.2,
    )


def size_of(marker: str) -> float:
    """Give the size of a marker in points, so that all look about as large."""
    return SIZES.get(marker, SIZE)


def rows_from_the_top(ax: "Axes", count: int, room: float = 0.6) -> None:
    """Make room for rows, numbered from 0 at the top, each with a faint rule instead of an axis."""
    ax.set_ylim(count - 0.4, -room)
    ax.set_yticks(range(count), [""] * count)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color="#dddddd", linewidth=0.8)
    ax.grid(axis="y", color="#eeeeee", linewidth=0.8)


def write_beside(ax: "Axes", text: str, row: float, x: float = 0, **look: Any) -> None:
    """Write a text beside a row of the axes, at their ``x``; on its base line, so that all texts of a row align."""
    look = dict[str, Any](xytext=(-8, -3), ha="right", fontsize=9.5, color=TEXT) | look
    ax.annotate(
        text,
        (x, row),
        xycoords=ax.get_yaxis_transform(),
        textcoords="offset points",
        va="baseline",
        parse_math=False,
        **look,
    )


def draw_guessing(ax: "Axes", along: str) -> None:
    """Draw where guessing lies: a dotted line across the axis that accuracy is measured on."""
    line = ax.axvline if along == "x" else ax.axhline
    line(GUESSING, color=QUIET, linewidth=1.2, linestyle=":", zorder=1)


def spread(places: Sequence[float], distance: float) -> list[float]:
    """Move places apart until neighbours are so far from each other; all together as little as possible."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(places, kind="stable")
    steps = distance * np.arange(len(places))
    apart = np.empty(len(places))
    apart[order] = isotonic_regression(np.array(places)[order] - steps) + steps
    return [float(place) for place in apart]
