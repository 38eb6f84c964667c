"""How the process keeps its memory: it reuses freed blocks in the next training step."""

import ctypes
import sys
from typing import Any

# Parameters of mallopt, from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP = 2**30  # bytes


def keep_freed_memory() -> None:
    """Stop glibc from handing large blocks back to the kernel, which would have to clear each one again.

    Every training step allocates the same blocks of a few megabytes; this saves up to an eighth of its time. Where
    there is no glibc, nothing happens.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEEP)
        mallopt(_M_TRIM_THRESHOLD, _KEEP)


def hand_back_freed_memory() -> None:
    """Let glibc hand back what is free now, after much was: blocks that one thread freed, others do not reuse."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
