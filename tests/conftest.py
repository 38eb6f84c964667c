"""Fixtures that tests of all parts share: a live local runtime on the tiny model."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.support.servers import serve_command, start_runtime
from tests.support.wheel import build_sdist, build_wheel, install_alone

# Fast tests first; what is not named here is faster still.
SLOW_LAST = (
    "engine",
    "runtime",
    "test_own_data.py",
    "test_notebooks.py",
    "comparison",
    "test_wheel.py",
    "test_places.py",
    "conformance",
    "test_double_page.py",
    "test_pytest_plugin.py",
    "test_tutorial.py",
)
LONGEST = "test_tutorial.py"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run fast tests before slow ones; where several processes test, one of them begins with the longest."""
    in_parallel = "PYTEST_XDIST_WORKER" in os.environ

    def slowness(item: pytest.Item) -> int:
        part = item.path.relative_to(Path(__file__).parent).parts[0]
        if in_parallel and part == LONGEST:
            return -1
        return SLOW_LAST.index(part) + 1 if part in SLOW_LAST else 0

    items.sort(key=slowness)


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


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel, built from this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's source distribution, built from this checkout."""
    return build_sdist(tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def hosted_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a hosted notebook: it has the wheel and what that requires, so not PyTorch."""
    return install_alone(wheel, tmp_path_factory.mktemp("hosted"))
