"""The data of the lesson: load, check, describe, fetch and upload rows of ``input`` and ``output``."""

from ..engine.training_file import FIELDS
from .check import check, estimate_tokens
from .report import Finding, Part, Report
from .rows import REVIEWS_TEST, REVIEWS_TRAIN, DatasetError, describe, load_rows, reviews_path
from .similarity import prompt_around, shingles, similar_pairs
from .transfer import fetch, upload

__all__ = [
    "FIELDS",
    "REVIEWS_TEST",
    "REVIEWS_TRAIN",
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
    "reviews_path",
    "shingles",
    "similar_pairs",
    "upload",
]
