"""Keeps the translations of the notebooks in step with the English ones, and says what needs a translator.

Code cells are copied. Each translated markdown cell knows which English text it translates, by a fingerprint in its
metadata; once a text has been translated anew, --done writes the new fingerprint.
"""

import argparse
import copy
import hashlib
import sys
from pathlib import Path
from typing import Any

import nbformat

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def originals() -> list[Path]:
    """Find the English notebooks that are translated."""
    return [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if "." not in path.stem and translations(path)]


def translations(original: Path) -> dict[str, Path]:
    """Find the translations of a notebook, by language.

    Args:
        original: the English one.
    """
    return {path.name.split(".")[1]: path for path in sorted(NOTEBOOKS.glob(f"{original.stem}.*.ipynb"))}


def read(path: Path) -> Any:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def fingerprint(source: str) -> str:
    """Give the fingerprint of an English text, which its translations keep as ``translates``."""
    return hashlib.sha256(source.encode("utf-8")).hexdigest()[:8]


def synchronise(original: Any, translated: Any) -> list[str]:
    """Give a translated notebook the English one's cells, in its order.

    A code cell is the English one; it keeps its own outputs if its code is the same. A markdown cell that is new stays
    English until somebody translates it.

    Args:
        original: the English notebook.
        translated: the translated one, which is changed.

    Returns:
        What was done, a line each.
    """
    ids = [cell.id for cell in original.cells]
    own = {cell.id: cell for cell in translated.cells}
    done = [f"removed {name}" for name in own if name not in ids]
    if [name for name in own if name in ids] != [name for name in ids if name in own]:
        done.append("put the cells into the English order")
    translated.cells = []
    for english in original.cells:
        cell = copy.deepcopy(english)
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


def stale(original: Any, translated: Any) -> list[str]:
    """Name the markdown cells whose English text is not the one that they translate."""
    texts = {cell.id: cell.source for cell in original.cells}
    return [
        cell.id
        for cell in translated.cells
        if cell.cell_type == "markdown" and cell.metadata.get("translates") != fingerprint(texts.get(cell.id, ""))
    ]


def mark_done(original: Any, translated: Any, names: list[str]) -> None:
    """Note that markdown cells translate the English text as it is now.

    Args:
        original: the English notebook.
        translated: the translated one, which is changed.
        names: ids of the cells.

    Raises:
        ValueError: if there is no such cell, or if it still is the English one.
    """
    texts = {cell.id: cell.source for cell in original.cells if cell.cell_type == "markdown"}
    cells = {cell.id: cell for cell in translated.cells}
    for name in names:
        if name not in texts or name not in cells:
            raise ValueError(f"There is no markdown cell {name!r}.")
        if cells[name].source == texts[name]:
            raise ValueError(f"The cell {name!r} is still in English.")
        cells[name].metadata["translates"] = fingerprint(texts[name])


def main() -> None:
    """Read the command line and synchronise."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [path.name for original in originals() for path in translations(original).values()]
    parser.add_argument("--done", nargs="+", metavar="CELL_ID", default=[], help="cells that are translated anew")
    parser.add_argument("--notebook", choices=names, help="the translation that has these cells; needed with --done")
    options = parser.parse_args()
    if bool(options.done) != bool(options.notebook):
        parser.error("--done and --notebook go together")
    for english in originals():
        original = read(english)
        for path in translations(english).values():
            translated = read(path)
            before = copy.deepcopy(translated)
            done = synchronise(original, translated)
            if path.name == options.notebook:
                try:
                    mark_done(original, translated, options.done)
                except ValueError as error:
                    sys.exit(str(error))
            if translated != before:
                nbformat.write(translated, path)  # type: ignore[no-untyped-call]
            for line in done:
                print(f"{path.name}: {line}")
            waiting = stale(original, translated)
            print(f"{path.name}: " + (f"to translate: {', '.join(waiting)}" if waiting else "all is translated"))


if __name__ == "__main__":
    main()
