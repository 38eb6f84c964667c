"""A table to read: text stands at the left."""

from typing import Any

import pandas as pd


class ReadingTable(pd.DataFrame):  # type: ignore[misc]  # pandas comes without types
    """A table whose cells notebooks show in full and from the left, where texts begin."""

    @property
    def _constructor(self) -> Any:
        """Make what is cut out of such a table, its first rows for instance, one, too."""
        return ReadingTable

    def _repr_html_(self) -> str:
        """Give the table as notebooks show it."""
        with pd.option_context("display.max_colwidth", None):
            table: str = self.to_html(justify="left", na_rep="-", float_format="{:.3f}".format)
        return table.replace("<td>", '<td style="text-align: left">')
