"""Draws pictures for the notebooks: a soft prompt in front of a review, what each method trains, a soft prompt read.

Writes ``soft_prompt.svg``, ``methods.svg`` and ``opened.svg`` into ``notebooks/images``, and in each language:

    python -m tools.draw_soft_prompt

What they say is in ``drawn_words.json``, a table for each language; what a soft prompt reads as is among the
results of the comparison.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import svg

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
IMAGES = NOTEBOOKS / "images"
RESULTS = NOTEBOOKS / "comparison" / "results.jsonl"

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
        opened_alt: likewise, of the third, with ``{before}``, ``{tuned}``, ``{words}``, ``{same}`` and ``{n}``.
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
        opened: titles of the three states of a soft prompt: as it starts, tuned, and each vector replaced by its
            nearest word.
        right: how many reviews are right, with ``{right}`` and ``{n}``.
    """

    thousands: str
    soft_prompt_alt: str
    methods_alt: str
    opened_alt: str
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
    opened: list[str]
    right: str

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
    size, numbers = words.number(LENGTH), words.number(TRAINED["prompt-100"])

    parts = [
        # The text, its tokens, and their numbers
        svg.text(12, 33, words.text),
        svg.box(170, 14, 218, 28, "plain"),
        svg.text(middle, 33, f"“{REVIEW}”", "middle"),
        svg.text(12, 79, words.tokens),
        svg.text(12, 106, words.numbers[0]),
        svg.text(12, 122, words.numbers[1]),
        svg.arrow(middle, 44, middle, 57),
        # The table, which turns numbers into vectors
        svg.box(170, 128, 218, 50, "frozen"),
        svg.text(middle, 149, words.table, "middle", "bold"),
        svg.text(middle, 167, words.table_size.format(rows=words.number(VOCABULARY), length=size), "middle"),
    ]
    for left, (token, number, values) in zip(places, TOKENS, strict=True):
        parts += [
            svg.box(left, 60, 40, 28, "plain"),
            svg.text(left + 20, 79, token, "middle"),
            svg.text(left + 20, 106, str(number), "middle", "small"),
            svg.arrow(left + 20, 111, left + 20, 125),
            svg.arrow(left + 20, 180, left + 20, 193),
            _vector(left, [_decimal(value) for value in values]),
        ]
    # The soft prompt, which comes from no table
    parts += [
        svg.text(12, 154, words.soft_prompt, kind="bold trained-text"),
        svg.text(12, 171, words.virtual_tokens.format(tokens=VIRTUAL_TOKENS, length=size), kind="trained-text"),
        svg.text(12, 188, words.trained_numbers.format(numbers=numbers), kind="trained-text"),
        *[_vector(left) for left in soft],
        svg.text(107, 243, "…", "middle", "bold trained-text"),
        # The model, and what it is judged by
        svg.text(middle, 298, words.vectors.format(length=size), "middle"),
        svg.arrow(middle, 304, middle, 318),
        svg.arrow(138, 284, 138, 318),
        svg.box(12, 321, 376, 52, "frozen"),
        svg.text(239, 343, words.model, "middle", "bold"),
        svg.text(239, 361, words.weights.format(weights=words.number(WEIGHTS)), "middle"),
        svg.arrow(middle, 375, middle, 389),
        svg.box(170, 392, 218, 46, "plain"),
        *[svg.text(middle, 411 + 17 * row, line.format(label=LABEL), "middle") for row, line in enumerate(words.loss)],
        # The way back
        '<path class="gradient" d="M168 415H76V291"/>',
        '<path class="gradient-head" d="M76 281l-7 13h14z"/>',
        svg.text(12, 434, words.gradient, kind="bold gradient-text"),
        *[svg.text(12, 450 + 16 * row, line, kind="gradient-text") for row, line in enumerate(words.gradient_does)],
    ]
    return svg.picture(478, words.soft_prompt_alt, parts)


def draw_methods(words: Words) -> str:
    """Draw what each method trains, one below the other.

    Args:
        words: what the picture says.

    Returns:
        The picture, as SVG.
    """
    parts = [
        svg.box(14, 14, 14, 14, "trained"),
        svg.text(34, 26, words.trained),
        svg.box(166, 14, 14, 14, "frozen"),
        svg.text(186, 26, words.frozen),
    ]
    for place, (method, (name, what, many)) in enumerate(zip([None, *TRAINED], words.methods, strict=True)):
        top = 46 + 86 * place
        number = words.number(TRAINED[method]) if method else ""
        parts += [
            f'<path class="rule" d="M12 {top - 4}H388"/>',
            *_method(method, top + 8),
            svg.text(166, top + 22, name, kind="bold trained-text" if method else "bold"),
            svg.text(166, top + 41, what),
            svg.text(166, top + 59, many.format(numbers=number)),
        ]
    return svg.picture(478, words.methods_alt, parts)


