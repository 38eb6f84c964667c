"""The drawings in the notebooks: stored as drawn, true, readable in both themes, and described for who cannot see."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from prompt_tuning_helpers import datasets
from prompt_tuning_helpers.engine import sources
from prompt_tuning_helpers.lesson import reviews_path
from tools import draw_soft_prompt as drawing
from tools import svg

ROOT = Path(__file__).parents[1]
DRAWN = drawing.draw_all()
SVG = "{http://www.w3.org/2000/svg}"
LEAST_CONTRAST = 4.5  # WCAG 2.1, 1.4.3
FONT_SIZE, SMALL = 13, 12
MARGIN = 8
PICTURE = re.compile(r"!\[([^]]*)\]\(([^)\s]+)\)")

# On which colours each kind of text stands, by its classes; "" is text without one.
STANDS_ON = {
    "": ("ink", ["card", "frozen"]),
    "small": ("ink", ["card", "frozen"]),
    "bold": ("ink", ["card", "frozen"]),
    "on-trained": ("on-trained", ["trained"]),
    "small on-trained": ("on-trained", ["trained"]),
    "trained-text": ("trained", ["card"]),
    "bold trained-text": ("trained", ["card"]),
    "gradient-text": ("gradient", ["card"]),
    "bold gradient-text": ("gradient", ["card"]),
}


@pytest.fixture(params=DRAWN)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def alternative_texts() -> dict[str, str]:
    """The alternative text of each picture, by its path in the notebooks."""
    described = {}
    for language, words in drawing.WORDS.items():
        ending = "svg" if language == "en" else f"{language}.svg"
        described[f"images/soft_prompt.{ending}"] = words.soft_prompt_alt
        described[f"images/methods.{ending}"] = words.methods_alt
        described[f"images/opened.{ending}"] = drawing.opened_alternative(words)
    return described


def texts_of(picture: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(picture).iter(f"{SVG}text"))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def width_of(words: str, size: float, bold: bool) -> float:
    """In DejaVu Sans, which is wider than the fonts that most systems have; Chinese characters are as wide as high."""
    wide = [character for character in words if character >= "\u2e80"]
    rest = "".join(character for character in words if character < "\u2e80")
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    width: float = TextPath((0, 0), rest, size=size, prop=font).get_extents().width if rest.strip() else 0.0
    return width + size * len(wide)


def test_the_stored_files_are_what_the_script_draws() -> None:
    stored = {path.name: path.read_text(encoding="utf-8") for path in drawing.IMAGES.glob("*.svg")}
    assert sorted(stored) == sorted(DRAWN)
    for name, picture in DRAWN.items():
        assert stored[name] == picture, f"{name}: run python -m tools.draw_soft_prompt"


def test_a_drawing_is_small_and_has_alternative_text(name: str) -> None:
    assert len(DRAWN[name].encode("utf-8")) < 12_000
    root = ElementTree.fromstring(DRAWN[name])
    assert root.get("role") == "img"
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.get("id") == root.get("aria-labelledby")
    assert title.text
    assert len(title.text) > 80


def test_each_language_has_words_of_its_own() -> None:
    alternatives = alternative_texts().values()
    assert len(set(alternatives)) == len(DRAWN)
    tokens = drawing.opened_soft_prompt()["tokens"]
    read = {token[when][0]["token"].strip(" ") for token in tokens for when in ("before", "after")}
    same = {drawing.REVIEW, "LoRA", "…", "⋮", "", *(token for token, _, _ in drawing.TOKENS), *read}
    for ending in ("es.svg", "zh.svg"):
        pictures = ("soft_prompt", "methods", "opened")
        for english, other in ((f"{picture}.svg", f"{picture}.{ending}") for picture in pictures):
            for one, two in zip(texts_of(DRAWN[english]), texts_of(DRAWN[other]), strict=True):
                letters = re.sub(r"[^\w]|\d", "", one.text or "")
                assert one.text != two.text or not letters or (one.text or "").strip("“”") in same, one.text


def test_every_text_has_contrast_in_light_and_dark(name: str) -> None:
    for text in texts_of(DRAWN[name]):
        colour, grounds = STANDS_ON[text.get("class", "")]
        for ground in grounds:
            for shade in (0, 1):
                measured = contrast(svg.COLOURS[colour][shade], svg.COLOURS[ground][shade])
                assert measured >= LEAST_CONTRAST, (text.text, colour, ground, shade)


def test_every_text_stays_inside(name: str) -> None:
    for text in texts_of(DRAWN[name]):
        kind = text.get("class", "")
        width = width_of(text.text or "", SMALL if "small" in kind else FONT_SIZE, "bold" in kind)
        left = float(text.get("x", "")) - (width / 2 if text.get("text-anchor") == "middle" else 0)
        assert left >= MARGIN, text.text
        assert left + width <= svg.WIDTH - MARGIN, text.text


def test_the_review_is_one_of_the_training_file_with_its_label() -> None:
    rows = datasets.load_rows(reviews_path("train"))
    (label,) = rows["output"][rows["input"].str.contains(f"Comment: {drawing.REVIEW}\n", regex=False)]
    assert label == drawing.LABEL
    assert "".join(token for token, _, _ in drawing.TOKENS).replace("\u2423", " ") == drawing.REVIEW


def test_the_numbers_are_those_of_the_comparison() -> None:
    lines = (ROOT / "notebooks" / "comparison" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    measured = {}
    for line in map(json.loads, lines):
        if "trained_parameters" in line:
            measured[line["method"]] = line["trained_parameters"]
    assert {name: measured[name] for name in drawing.TRAINED} == drawing.TRAINED
    assert drawing.TRAINED["prompt-100"] == drawing.VIRTUAL_TOKENS * drawing.LENGTH


def test_the_soft_prompt_is_read_as_the_comparison_did(name: str) -> None:
    """Word by word, three times; and what is said of it holds."""
    if not name.startswith("opened"):
        return
    opened = drawing.opened_soft_prompt()
    before, after = (
        [token[when][0]["token"].strip(" ").replace("\n", "\u21b5") for token in opened["tokens"]]
        for when in ("before", "after")
    )
    drawn = [text.text for text in texts_of(DRAWN[name])]
    assert [text for text in drawn if text in {*before, *after}] == [*before, *after, *after]
    for accuracy in ("accuracy_before", "accuracy", "accuracy_as_words"):
        assert any(str(round(opened[accuracy] * opened["n"])) in (text or "") for text in drawn)


@pytest.mark.slow
def test_the_tokens_and_vectors_are_those_of_the_model() -> None:
    from safetensors import safe_open
    from transformers import AutoTokenizer

    folder = Path(sources.fetch("smollm2"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    numbers = tokenizer(drawing.REVIEW)["input_ids"]
    tokens = [token.replace("\u0120", "\u2423") for token in tokenizer.convert_ids_to_tokens(numbers)]
    assert [(token, number) for token, number, _ in drawing.TOKENS] == list(zip(tokens, numbers, strict=True))
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        table = file.get_slice("model.embed_tokens.weight")
        assert table.get_shape() == [drawing.VOCABULARY, drawing.LENGTH]
        for _, number, shown in drawing.TOKENS:
            row = table[number : number + 1][0].tolist()
            assert [round(value, 2) for value in (row[0], row[1], row[-1])] == list(shown)
        sizes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118  (it is no dictionary)
    weights = sum(size[0] * (size[1] if len(size) > 1 else 1) for size in sizes)
    assert weights == drawing.WEIGHTS


def test_notebooks_describe_the_drawings_in_their_own_words() -> None:
    described = alternative_texts()
    shown = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        for cell in notebook.cells:
            for alternative, picture in PICTURE.findall(cell.source) if cell.cell_type == "markdown" else []:
                if picture in described:
                    assert alternative == described[picture], (path.name, cell.id)
                    shown.add(picture)
    assert {"images/soft_prompt.svg", "images/soft_prompt.es.svg", "images/soft_prompt.zh.svg"} <= shown
