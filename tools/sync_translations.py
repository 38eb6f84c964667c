"""Keeps the translations of notebooks in step with the English ones, and says what needs a translator.

Code cells are copied. Each translated markdown cell knows which English text it translates, by a fingerprint in its
metadata; once a text has been translated anew, --done writes the new fingerprint. To begin a translation, copy the
English notebook: ``name.ipynb`` to ``name.es.ipynb``.
"""

import argparse
import copy
import hashlib
import sys
from pathlib import Path
from typing import Any

import nbformat

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSON = NOTEBOOKS / "prompt_tuning_tutorial.ipynb"


def translated_notebooks() -> dict[Path, dict[str, Path]]:
    """Find the English notebooks that are translated, and the translations of each, by language."""
    found: dict[Path, dict[str, Path]] = {}
    for path in sorted(NOTEBOOKS.glob("*.*.ipynb")):
        name, language = path.name.split(".")[:2]
        found.setdefault(NOTEBOOKS / f"{name}.ipynb", {})[language] = path
    return found


def read(path: Path) -> Any:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def fingerprint(source: str) -> str:
    """Give the fingerprint of an English text, which its translations keep as ``translates``."""
    return hashlib.sha256(source.encode("utf-8")).hexdigest()[:8]


def synchronise(english: Any, translated: Any) -> list[str]:
    """Give a translated notebook the English one's cells, in its order.

    A code cell is the English one; it keeps its own outputs if its code is the same. A markdown cell that is new stays
    English until somebody translates it.

    Args:
        english: the English notebook.
        translated: the translated one, which is changed.

    Returns:
        What was done, a line each.
    """
    ids = [cell.id for cell in english.cells]
    own = {cell.id: cell for cell in translated.cells}
    done = [f"removed {name}" for name in own if name not in ids]
    if [name for name in own if name in ids] != [name for name in ids if name in own]:
        done.append("put the cells into the English order")
    translated.cells = []
    for original in english.cells:
        cell = copy.deepcopy(original)
        before = own.get(cell.id, {})
        translated.cells.append(cell)
        if cell.cell_type == "markdown":
            if before.get("cell_type") == "markdown":
                cell.source = before.source
                cell.metadata |= {key: value for key, value in before.metadata.items() if key == "translates"}
            else:
                done.append(f"added {cell.id}, in English as yet")
        elif before.get("cell_type") == "code" and before.source == cell.source:
            cell.outputs, cell.execution_count = before.outputs, before.execution_count
        else:
            cell.outputs, cell.execution_count = [], None
            done.append(f"copied {cell.id}, without outputs: execute the notebook")
    return done


def stale(english: Any, translated: Any) -> list[str]:
    """Name the markdown cells whose English text is not the one that they translate."""
    texts = {cell.id: cell.source for cell in english.cells}
    return [
        cell.id
        for cell in translated.cells
        if cell.cell_type == "markdown" and cell.metadata.get("translates") != fingerprint(texts.get(cell.id, ""))
    ]


def mark_done(english: Any, translated: Any, names: list[str]) -> None:
    """Note that markdown cells translate the English text as it is now.

    Args:
        english: the English notebook.
        translated: the translated one, which is changed.
        names: ids of the cells.

    Raises:
        ValueError: if there is no such cell, or if it still is the English one.
    """
    texts = {cell.id: cell.source for cell in english.cells if cell.cell_type == "markdown"}
    cells = {cell.id: cell for cell in translated.cells}
    for name in names:
        if name not in texts or name not in cells:
            raise ValueError(f"There is no markdown cell {name!r}.")
        if cells[name].source == texts[name]:
            raise ValueError(f"The cell {name!r} is still in English.")
        cells[name].metadata["translates"] = fingerprint(texts[name])


def main() -> None:
    """Read the command line and synchronise."""
    notebooks = translated_notebooks()
    languages = sorted({language for translations in notebooks.values() for language in translations})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--done", nargs="+", metavar="CELL_ID", default=[], help="cells that are translated anew")
    parser.add_argument("--language", choices=languages, help="of these cells; needed with --done")
    parser.add_argument(
        "--notebook",
        choices=sorted(path.stem for path in notebooks),
        default=LESSON.stem,
        help="that has these cells, by its English name; the lesson, if left out",
    )
    options = parser.parse_args()
    if bool(options.done) != bool(options.language):
        parser.error("--done and --language go together")
    for english_path, translations in notebooks.items():
        english = read(english_path)
        for language, path in translations.items():
            translated = read(path)
            before = copy.deepcopy(translated)
            done = synchronise(english, translated)
            if (english_path.stem, language) == (options.notebook, options.language):
                try:
                    mark_done(english, translated, options.done)
                except ValueError as error:
                    sys.exit(str(error))
            if translated != before:
                nbformat.write(translated, path)  # type: ignore[no-untyped-call]
            for line in done:
                print(f"{path.name}: {line}")
            waiting = stale(english, translated)
            print(f"{path.name}: " + (f"to translate: {', '.join(waiting)}" if waiting else "all is translated"))


if __name__ == "__main__":
    main()
