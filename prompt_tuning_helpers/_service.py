"""Small things that several helpers need to know about the SDK's errors and about the notebook they run in."""

import contextlib
import logging
import re
from collections.abc import Iterator


class ConnectionSetupError(RuntimeError):
    """The lesson cannot run where it should; the message says why and what to do."""


@contextlib.contextmanager
def quiet_sdk() -> Iterator[None]:
    """Keep the SDK from logging an error that the caller handles: it logs each one when it is made."""
    logger = logging.getLogger("ibm_watsonx_ai.wml_client_error")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def status_code(error: BaseException) -> int | None:
    """Find the HTTP status of an SDK error.

    Args:
        error: what the SDK raised. Some of its errors carry the response, others only its text.

    Returns:
        The status, or ``None`` if the error does not tell.
    """
    code = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(code, int):
        return code
    found = re.search(r"(?:status_?\s?code\W{0,4}|Error: )([1-5]\d\d)\b", str(error), re.IGNORECASE)
    return int(found.group(1)) if found else None


def is_passing(error: BaseException) -> bool:
    """Tell whether an error is likely to go away by itself: a lost connection, a busy or restarting service.

    Args:
        error: what a call of the SDK raised.
    """
    import httpx

    code = status_code(error)
    if code is not None:
        return code == 429 or code >= 500
    seen: BaseException | None = error
    while seen is not None:  # the SDK wraps some errors in its own
        if isinstance(seen, httpx.TransportError | OSError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def in_notebook() -> bool:
    """Tell whether the code runs in a Jupyter kernel, where outputs are stored with the notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class ProgressLine:
    """One line that is rewritten while something goes on and that leaves nothing behind.

    In a notebook it is a display that is updated and ends empty, so that no stale progress is stored; in a terminal
    the line is rewritten in place; elsewhere, in a log for instance, nothing is shown.
    """

    def __init__(self) -> None:
        import sys

        self._handle = None
        self._stream = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
        self._width = 0
        if in_notebook():
            from IPython.display import display

            self._handle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def show(self, text: str) -> None:
        """Replace the line.

        Args:
            text: the new line.
        """
        if self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)
        elif self._stream is not None:
            print("\r" + text.ljust(self._width), end="", file=self._stream, flush=True)
            self._width = len(text)

    def clear(self) -> None:
        """Remove the line."""
        self.show("")
        if self._stream is not None and self._handle is None:
            print("\r", end="", file=self._stream, flush=True)
