"""Starting the local runtime in the background, and stopping it with the last process that uses it."""

import atexit
import importlib.util
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ._fetch import expectation, fetch
from ._installation import install_command
from ._sdk import ConnectionSetupError, in_notebook

if TYPE_CHECKING:
    from .runtime.endpoint import Endpoint
    from .runtime.process.users import UsersLock

LOCAL_REQUIREMENTS = (
    "accelerate",
    "filelock",
    "gguf",
    "httptools",
    "jwt",
    "llguidance",
    "psutil",
    "regex",
    "safetensors",
    "starlette",
    "tokenizers",
    "torch",
    "transformers",
    "trustme",
    "typer",
    "uvicorn",
)
START_SECONDS = 180.0

# What this process uses, by its folder: the locks last as long as the process.
_used: dict[Path, "UsersLock"] = {}


def start(model: str, folder: Path, names: Sequence[str] = (), test_controls: bool = False) -> "Endpoint":
    """Start the runtime in the background and wait until it answers.

    Args:
        model: source of its base model.
        folder: its state.
        names: ids under which it serves that model, too; it then tunes as it is asked to all the same.
        test_controls: whether tests may set its answers, faults and clock.

    Raises:
        ConnectionSetupError: if it cannot start, or if its base model is unavailable.
    """
    require_packages()
    from ._files import write_file
    from .runtime.store.state import State, StateError
    from .runtime.store.state_marker import claim

    expected = expectation(model)
    if expected:
        print(expected)
    fetch(model)
    state = State(folder)
    log = state.notebook_log
    command = [sys.executable, "-m", "prompt_tuning_helpers.runtime", "serve", "--port", "0"]
    command += ["--state", str(folder), "--model", model, "--while-used"]
    # For whoever tests, an epoch is an epoch: tests ask for few because they are to be fast, and count them.
    command += [*(f"--alias={name}={model}" for name in names), *(["--keep-settings"] if names else [])]
    command += ["--test-controls"] if test_controls else []
    try:
        claim(state)
        use(folder)
        write_file(log, (shlex.join(command) + "\n").encode())
    except StateError as problem:
        raise ConnectionSetupError(str(problem)) from problem
    except OSError as problem:
        raise ConnectionSetupError(
            f"The local runtime cannot keep its state in {folder}: {problem}. Make that folder writable and room on "
            "its disk, or name another folder in LOCAL_WATSONX_STATE."
        ) from problem
    process = _run_in_background(command, log)
    _stop_at_exit(process, folder)
    endpoint = wait_for(process, folder, log)
    if in_notebook():
        from IPython.display import clear_output

        # The progress of the download has served its purpose.
        clear_output(wait=True)  # type: ignore[no-untyped-call]
        if expected:
            print(expected)
    return endpoint


def _run_in_background(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a program that writes to a log and goes its own way."""
    # Jupyter asks for coloured output, which would make the log hard to read.
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "CLICOLOR_FORCE")}
    with log.open("ab") as output:
        # A session of its own: an interrupt of the kernel must not reach the runtime.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment, "NO_COLOR": "1"},
            start_new_session=True,
        )


def use(folder: Path) -> None:
    """Count this process among the users of a state folder's runtime, until it ends.

    One that was started in the background lasts as long as it has users. If it is just ending, this waits until it has.

    Args:
        folder: the runtime's state.

    Raises:
        OSError: if the folder is not there, is no state folder, or cannot be written.
    """
    from .runtime.process.users import UsersLock
    from .runtime.store.state import State

    State(folder).marker.lstat()  # in any other folder nothing is touched
    lock = _used.get(folder)
    while lock is None or not lock.is_current():
        if lock is not None:
            lock.close()
        lock = UsersLock(State(folder).users)
        lock.share()
    _used[folder] = lock


def lacking_packages() -> list[str]:
    """List what the local runtime needs and is not installed."""
    return [name for name in LOCAL_REQUIREMENTS if importlib.util.find_spec(name) is None]


def require_packages() -> None:
    """Make sure that what the local runtime needs is installed.

    Raises:
        ConnectionSetupError: if something is not; the message says how to get it.
    """
    if lacking := lacking_packages():
        raise ConnectionSetupError(
            "No WATSONX_APIKEY is set, so the lesson would run on this computer. For that it lacks: "
            f"{', '.join(lacking)}. Install what is missing with\n"
            f"    {install_command()}\n"
            "and restart the kernel; or set WATSONX_APIKEY and WATSONX_PROJECT_ID to use your account on watsonx.ai."
        )


def wait_for(
    process: "subprocess.Popen[bytes]",
    folder: Path,
    log: Path,
    seconds: float = START_SECONDS,
    pause: Callable[[float], None] = time.sleep,
) -> "Endpoint":
    """Wait until a runtime that was just started has told its address."""
    from .runtime.endpoint import live_record, running_endpoint

    until = time.monotonic() + seconds
    while True:
        ended = process.poll() is not None
        # Asked after the process: if it ended because another one was quicker, that one is used as soon as it serves.
        record = live_record(folder)
        endpoint = running_endpoint(folder)
        if endpoint is not None:
            return endpoint
        if ended and (record is None or record.phase != "starting"):
            raise ConnectionSetupError(f"The local runtime ended while starting. The end of {log}:\n{_tail(log)}")
        if time.monotonic() > until:
            process.terminate()
            raise ConnectionSetupError(
                f"The local runtime did not start within {seconds:.0f} seconds. The end of {log}:\n{_tail(log)}"
            )
        pause(0.1)


def _tail(log: Path, lines: int = 15) -> str:
    """Give the last lines of a log."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError as problem:
        return f"(it cannot be read: {problem})"


def _stop_at_exit(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Stop the runtime when this process ends in an orderly way and was the only user.

    Otherwise the runtime notices by itself that its last user is gone.
    """
    owner = os.getpid()

    def stop() -> None:
        if os.getpid() != owner or process.poll() is not None or not _used[folder].try_alone():
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()

    atexit.register(stop)
