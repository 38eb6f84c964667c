"""Small tables of text, as a notebook shows them."""

from collections.abc import Sequence
from html import escape


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a small table."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a small table in lines: the first column to the left, the others to the right and as wide as each other."""
    first = max(len(cell) for cell, *_ in rows)
    other = max(len(cell) for _, *cells in (head, *rows) for cell in cells)
    lines = (f"{cell:{first}}" + "".join(f"  {each:>{other}}" for each in cells) for cell, *cells in (head, *rows))
    return "\n".join(lines)
