"""The notebooks as a person runs them: opened in JupyterLab, Run > Run All Cells, and everything is there to see."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import PICTURES, ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OPEN_SECONDS = 60
RUN_SECONDS = 540

PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map((prompt) => prompt.textContent)"
UNFOLD = "document.querySelectorAll('details').forEach((folded) => { folded.open = true; })"
SEEN_WHOLE = "(shown) => shown.scrollWidth <= shown.clientWidth"
LOADED = "(picture) => picture.complete && picture.naturalWidth > 0 && picture.naturalHeight > 0"
FROM_THE_TOP = "(panel) => { panel.scrollTop = 0; return panel.scrollHeight - panel.clientHeight; }"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_everything_is_there_to_see(lab: str, page: Page, path: Path) -> None:
    page.goto(lab.format(path=path.name))
    page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=OPEN_SECONDS * 1000)
    try:
        run_all_cells(page)
        page.evaluate(UNFOLD)
        for cell, shown in code_cells(page, path):
            expect(shown.locator("[data-mime-type$='.error'], [data-mime-type$='.stderr']"), cell.id).to_have_count(0)
            for _ in range(20):  # JupyterLab draws what comes into view a moment later
                if kinds_shown(shown) == kinds_stored(cell):
                    break
                page.wait_for_timeout(250)  # milliseconds
            assert kinds_shown(shown) == kinds_stored(cell), cell.id
        for picture in page.locator(".jp-Notebook img").all():
            assert picture.evaluate(LOADED)
    finally:
        take_picture(page, PICTURES / f"{path.stem}.png")


def run_all_cells(page: Page) -> None:
    """Choose Run > Run All Cells, and wait until no cell waits or runs: after an error, those behind it do not."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(f"{PROMPTS}.includes('[*]:')", timeout=OPEN_SECONDS * 1000)
    page.wait_for_function(f"!{PROMPTS}.includes('[*]:')", timeout=RUN_SECONDS * 1000)


def code_cells(page: Page, path: Path) -> Iterator[tuple[Any, Locator]]:
    """Each code cell as it is stored, and as the page shows it."""
    stored: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(len(stored.cells))
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    for place, cell in enumerate(cells):
        shown = page.locator(".jp-Notebook .jp-CodeCell").nth(place)
        shown.scroll_into_view_if_needed()
        yield cell, shown


def kinds_stored(cell: Any) -> set[str]:
    """What there is to see in a cell's stored outputs."""
    kinds = set()
    for output in cell.outputs:
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" in data or "<img" in data.get("text/html", ""):
            kinds.add("plot")
        elif "<table" in data.get("text/html", ""):
            kinds.add("table")
        elif data["text/plain"].strip():
            kinds.add("text")
    return kinds


def kinds_shown(cell: Locator) -> set[str]:
    """What there is to see below a cell on the page, none of it cut off at the right."""
    kinds = set()
    for output in cell.locator(".jp-OutputArea-output").all():
        if output.locator("img").count():
            box = output.locator("img").bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) > 100
            kinds.add("plot")
        elif output.locator("table").count():
            expect(output.locator("tr").nth(1)).to_be_visible()
            kinds.add("table")
        elif output.inner_text().strip():
            kinds.add("text")
        assert output.evaluate(SEEN_WHOLE)
    return kinds


def take_picture(page: Page, path: Path) -> None:
    """Keep the whole notebook as one picture, in a window as high as it."""
    size = page.viewport_size
    assert size is not None
    hidden = page.locator(".jp-Notebook .jp-WindowedPanel-outer").evaluate(FROM_THE_TOP)
    page.set_viewport_size({"width": size["width"], "height": size["height"] + hidden})
    page.wait_for_timeout(500)  # milliseconds; for what comes into view to be drawn
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
