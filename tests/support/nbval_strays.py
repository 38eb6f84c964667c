"""A plugin for nbval: a cell that writes to standard error fails; pictures are not compared, nor the HTML of one."""

from collections.abc import Iterator
from typing import Any

import pytest

PICTURES = ("image/png", "text/html")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave pictures out of the comparison, as nbval itself does where they are not HTML with alternative text.

    Args:
        item: the cell.
    """
    notebook: Any = item.parent
    stored = getattr(item, "cell", {}).get("outputs", [])
    has_picture = any("image/png" in output.get("data", {}) for output in stored)
    compared = [kind for kind in notebook.skip_compare if kind not in PICTURES]
    notebook.skip_compare = (*compared, *(PICTURES if has_picture else PICTURES[:1]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn the report of a cell with stray output into a failure.

    Args:
        item: the cell.
        call: the phase of its run.
    """
    outcome: Any = yield
    report = outcome.get_result()
    if call.when != "call" or not report.passed:
        return
    strays = [output["text"] for output in getattr(item, "test_outputs", None) or [] if output.get("name") == "stderr"]
    if strays:
        report.outcome = "failed"
        report.longrepr = f"{item.name} wrote to standard error:\n" + "".join(strays)
