"""The pytest fixture ``watsonx``, a stand-in for watsonx.ai. Every run of pytest loads this: it must stay light."""

import warnings
from collections.abc import Iterator

import pytest

from .connection import ConnectionSetupError
from .double import Watsonx, local_watsonx


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the plugin's setting known."""
    parser.addini("watsonx_models", "ids under which the fixture watsonx serves its model, too", type="args")


@pytest.fixture(scope="session")
def watsonx_session(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watsonx]:
    """Give a stand-in for watsonx.ai with a project that lasts for the whole session, for fixtures of a wider scope.

    Answers and faults that are set on it hold for the projects of all tests.
    """
    try:
        with local_watsonx(pytestconfig.getini("watsonx_models"), tmp_path_factory.mktemp("watsonx")) as watsonx:
            yield watsonx
    except ConnectionSetupError as problem:
        pytest.fail(str(problem), pytrace=False)


@pytest.fixture
def watsonx(watsonx_session: Watsonx) -> Iterator[Watsonx]:
    """Give a stand-in for watsonx.ai with a new project, which is removed after the test with all it holds.

    What the test sets, answers and faults and the clock, is taken back with it.

    Meanwhile the environment leads there, too: what reads ``WATSONX_URL``, ``WATSONX_APIKEY``,
    ``WATSONX_PROJECT_ID`` and ``LOCAL_WATSONX_STATE``, ``connect()`` for instance, cannot reach the real service by
    mistake. It also has what clients of other makers look for.
    """
    # The SDK itself passes the file of certificates on in that way. pytest takes the filter back after the test.
    warnings.filterwarnings("ignore", ".verify=<str>. is deprecated", DeprecationWarning)
    with watsonx_session.new_project() as project, pytest.MonkeyPatch.context() as environment:
        for name, value in project.environment.items():
            environment.setenv(name, value)
        yield project
