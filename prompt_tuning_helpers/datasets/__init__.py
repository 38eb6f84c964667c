"""Training and test data: load, check, describe, split, fetch and upload rows of ``input`` and ``output``."""

from ..engine.training_file import FIELDS
from .check import check, estimate_tokens
from .report import Finding, Part, Report
from .rows import DatasetError, describe, load_rows
from .similarity import prompt_around, shingles, similar_pairs
from .splitting import split_rows
from .transfer import fetch, upload

__all__ = [
    "FIELDS",
    "DatasetError",
    "Finding",
    "Part",
    "Report",
    "check",
    "describe",
    "estimate_tokens",
    "fetch",
    "load_rows",
    "prompt_around",
    "shingles",
    "similar_pairs",
    "split_rows",
    "upload",
]
