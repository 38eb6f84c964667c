"""Draws two pictures for the notebooks: a soft prompt in front of a review, and what each method trains.

Writes ``notebooks/images/soft_prompt.svg`` and ``notebooks/images/methods.svg``, and both in each other language:

    python -m tools.draw_soft_prompt

What they say is in ``drawn_words.json``, a table for each language.
The pictures are narrow, since a phone is, and bring a background of their own: a notebook's theme does not reach into
a picture, and without one the text would vanish in a dark theme. Where the reader's system is dark, so are they.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from prompt_tuning_helpers.plots import BASE, LINES, TUNED

IMAGES = Path(__file__).parent.parent / "notebooks" / "images"

WIDTH = 400  # of both pictures, in units of their own; text of 12 units is read on a phone
SHOWN_WIDTH = 560  # in pixels, where there is room

# Each colour on a light and on a dark background. What is trained has the colour of a tuned model in the plots; the
# dark ones are of Okabe and Ito's palette, too.
COLOURS = {
    "card": ("#fbfaf7", "#1b1f24"),
    "card-edge": ("#d5d2ca", "#454c55"),
    "ink": ("#222222", "#ececec"),
    "frozen": ("#e3e3e3", "#363c44"),
    "frozen-edge": ("#8a8a8a", "#8d949c"),
    "trained": (TUNED, "#56b4e9"),
    "on-trained": ("#ffffff", "#10202b"),
    "gradient": (LINES[1][0], BASE),
}

# One review of the training file with its label, and what SmolLM2-135M's tokenizer and table of embeddings make of it:
# each token, its number, and the first two and the last number of its row.
REVIEW, LABEL = "Badly botched.", "0"
TOKENS = (
    ("Bad", 26670, (0.04, -0.06, -0.02)),
    ("ly", 318, (0.09, -0.12, 0.03)),
    ("\u2423bot", 6543, (-0.07, 0.11, -0.02)),
    ("ched", 2823, (-0.11, -0.04, 0.06)),
    (".", 30, (0.03, 0.04, 0.00)),
)
VOCABULARY, LENGTH, WEIGHTS = 49_152, 576, 134_515_008
VIRTUAL_TOKENS = 100

# How many numbers the comparison of methods trains, by its name for the method.
TRAINED = {"prompt-100": 57_600, "prefix-20": 230_400, "lora-8": 460_800, "full": WEIGHTS}


@dataclass(frozen=True)
class Words:
    """What the pictures say in one language.

    Args:
        thousands: what stands between groups of three digits.
        soft_prompt_alt: alternative text of the first picture, for who cannot see it.
        methods_alt: likewise, of the second.
        text: label of the review.
        tokens: label of its tokens.
        numbers: label of their numbers, in two lines.
        table: name of the table of embeddings.
        table_size: its size, with ``{rows}`` and ``{length}``.
        soft_prompt: the name of what is trained.
        virtual_tokens: how long it is, with ``{tokens}`` and ``{length}``.
        trained_numbers: how many numbers that are, with ``{numbers}``.
        vectors: what a column of the picture is, with ``{length}``.
        model: its name and state.
        weights: its size, with ``{weights}``.
        loss: what the model's answer is judged by, in two lines, with ``{label}``.
        gradient: its name.
        gradient_does: what it does, in two lines.
        trained: key to the colour of what is trained.
        frozen: key to the colour of what is not.
        methods: of each method, the first one trains nothing: its name, what is trained, and how much, with
            ``{numbers}``.
    """

    thousands: str
    soft_prompt_alt: str
    methods_alt: str
    text: str
    tokens: str
    numbers: list[str]
    table: str
    table_size: str
    soft_prompt: str
    virtual_tokens: str
    trained_numbers: str
    vectors: str
    model: str
    weights: str
    loss: list[str]
    gradient: str
    gradient_does: list[str]
    trained: str
    frozen: str
    methods: list[list[str]]

    def number(self, value: int) -> str:
        """Write a whole number as the language does."""
        return f"{value:,}".replace(",", self.thousands)


WORDS = {
    language: Words(**words)
    for language, words in json.loads(Path(__file__).with_name("drawn_words.json").read_text(encoding="utf-8")).items()
}


def draw_soft_prompt(words: Words) -> str:
    """Draw how a review becomes vectors, and what stands in front of them.

    Args:
        words: what the picture says.

    Returns:
        The picture, as SVG.
    """
    places = [171 + 44 * place for place in range(len(TOKENS))]  # left edges of what belongs to a token
    middle = (places[0] + places[-1] + 40) / 2
    soft = [12, 56, 118]  # left edges of the first, second and last virtual token
    size = words.number(LENGTH)

    parts = [
        # The text, its tokens, and their numbers
        _text(12, 33, words.text),
        _box(170, 14, 218, 28, "plain"),
        _text(middle, 33, f"“{REVIEW}”", "middle"),
        _text(12, 79, words.tokens),
        _text(12, 106, words.numbers[0]),
        _text(12, 122, words.numbers[1]),
        _arrow(middle, 44, middle, 57),
        # The table, which turns numbers into vectors
        _box(170, 128, 218, 50, "frozen"),
        _text(middle, 149, words.table, "middle", "bold"),
        _text(middle, 167, words.table_size.format(rows=words.number(VOCABULARY), length=size), "middle"),
    ]
    for left, (token, number, values) in zip(places, TOKENS, strict=True):
        parts += [
            _box(left, 60, 40, 28, "plain"),
            _text(left + 20, 79, token, "middle"),
            _text(left + 20, 106, str(number), "middle", "small"),
            _arrow(left + 20, 111, left + 20, 125),
            _arrow(left + 20, 180, left + 20, 193),
            _vector(left, [_decimal(value) for value in values]),
        ]
    # The soft prompt, which comes from no table
    parts += [
        _text(12, 154, words.soft_prompt, kind="bold trained-text"),
        _text(12, 171, words.virtual_tokens.format(tokens=VIRTUAL_TOKENS, length=size), kind="trained-text"),
        _text(12, 188, words.trained_numbers.format(numbers=words.number(TRAINED["prompt-100"])), kind="trained-text"),
        *[_vector(left) for left in soft],
        _text(107, 243, "…", "middle", "bold trained-text"),
        # The model, and what it is judged by
        _text(middle, 298, words.vectors.format(length=size), "middle"),
        _arrow(middle, 304, middle, 318),
        _arrow(138, 284, 138, 318),
        _box(12, 321, 376, 52, "frozen"),
        _text(239, 343, words.model, "middle", "bold"),
        _text(239, 361, words.weights.format(weights=words.number(WEIGHTS)), "middle"),
        _arrow(middle, 375, middle, 389),
        _box(170, 392, 218, 46, "plain"),
        *[_text(middle, 411 + 17 * line, text.format(label=LABEL), "middle") for line, text in enumerate(words.loss)],
        # The way back
        '<path class="gradient" d="M168 415H76V291"/>',
        '<path class="gradient-head" d="M76 281l-7 13h14z"/>',
        _text(12, 434, words.gradient, kind="bold gradient-text"),
        *[_text(12, 450 + 16 * line, text, kind="gradient-text") for line, text in enumerate(words.gradient_does)],
    ]
    return _picture(478, words.soft_prompt_alt, parts)


def draw_methods(words: Words) -> str:
    """Draw what each method trains, one below the other.

    Args:
        words: what the picture says.

    Returns:
        The picture, as SVG.
    """
    parts = [
        _box(14, 14, 14, 14, "trained"),
        _text(34, 26, words.trained),
        _box(166, 14, 14, 14, "frozen"),
        _text(186, 26, words.frozen),
    ]
    for place, (method, (name, what, many)) in enumerate(zip([None, *TRAINED], words.methods, strict=True)):
        top = 46 + 86 * place
        number = words.number(TRAINED[method]) if method else ""
        parts += [
            f'<path class="rule" d="M12 {top - 4}H388"/>',
            *_method(method, top + 8),
            _text(166, top + 22, name, kind="bold trained-text" if method else "bold"),
            _text(166, top + 41, what),
            _text(166, top + 59, many.format(numbers=number)),
        ]
    return _picture(478, words.methods_alt, parts)


def _method(method: str | None, top: int) -> list[str]:
    """Draw the input and three layers of a model, with what a method trains in colour.

    Args:
        method: its name in ``TRAINED``; ``None`` for a hard prompt.
        top: upper edge.
    """
    front, given = [12, 27, 42], [63, 78, 93, 108, 123, 138]  # left edges
    parts = [_box(left, top, 12, 12, "frozen") for left in given]
    if method is None:
        parts += [_box(12, top, 42, 12, "frozen"), *[_box(left + 3, top + 5, 6, 2, "word") for left in front]]
    if method == "prompt-100":
        parts += [_box(left, top, 12, 12, "trained") for left in front]
    for layer in range(3):
        y = top + 19 + 17 * layer
        start, end = 63 if method == "prefix-20" else 12, 111 if method == "lora-8" else 150
        parts.append(_box(start, y, end - start, 12, "trained" if method == "full" else "frozen"))
        if method == "prefix-20":
            parts += [_box(left, y, 12, 12, "trained") for left in front]
        if method == "lora-8":  # two matrices: tall and narrow, low and wide
            parts += [_box(115, y, 4, 12, "trained"), _box(122, y + 4, 28, 4, "trained")]
    return parts


def _vector(left: int, values: Sequence[str] = ()) -> str:
    """Draw a vector as a column of four cells: two numbers, a gap, and the last number.

    Args:
        left: its left edge.
        values: its numbers; a virtual token has none that could be known beforehand, but arrows, up and down.
    """
    kind, top, height = ("frozen" if values else "trained"), 196, 21
    parts = [_box(left, top, 40, 4 * height, kind)]
    middle = left + 20
    shown = [*values[:2], "⋮", *values[2:]] if values else ["", "", "⋮", ""]
    for row, value in enumerate(shown):
        y = top + height * row
        if value:
            parts.append(_text(middle, y + 15, value, "middle", "small" if values else "on-trained"))
        else:
            parts.append(f'<path class="up-and-down" d="M{middle} {y + 5}v11m-3 -3l3 3l3 -3m-6 -5l3 -3l3 3"/>')
    return "".join(parts)


def _decimal(value: float) -> str:
    """Write a number with two decimals and a minus sign of the same width as a plus sign."""
    return f"{value:.2f}".replace("-", "\u2212")


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """Write a line of text; ``y`` is its base line."""
    attributes = "" if anchor == "start" else f' text-anchor="{anchor}"'
    attributes += f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{attributes}>{escape(words)}</text>'


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Draw a rectangle with round corners."""
    radius = min(4, height / 4)
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"/>'


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
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


def _picture(height: int, alternative: str, parts: Sequence[str]) -> str:
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
        _box(0.5, 0.5, WIDTH - 1, height - 1, "card"),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def draw_all() -> dict[str, str]:
    """Draw both pictures in every language.

    Returns:
        Each picture's SVG, by the name of its file.
    """
    pictures = {}
    for language, words in WORDS.items():
        ending = "svg" if language == "en" else f"{language}.svg"
        pictures[f"soft_prompt.{ending}"] = draw_soft_prompt(words)
        pictures[f"methods.{ending}"] = draw_methods(words)
    return pictures


def main() -> None:
    """Draw, and write the files."""
    for name, picture in draw_all().items():
        (IMAGES / name).write_text(picture, encoding="utf-8")
        print(f"{name}: {len(picture.encode('utf-8')) / 1000:.1f} kB")


if __name__ == "__main__":
    main()
