"""Rows, texts and records that tests of several modules are given."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

ROWS = [{"input": "Comment: clean dog", "output": "1"}, {"input": "Comment: wet dog", "output": "0"}]

# text as it comes: any script, separators, quotes, line ends; but with something to see in it
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip())

# Records of metrics in which something is missing, or not as it should be.
ODD_RECORDS: list[Any] = [
    None,
    3,
    {},
    {"ml_metrics": None},
    {"ml_metrics": []},
    {"data": "x"},
    {"ml_metrics": {"epoch": None, "loss": None, "progress": None}},
    {"ml_metrics": {"epoch": "second", "loss": "low"}},
    {"data": {"epoch": [1], "value": {}}},
    {"data": {"epoch": float("nan"), "value": float("inf")}},
    {"data": {"epoch": -1, "value": "nan"}},
    {"ml_metrics": {"epoch": 10**400, "loss": 10**400}},
]


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file byte for byte."""
    path = folder / name
    path.write_bytes(text.encode())
    return path
