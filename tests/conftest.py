"""Fixtures that tests of all parts share: a live local runtime on the tiny model."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_tuning_helpers.runtime.endpoint import Endpoint, running_endpoint

# Fast tests first; what is not named here is faster still.
SLOW_LAST = (
    "comparison",
    "engine",
    "runtime",
    "test_places.py",
    "conformance",
    "test_pytest_plugin.py",
    "test_notebooks.py",
    "test_tutorial.py",
)

# How the names of variables begin that say where the lesson runs, and how.
OF_PLACES = (
    "WATSONX_",
    "LOCAL_WATSONX_",
    "RUNTIME_ENV_",
    "WX_CLIENT",
    "PROJECT_ID",
    "SPACE_ID",
    "USER_ACCESS_TOKEN",
    "SSL_CERT_FILE",
    "LESSON_",
    "JPY_",
    "JUPYTER",
)

START_SECONDS = 60.0
REPOSITORY = Path(__file__).parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run fast tests before slow ones."""

    def slowness(item: pytest.Item) -> int:
        part = item.path.relative_to(Path(__file__).parent).parts[0]
        return SLOW_LAST.index(part) + 1 if part in SLOW_LAST else 0

    items.sort(key=slowness)


def offline_environment(attempts: Path) -> dict[str, str]:
    """An environment for other processes that tells of no service, no secret and no settings, and has no network.

    Args:
        attempts: the file in which attempts to use the network are noted; it is there only if there were any.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OF_PLACES)}
    paths = [REPOSITORY / "tests" / "offline", REPOSITORY, os.environ.get("PYTHONPATH", "")]
    # Programs that are not Python ask a proxy that is not there.
    proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    return environment | proxies | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OFFLINE_ATTEMPTS": str(attempts)}


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


@pytest.fixture(scope="session")
def live_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A runtime on the tiny model; the environment's trust store knows it for the rest of the session."""
    state = tmp_path_factory.mktemp("runtime") / "state"
    process, endpoint = start_runtime(
        state, serve_command(state, "--model", "tiny", "--alias", "ibm/granite-13b-instruct-v2=tiny")
    )
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = endpoint.ca_bundle
    yield endpoint
    if before is None:
        del os.environ["SSL_CERT_FILE"]
    else:
        os.environ["SSL_CERT_FILE"] = before
    process.terminate()
    assert process.wait(30) == 0
