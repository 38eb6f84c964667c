"""Small things that several helpers need to know about the SDK's errors and about the notebook they run in."""

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any


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
    found = re.search(r"(?:code\W{0,4}|Error: )([1-5]\d\d)\b", str(error), re.IGNORECASE)
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
        if isinstance(seen, httpx.TransportError | ConnectionError | TimeoutError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def is_rate_limit(error: BaseException) -> bool:
    """Tell whether the service refused a request because there were too many of them.

    Args:
        error: what a call of the SDK raised. Some of its errors do not tell the status, only what the service says.
    """
    if status_code(error) == 429:
        return True
    return re.search(r"too many requests|rate limit|exceeded limit of calls", str(error), re.IGNORECASE) is not None


def advice(error: BaseException) -> str | None:
    """Say what a reader can do about an error of the service.

    Args:
        error: what a call of the SDK raised.

    Returns:
        The next step; ``None`` if only the error itself can tell.
    """
    if is_rate_limit(error):
        return (
            "What to do: the service has received too many requests (status 429). Wait a minute, then run this again."
        )
    if status_code(error) == 401:
        return (
            "What to do: the service does not accept this session any more. Run the notebook again from connect() on; "
            "in a hosted notebook, whose token has expired, stop and start its runtime first. A tuning run continues "
            "meanwhile: watch(resume(experiment, id)) picks it up."
        )
    if is_passing(error):
        return (
            "What to do: the service cannot be reached, or has trouble of its own. Check the network, then run this "
            "again; if that does not help, run the notebook again from connect() on. A tuning run is not lost: "
            "watch(resume(experiment, id)) picks it up."
        )
    return None


def add_advice(error: BaseException) -> None:
    """Put below an error what a reader can do about it, if anything, and only once."""
    next_step = advice(error)
    if next_step is not None and next_step not in getattr(error, "__notes__", ()):
        error.add_note(next_step)


@contextlib.contextmanager
def advised() -> Iterator[None]:
    """Put what a reader can do below the errors of a block."""
    try:
        yield
    except Exception as error:
        add_advice(error)
        raise


def advise_in_notebook() -> None:
    """Have the notebook, from now on, put what a reader can do below the errors of the SDK's own calls, too."""
    if not in_notebook():
        return
    import httpx
    from ibm_watsonx_ai.wml_client_error import WMLClientError
    from IPython import get_ipython

    def show(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: int | None = None) -> None:
        add_advice(error)
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)

    shell: Any = get_ipython()
    shell.set_custom_exc((WMLClientError, httpx.TransportError), show)


def in_notebook() -> bool:
    """Tell whether the code runs in a Jupyter kernel, where outputs are stored with the notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class ProgressLine:
    """One line that is rewritten while something runs and that leaves nothing behind.

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
