"""A table to read: text stands at the left, in full and in its own lines."""

import re
from typing import Any

import pandas as pd

# Jupyter's style sheet sets all cells and headings at the right; only a style of the cell's own stands above that.
LEFT = "text-align: left; vertical-align: top; "
STYLES = {"th": LEFT + "white-space: nowrap; ", "td": LEFT + "white-space: pre-line; "}
LONG, ROOM = 30, "15em"  # a column with a text of more characters is at least so wide: on a phone, the table scrolls


class ReadingTable(pd.DataFrame):  # type: ignore[misc]  # pandas comes without types
    """A table whose cells notebooks show in full and from the left, where texts begin."""

    @property
    def _constructor(self) -> Any:
        """Make what is cut out of such a table, its first rows for instance, one, too."""
        return ReadingTable

    def _repr_html_(self) -> str:
        """Give the table as notebooks show it."""
        texts = self.select_dtypes(exclude="number").columns
        table: str = self.to_html(
            na_rep="-",
            float_format="{:.3f}".format,
            formatters=dict.fromkeys(texts, str),  # pandas' own writes the end of a line as \n
            col_space={name: ROOM for name in texts if self[name].astype(str).str.len().max() > LONG},
        )
        return re.sub(r'<(t[dh])(?: style="([^"]*)")?>', _at_the_left, table)


def _at_the_left(tag: re.Match[str]) -> str:
    """Style a heading or a cell; what style it has comes last."""
    kind, style = tag.groups(default="")
    return f'<{kind} style="{STYLES[kind]}{style}">'
