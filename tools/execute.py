"""Executes a notebook from top to bottom in a fresh kernel, into build/, and prints the scores that it measured."""

import argparse
import base64
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSON = NOTEBOOKS / "prompt_tuning_tutorial.ipynb"
BUILD = NOTEBOOKS.parent / "build"
COMPARISON = NOTEBOOKS / "comparison"  # what the comparison of methods imports and reads
IMAGES = NOTEBOOKS / "images"  # what notebooks show
PICTURE = IMAGES / "comparison.png"
README = NOTEBOOKS.parent / "README.md"
TABLE = re.compile(r"(\| \d+ test reviews \| accuracy \| F1 \|\n\|---\|---\|---\|\n)(?:\|.*\n)*")  # in the README


def execute(path: Path) -> Path:
    """Execute a notebook.

    Args:
        path: the notebook, which is left as it is.

    Returns:
        The executed copy in ``build/``, which is the kernel's working folder.

    Raises:
        CellExecutionError: when a cell fails; the copy then shows how far it got.
    """
    os.environ["JPY_SESSION_NAME"] = path.name  # as Jupyter does; it tells the helpers the language of the lesson
    BUILD.mkdir(exist_ok=True)
    (BUILD / "scores.json").unlink(missing_ok=True)
    for folder in (COMPARISON, IMAGES):
        shutil.copytree(folder, BUILD / folder.name, dirs_exist_ok=True)
    link_settings(BUILD / ".env", path.parent / ".env")
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    target = BUILD / path.name
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    with tqdm(total=len(cells), bar_format="{n}/{total} cells |{bar}| {elapsed}  {desc}", ncols=100) as bar:

        def begin(cell: Any, cell_index: int) -> None:
            if cell.cell_type == "code":
                bar.set_description_str(cell.id)

        def end(cell: Any, cell_index: int, execute_reply: Any) -> None:
            bar.update()

        client = NotebookClient(
            notebook,
            timeout=None,
            coalesce_streams=True,  # lines that were printed one by one are one output
            extra_arguments=["--log-level=40"],  # errors only: that loopback is not encrypted is no news
            resources={"metadata": {"path": str(BUILD)}},
            on_cell_start=begin,
            on_cell_executed=end,
        )
        try:
            client.execute()
        finally:
            for cell in notebook.cells:
                cell.metadata.pop("execution", None)  # times, which differ from run to run
            nbformat.write(notebook, target)  # type: ignore[no-untyped-call]
    return target


def link_settings(link: Path, settings: Path) -> None:
    """Let the kernel find the settings beside the notebook, as in JupyterLab.

    Args:
        link: where the kernel looks; a file that is not a link stays.
        settings: the file, which need not be there.
    """
    if link.is_symlink():
        link.unlink()
    if settings.is_file() and not link.exists():
        link.symlink_to(settings.resolve())


def score_rows(scores: Any) -> str:
    """Write the scores of the lesson as the rows of a table in Markdown.

    Args:
        scores: what the lesson saves.
    """
    models = {"tuned model": scores["tuned"]} | scores["rivals"]
    rows = [f"| {name} | {values['accuracy']:.3f} | {values['f1']:.3f} |\n" for name, values in models.items()]
    return "".join(rows)


def store(executed: Path, path: Path) -> None:
    """Keep an executed notebook's outputs in the notebook, and the lesson's scores and their picture for the README."""
    shutil.copyfile(executed, path)
    if path.name != LESSON.name:
        return
    rows = score_rows(json.loads((BUILD / "scores.json").read_text(encoding="utf-8")))
    README.write_text(TABLE.sub(lambda found: found[1] + rows, README.read_text(encoding="utf-8")), encoding="utf-8")
    for cell in nbformat.read(executed, as_version=4).cells:  # type: ignore[no-untyped-call]
        if cell.id == "plot-scores":
            PICTURE.parent.mkdir(exist_ok=True)
            PICTURE.write_bytes(base64.b64decode(cell.outputs[0].data["image/png"]))


def main() -> None:
    """Read the command line and execute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", nargs="?", type=Path, default=LESSON, help="its path, or its name in notebooks/")
    parser.add_argument("--model", help="base model of the local runtime: smollm2, a hub id or a folder")
    parser.add_argument("--store", action="store_true", help="keep the outputs in the notebook itself")
    options = parser.parse_args()
    if options.model:
        os.environ["LOCAL_WATSONX_MODEL"] = options.model
    path = options.notebook if options.notebook.exists() else NOTEBOOKS / options.notebook
    started = time.monotonic()
    try:
        executed = execute(path)
    except CellExecutionError as error:
        sys.exit(f"{error}\nA cell failed; see {os.path.relpath(BUILD / path.name)}.")
    print(f"Executed in {time.monotonic() - started:.0f} s: {os.path.relpath(executed)}")
    if options.store:
        store(executed, path)
    scores_file = BUILD / "scores.json"
    if scores_file.is_file():
        scores = json.loads(scores_file.read_text(encoding="utf-8"))
        print(f"Accuracy and F1 on {scores['n']} test reviews; see {os.path.relpath(scores_file)}")
        print(score_rows(scores), end="")


if __name__ == "__main__":
    main()