def _method(method: str | None, top: int) -> list[str]:
    """Draw the input and three layers of a model, with what a method trains in colour.

    Args:
        method: its name in ``TRAINED``; ``None`` for a hard prompt.
        top: upper edge.
    """
    front, given = [12, 27, 42], [63, 78, 93, 108, 123, 138]  # left edges
    parts = [svg.box(left, top, 12, 12, "frozen") for left in given]
    if method is None:
        parts += [svg.box(12, top, 42, 12, "frozen"), *[svg.box(left + 3, top + 5, 6, 2, "word") for left in front]]
    if method == "prompt-100":
        parts += [svg.box(left, top, 12, 12, "trained") for left in front]
    for layer in range(3):
        y = top + 19 + 17 * layer
        start, end = 63 if method == "prefix-20" else 12, 111 if method == "lora-8" else 150
        parts.append(svg.box(start, y, end - start, 12, "trained" if method == "full" else "frozen"))
        if method == "prefix-20":
            parts += [svg.box(left, y, 12, 12, "trained") for left in front]
        if method == "lora-8":  # two matrices: tall and narrow, low and wide
            parts += [svg.box(115, y, 4, 12, "trained"), svg.box(122, y + 4, 28, 4, "trained")]
    return parts


def opened_soft_prompt() -> dict[str, Any]:
    """Find the soft prompt that the comparison looked into: its tokens, and its accuracy in three states."""
    plan, *results = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
    (found,) = [result for result in results if result.get("kind") == "opening"]
    return {**found, "n": plan["plan"]["opened_rows"]}


def opened_alternative(words: Words) -> str:
    """Say what the third picture shows, with the numbers of the comparison."""
    opened = opened_soft_prompt()
    states = {"before": "accuracy_before", "tuned": "accuracy", "words": "accuracy_as_words"}
    right = {name: round(opened[accuracy] * opened["n"]) for name, accuracy in states.items()}
    same = sum(token["before"][0]["token"] == token["after"][0]["token"] for token in opened["tokens"])
    return words.opened_alt.format(**right, n=opened["n"], same=same)


def draw_opened(words: Words) -> str:
    """Draw a soft prompt as the words that it is nearest to: before tuning, after, and put in its place.

    Args:
        words: what the picture says.

    Returns:
        The picture, as SVG.
    """
    opened = opened_soft_prompt()
    states = (
        ("frozen", "before", opened["accuracy_before"]),
        ("trained", "after", opened["accuracy"]),
        ("frozen", "after", opened["accuracy_as_words"]),
    )
    parts = []
    for place, ((kind, when, accuracy), title) in enumerate(zip(states, words.opened, strict=True)):
        top = 12 + 118 * place
        right = words.right.format(right=round(accuracy * opened["n"]), n=opened["n"])
        parts += [
            *([f'<path class="rule" d="M12 {top - 4}H388"/>'] if place else []),
            svg.text(12, top + 17, title, kind="bold trained-text" if kind == "trained" else "bold"),
            *_words_in_boxes([token[when][0]["token"] for token in opened["tokens"]], top + 26, kind),
            svg.box(12, top + 87, 190, 14, "plain"),
            svg.box(12, top + 87, 190 * accuracy, 14, kind),
            svg.text(212, top + 99, right, kind="bold trained-text" if kind == "trained" else "bold"),
        ]
    return svg.picture(362, opened_alternative(words), parts)


def _words_in_boxes(tokens: Sequence[str], top: float, kind: str) -> list[str]:
    """Draw tokens, each in a box, in as many lines as they need."""
    parts, left = [], 12.0
    for token in tokens:
        word = token.strip(" ").replace("\n", "\u21b5")
        width = 11 + 7.9 * len(word)
        if left + width > svg.WIDTH - 12:
            left, top = 12.0, top + 28
        style = "small on-trained" if kind == "trained" else "small"
        parts += [svg.box(left, top, width, 22, kind), svg.text(left + width / 2, top + 15, word, "middle", style)]
        left += width + 4
    return parts


def _vector(left: int, values: Sequence[str] = ()) -> str:
    """Draw a vector as a column of four cells: two numbers, a gap, and the last number.

    Args:
        left: its left edge.
        values: its numbers; a virtual token has none that could be known beforehand, but arrows, up and down.
    """
    kind, top, height = ("frozen" if values else "trained"), 196, 21
    parts = [svg.box(left, top, 40, 4 * height, kind)]
    middle = left + 20
    shown = [*values[:2], "⋮", *values[2:]] if values else ["", "", "⋮", ""]
    for row, value in enumerate(shown):
        y = top + height * row
        if value:
            parts.append(svg.text(middle, y + 15, value, "middle", "small" if values else "on-trained"))
        else:
            parts.append(f'<path class="up-and-down" d="M{middle} {y + 5}v11m-3 -3l3 3l3 -3m-6 -5l3 -3l3 3"/>')
    return "".join(parts)


def _decimal(value: float) -> str:
    """Write a number with two decimals and a minus sign of the same width as a plus sign."""
    return f"{value:.2f}".replace("-", "\u2212")


def draw_all() -> dict[str, str]:
    """Draw the pictures in every language.

    Returns:
        Each picture's SVG, by the name of its file.
    """
    pictures = {}
    for language, words in WORDS.items():
        ending = "svg" if language == "en" else f"{language}.svg"
        pictures[f"soft_prompt.{ending}"] = draw_soft_prompt(words)
        pictures[f"methods.{ending}"] = draw_methods(words)
        pictures[f"opened.{ending}"] = draw_opened(words)
    return pictures


def main() -> None:
    """Draw, and write the files."""
    for name, picture in draw_all().items():
        (IMAGES / name).write_text(picture, encoding="utf-8")
        print(f"{name}: {len(picture.encode('utf-8')) / 1000:.1f} kB")


if __name__ == "__main__":
    main()
