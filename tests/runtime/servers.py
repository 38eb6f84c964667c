"""Servers in processes of their own, and clients for them."""

import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from prompt_tuning_helpers.runtime.endpoint import Endpoint


def fake_command(state: Path) -> list[str]:
    """The command line of a server with a fake engine."""
    return [sys.executable, "-m", "tests.runtime.fake_server", str(state)]


def changed_command(state: Path, change: str, port: int = 0) -> list[str]:
    """The command line of a server with a fake engine that runs some Python first."""
    program = f"import runpy; {change}; runpy.run_module('tests.runtime.fake_server', run_name='__main__')"
    return [sys.executable, "-c", program, str(state), str(port)]


@contextmanager
def connect(endpoint: Endpoint) -> Iterator[httpx.Client]:
    """A client with a token."""
    context = ssl.create_default_context(cafile=endpoint.ca_bundle)
    with httpx.Client(base_url=endpoint.url, verify=context, trust_env=False, timeout=30) as client:
        form = {"apikey": endpoint.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
        token = client.post("/identity/token", data=form).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
