"""Folding: what a block prints and draws, under a title that the reader clicks to see it."""

import base64
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any


class Folded:
    """What a block showed; in a notebook, it is folded away.

    Args:
        title: says what it is.
        texts: what was printed.
        tables: what was shown as HTML.
        pictures: what was drawn, as PNG in base64.
    """

    def __init__(self, title: str, texts: str, tables: list[str], pictures: list[str]) -> None:
        self.title, self.texts, self.tables, self.pictures = title, texts, tables, pictures

    def __repr__(self) -> str:
        """Say what is folded, where nothing can be."""
        return f"{self.title}\n{self.texts}".strip()

    def _repr_html_(self) -> str:
        # Jupyter sets a <pre> of HTML in the letters of the text around it; rulers and columns take equally wide ones.
        parts = [f'<pre style="font-family: monospace">{escape(self.texts)}</pre>'] if self.texts else []
        parts += [f'<div style="overflow-x: auto">{table}</div>' for table in self.tables]
        parts += [
            f'<img style="max-width: 100%" alt="{escape(self.title)}" src="data:image/png;base64,{picture}">'
            for picture in self.pictures
        ]
        return f"<details><summary>{escape(self.title)}</summary>{''.join(parts)}</details>"


CLEARED = re.compile(r"\x1b\[2K\r?")  # what clearing the output leaves in what is printed


@contextmanager
def folded(title: str) -> Iterator[None]:
    """Fold away what a ``with`` block prints and draws.

    Args:
        title: what the reader sees and clicks; also the alternative text of pictures.

    Raises:
        Exception: what the block raises; what it printed until then is shown as well.
    """
    from IPython.display import display
    from IPython.utils.capture import capture_output

    open_before = _open_figures()
    with capture_output() as captured:
        failure = None
        try:
            yield
        except Exception as problem:
            failure = problem
    shown: list[dict[str, Any]] = [output.data for output in captured.outputs]
    pictures = [_base64(data["image/png"]) for data in shown if "image/png" in data]
    pictures += [_drawn(number) for number in _open_figures() if number not in open_before]
    tables = [data["text/html"] for data in shown if "text/html" in data]
    texts = "\n".join(line.rstrip() for line in CLEARED.sub("", captured.stdout).strip().splitlines())
    display(Folded(title, texts, tables, list(dict.fromkeys(pictures))))  # type: ignore[no-untyped-call]
    if failure is not None:
        raise failure


def _base64(picture: str | bytes) -> str:
    """Give a picture as text, which some versions of IPython have made of it already."""
    return picture if isinstance(picture, str) else base64.b64encode(picture).decode("ascii")


def _open_figures() -> list[int]:
    """List the figures of matplotlib that a notebook would show at the end of the cell."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return pyplot.get_fignums() if pyplot else []


def _drawn(number: int) -> str:
    """Draw an open figure, and close it."""
    import matplotlib.pyplot as plt

    drawn = io.BytesIO()
    plt.figure(number).savefig(drawn, format="png", bbox_inches="tight")
    plt.close(number)
    return _base64(drawn.getvalue())
