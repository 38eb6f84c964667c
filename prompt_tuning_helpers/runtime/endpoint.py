"""Where a runtime is found: the file that a running one leaves in its state folder. Imports nothing heavy."""

import http.client
import json
import os
import shlex
import ssl
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from .._files import write_file
from .._ownership import complaint
from .process.processes import KnownProcess
from .program import PROGRAM

HEALTH_TIMEOUT = 10.0
RECORD = "endpoint.json"


@dataclass(frozen=True)
class Endpoint:
    """A running runtime, and all that a client needs to use it.

    Args:
        url: where it listens; also the SDK's ``platform_url``, and with ``/identity/token`` its ``auth_url``.
        api_key: the key to be exchanged for a token.
        project_id: the project that is always there.
        ca_bundle: file with the usual roots and the runtime's CA, for ``verify`` and ``SSL_CERT_FILE``.
        pid: the server's process.
        models: ids of the base models that it serves.
    """

    url: str
    api_key: str = field(repr=False)
    project_id: str
    ca_bundle: str
    pid: int
    models: tuple[str, ...]


def default_state() -> Path:
    """Give the state folder of a runtime that was not told another."""
    return platformdirs.user_data_path("prompt-tuning-helpers") / "runtime"


def command_line(name: str, state: Path) -> str:
    """Write the command line of one of the runtime's commands for a state folder."""
    option = "" if state == default_state() else f" --state {shlex.quote(str(state))}"
    return f"{PROGRAM} {name}{option}"


@dataclass(frozen=True)
class Record:
    """What the process that uses a state folder says of itself there.

    Args:
        process: the process.
        phase: ``"starting"``, ``"running"`` or ``"ending"``.
        endpoint: where it is found; ``None`` unless it is running.
    """

    process: KnownProcess
    phase: str
    endpoint: Endpoint | None = None


def write_record(state: Path, phase: str, endpoint: Endpoint | None = None) -> None:
    """Say in a state folder what this process does there.

    Raises:
        OSError: when the folder cannot be written.
    """
    process = KnownProcess.find(os.getpid())
    record = {"phase": phase, **process.to_record(), **(asdict(endpoint) if endpoint else {})}
    write_file(state / RECORD, json.dumps(record).encode())


def remove_record(state: Path) -> None:
    """Remove the record of this process; another's stays, and this one's, too, where nothing can be changed."""
    record = read_record(state)
    if record is not None and record.process == KnownProcess.find(os.getpid()):
        with suppress(OSError):
            (state / RECORD).unlink(missing_ok=True)


def read_record(state: Path) -> Record | None:
    """Read a state folder's record, whether its process is still there or not.

    Raises:
        PermissionError: if other users control it; the message says what to do.
    """
    text = _read_own(state / RECORD)
    if text is None:
        return None
    try:
        record = json.loads(text)
        process, phase = KnownProcess.from_record(record), record.pop("phase", "running")
        if phase != "running":
            return Record(process, phase)
        del record["started"]
        return Record(process, phase, Endpoint(**{**record, "models": tuple(record["models"])}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def live_record(state: Path) -> Record | None:
    """Read a state folder's record if its process is still there, without asking it."""
    record = read_record(state)
    return record if record is not None and record.process.is_alive() else None


def recorded_endpoint(state: Path) -> Endpoint | None:
    """Give the endpoint in a state folder's file if its process lives, without asking the server."""
    record = live_record(state)
    return record.endpoint if record else None


def _read_own(file: Path) -> bytes | None:
    """Read a file that nobody else can have written: clients send their key to the address that it names.

    Raises:
        PermissionError: if other users control it or its folder; the message says what to do.
    """
    try:
        with file.open("rb") as opened:
            distrust = complaint(file.parent, file.parent.stat()) or complaint(file, os.fstat(opened.fileno()))
            text = opened.read()
    except OSError:
        return None
    if distrust:
        raise PermissionError(f"The runtime that {file} names is not used. {distrust}")
    return text


def stop_recorded(state: Path, patience: float) -> bool | None:
    """End the runtime of a state folder, also one that is still starting.

    Returns:
        Whether it has ended within so many seconds; ``None`` when none was there.

    Raises:
        PermissionError: as in ``running_endpoint``.
    """
    record = live_record(state)
    return None if record is None else record.process.end(patience)


def running_endpoint(state: Path | None = None) -> Endpoint | None:
    """Find the runtime of a state folder, if it runs and answers.

    Args:
        state: the state folder; the default one when left out.

    Returns:
        The endpoint, or ``None`` when no runtime runs there.

    Raises:
        PermissionError: if other users control the folder or the file in it that names the runtime.
    """
    endpoint = recorded_endpoint(state or default_state())
    return endpoint if endpoint is not None and _is_healthy(endpoint) else None


def _is_healthy(endpoint: Endpoint) -> bool:
    address = urlsplit(endpoint.url)
    # http.client, because it does not send loopback requests through a proxy from the environment.
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_bundle)
        connection = http.client.HTTPSConnection(
            str(address.hostname), address.port, timeout=HEALTH_TIMEOUT, context=context
        )
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False
