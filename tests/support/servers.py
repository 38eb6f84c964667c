"""Servers in processes of their own, and clients for them."""

import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from prompt_tuning_helpers.runtime.endpoint import Endpoint, running_endpoint
from tests.support.calls import add_version
from tests.support.environment import REPOSITORY

START_SECONDS = 60.0


def serve_command(state: Path, *options: str) -> list[str]:
    """The command line of a runtime."""
    return [sys.executable, "-m", "prompt_tuning_helpers.runtime", "serve", "--state", str(state), *options]


def start_runtime(state: Path, command: list[str]) -> tuple[subprocess.Popen[bytes], Endpoint]:
    """Start a runtime in a process of its own and wait until it answers."""
    log = state.parent / f"{state.name}.out"
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        endpoint = running_endpoint(state)
        if endpoint is not None and endpoint.pid == process.pid:
            return process, endpoint
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"The runtime did not start:\n{log.read_text()}")


def run_cli(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the runtime's command line and wait for its end."""
    command = [sys.executable, "-m", "prompt_tuning_helpers.runtime", *words, "--state", str(state)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)


def fake_command(state: Path) -> list[str]:
    """The command line of a server with a fake engine."""
    return [sys.executable, "-m", "tests.support.fake_server", str(state)]


def changed_command(state: Path, change: str, port: int = 0) -> list[str]:
    """The command line of a server with a fake engine that runs some Python first."""
    program = f"import runpy; {change}; runpy.run_module('tests.support.fake_server', run_name='__main__')"
    return [sys.executable, "-c", program, str(state), str(port)]


def serve_once(state: Path) -> str:
    """Serve for a moment; gives the log."""
    process, _ = start_runtime(state, fake_command(state))
    process.terminate()
    assert process.wait(30) == 0
    return (state / "runtime.log").read_text()


@contextmanager
def connect(endpoint: Endpoint) -> Iterator[httpx.Client]:
    """A client with a token."""
    context = ssl.create_default_context(cafile=endpoint.ca_bundle)
    with httpx.Client(base_url=endpoint.url, verify=context, trust_env=False, timeout=30) as client:
        form = {"apikey": endpoint.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
        token = client.post("/identity/token", data=form).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        client.event_hooks = {"request": [add_version]}
        yield client


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
