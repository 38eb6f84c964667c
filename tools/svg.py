"""Scalable drawings: the colours, boxes, arrows and words that all pictures in the notebooks are made of.

The pictures are narrow, since a phone is, and bring a background of their own: a notebook's theme does not reach into
a picture, and without one the text would vanish in a dark theme. Where the reader's system is dark, so are they.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from prompt_tuning_helpers.plots import BASE, CARD, CARD_EDGE, LINES, TUNED

WIDTH = 400  # of each picture, in units of their own; text of 12 units is read on a phone
SHOWN_WIDTH = 560  # in pixels, where there is room

# Each colour on a light and on a dark background. What is trained has the colour of a tuned model in the plots; the
# dark ones are of Okabe and Ito's palette, too.
COLOURS = {
    "card": (CARD, "#1b1f24"),
    "card-edge": (CARD_EDGE, "#454c55"),
    "ink": ("#222222", "#ececec"),
    "frozen": ("#e3e3e3", "#363c44"),
    "frozen-edge": ("#8a8a8a", "#8d949c"),
    "trained": (TUNED, "#56b4e9"),
    "on-trained": ("#ffffff", "#10202b"),
    "gradient": (LINES[1][0], BASE),
}


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """Write a line of text; ``y`` is its base line."""
    attributes = "" if anchor == "start" else f' text-anchor="{anchor}"'
    attributes += f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Draw a rectangle with round corners."""
    radius = min(4, height / 4)
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"/>'


def arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    """Draw an arrow straight down."""
    return f'<path class="flow" d="M{x:g} {y:g}L{to_x:g} {to_y:g}m-4 -5l4 5l4 -5"/>'


def _style(shade: int) -> str:
    """Give the colours of all that is drawn, for light (0) or dark (1) surroundings."""
    colour = {name: both[shade] for name, both in COLOURS.items()}
    return (
        f".card{{fill:{colour['card']};stroke:{colour['card-edge']}}}"
        f".rule{{stroke:{colour['card-edge']}}}"
        f"text{{fill:{colour['ink']}}}"
        f".plain{{fill:none;stroke:{colour['frozen-edge']}}}"
        f".frozen{{fill:{colour['frozen']};stroke:{colour['frozen-edge']}}}"
        f".word{{fill:{colour['ink']}}}"
        f".flow{{stroke:{colour['frozen-edge']}}}"
        f".trained{{fill:{colour['trained']};stroke:{colour['trained']}}}"
        f".trained-text{{fill:{colour['trained']}}}"
        f".on-trained{{fill:{colour['on-trained']}}}"
        f".up-and-down{{stroke:{colour['on-trained']}}}"
        f".gradient{{stroke:{colour['gradient']}}}"
        f".gradient-head,.gradient-text{{fill:{colour['gradient']}}}"
    )


def picture(height: int, alternative: str, parts: Sequence[str]) -> str:
    """Put the parts of a picture together, on a background of its own."""
    style = (
        "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans','PingFang SC',"
        "'Microsoft YaHei','Noto Sans CJK SC','WenQuanYi Micro Hei',sans-serif}"
        ".small{font-size:12px}.bold{font-weight:bold}"
        ".flow,.up-and-down{fill:none;stroke-width:1.5}"
        ".gradient{fill:none;stroke-width:3;stroke-dasharray:7 4}"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{SHOWN_WIDTH}" '
        f'height="{SHOWN_WIDTH * height / WIDTH:g}" role="img" aria-labelledby="alternative">',
        f'<title id="alternative">{escape(alternative)}</title>',
        f"<style>{style}{_style(0)}@media(prefers-color-scheme:dark){{{_style(1)}}}</style>",
        box(0.5, 0.5, WIDTH - 1, height - 1, "card"),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
