"""Folding: what a block shows is kept, and shown on demand."""

import base64
from typing import Any

import matplotlib.pyplot as plt
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import clear_output, display
from IPython.testing.globalipapp import start_ipython
from IPython.utils.capture import capture_output

from prompt_tuning_helpers import folded

PICTURE = b"\x89PNG as bytes"
PRE = '<pre style="font-family: monospace">'


class Shown:
    """Something that a notebook shows, of one kind."""

    def __init__(self, kind: str, content: Any) -> None:
        self.kind, self.content = kind, content

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {self.kind: self.content, "text/plain": "what it is"}


@pytest.fixture(autouse=True)
def notebook() -> None:
    """A shell that shows all that a notebook does, where one in a terminal shows text alone."""
    start_ipython()  # type: ignore[no-untyped-call]
    shell = InteractiveShell.instance()
    shell.display_formatter.active_types = shell.display_formatter.format_types  # type: ignore[union-attr]


def show(block: Any) -> dict[str, str]:
    """What a notebook shows of a block that is folded."""
    with capture_output() as captured, folded("what <happens>"):
        block()
    assert not captured.stdout
    (output,) = captured.outputs
    shown: dict[str, str] = output.data
    return shown


def test_what_is_printed_is_folded() -> None:
    shown = show(lambda: print("\n  a < b  \n\n"))
    assert shown["text/plain"] == "what <happens>\na < b"
    assert shown["text/html"] == f"<details><summary>what &lt;happens&gt;</summary>{PRE}a &lt; b</pre></details>"


def test_tables_and_pictures_are_folded_and_pictures_are_described() -> None:
    def block() -> None:
        for content in (PICTURE, base64.b64encode(PICTURE).decode()):  # the same, twice
            display(Shown("image/png", content))  # type: ignore[no-untyped-call]
        display(Shown("text/html", "<table></table>"))  # type: ignore[no-untyped-call]

    html = show(block)["text/html"]
    assert html.count("<img") == 1
    assert f'alt="what &lt;happens&gt;" src="data:image/png;base64,{base64.b64encode(PICTURE).decode()}"' in html
    assert "<table></table>" in html


def test_a_figure_that_is_left_open_is_folded_and_closed() -> None:
    plt.figure()
    before = plt.get_fignums()
    html = show(lambda: plt.figure(figsize=(1, 1)))["text/html"]
    assert html.count("<img") == 1
    assert plt.get_fignums() == before
    plt.close("all")


def test_what_is_shown_after_the_output_was_cleared_is_folded() -> None:
    def block() -> None:
        print("status")
        clear_output()  # type: ignore[no-untyped-call]
        display(Shown("text/html", "<table></table>"))  # type: ignore[no-untyped-call]

    shown = show(block)
    assert f"{PRE}status</pre>" in shown["text/html"]
    assert "<table></table>" in shown["text/html"]


def test_a_failure_is_raised_and_what_was_printed_before_is_shown() -> None:
    def search() -> None:
        with folded("a search"):
            print("searching")
            raise LookupError("nothing there")

    with capture_output() as captured, pytest.raises(LookupError, match="nothing there"):
        search()
    (output,) = captured.outputs
    assert "searching" in output.data["text/html"]
