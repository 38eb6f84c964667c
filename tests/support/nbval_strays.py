"""A plugin for nbval: a cell that writes to standard error fails, also where its output is not compared."""

from collections.abc import Iterator
from typing import Any

import pytest


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
