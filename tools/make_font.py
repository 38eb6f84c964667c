"""Makes the font of the Chinese plots: Noto Sans CJK SC, cut down to the characters of the translation.

Run it when a text of a plot gets a character that the font lacks; a test tells. Noto Sans CJK is a package of most
Linux systems (on Debian ``fonts-noto-cjk``):

    python -m tools.make_font /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

The original's licence, in ``OFL.txt``, also covers what is made here. It asks modified fonts not to use reserved names,
so ours has a name of its own.
"""

import argparse
import json
from pathlib import Path

from fontTools.subset import Options, Subsetter  # type: ignore[import-untyped]
from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]

from prompt_tuning_helpers.fonts import FAMILY, FILE
from prompt_tuning_helpers.i18n import translations

ORIGINALS = ("Noto Sans CJK SC", "Noto Sans SC")
COMPARISON = Path(__file__).parents[1] / "notebooks" / "comparison"  # which has tables of its own, and plots
# What matplotlib does not read when it sets a line of text.
UNUSED = ("BASE", "GDEF", "GPOS", "GSUB", "VORG", "vhea", "vmtx")
COPYRIGHT, FAMILY_NAME, UNIQUE_ID, FULL_NAME, VERSION, POSTSCRIPT_NAME, DESCRIPTION, LICENCE = 0, 1, 3, 4, 5, 6, 10, 13
LICENCE_ADDRESS = 14


def make(source: Path, target: Path = FILE) -> int:
    """Make the font.

    Args:
        source: a font file, or a collection of fonts, with the original.
        target: where to write the font.

    Returns:
        The number of characters in it.

    Raises:
        ValueError: if the original is not in the file.
        MissingUnicodesSubsettingError: if the original lacks a character.
    """
    texts = [*translations("zh").values()]
    for table in COMPARISON.rglob("zh.json"):
        texts += json.loads(table.read_text(encoding="utf-8")).values()
    characters = {character for text in texts for character in text if not character.isascii()}
    font = _original(source)
    options = Options(hinting=False, desubroutinize=True, layout_features=[], notdef_outline=True)
    options.name_IDs = [COPYRIGHT, FAMILY_NAME, 2, VERSION, LICENCE, LICENCE_ADDRESS]
    options.drop_tables = [*options.drop_tables, *UNUSED]
    options.ignore_missing_unicodes = False
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(characters))
    subsetter.subset(font)
    _rename(font)
    font.save(target)
    return len(characters)


def _original(source: Path) -> TTFont:
    """Open the original; the time stamp stays, so that the same original and characters give the same file."""
    options = {"lazy": True, "recalcTimestamp": False}
    fonts = TTCollection(source, **options).fonts if source.suffix == ".ttc" else [TTFont(source, **options)]
    for font in fonts:
        if font["name"].getDebugName(FAMILY_NAME) in ORIGINALS:
            return font
    raise ValueError(f"{source.name} holds none of these fonts: {', '.join(ORIGINALS)}")


def _rename(font: TTFont) -> None:
    """Give a font our name, in both places that hold one."""
    names = font["name"]
    original = f"{names.getDebugName(FAMILY_NAME)}, {names.getDebugName(VERSION)}"
    about = f"A subset of {original}, with the characters of one translation only."
    postscript = FAMILY.replace(" ", "")
    for identifier, text in (
        (FAMILY_NAME, FAMILY),
        (UNIQUE_ID, f"{FAMILY}; {original}"),
        (FULL_NAME, FAMILY),
        (POSTSCRIPT_NAME, postscript),
        (DESCRIPTION, about),
    ):
        names.setName(text, identifier, platformID=3, platEncID=1, langID=0x409)
    outlines = font["CFF "].cff
    outlines.fontNames = [postscript]
    outlines.topDictIndex[0].FullName = outlines.topDictIndex[0].FamilyName = FAMILY


def main() -> None:
    """Read the command line and make the font."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the original, an .otf or .ttc file")
    count = make(parser.parse_args().source)
    print(f"{FILE.name}: {count} characters, {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
