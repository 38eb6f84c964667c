"""The pytest fixture ``watsonx``, a stand-in for watsonx.ai. Every run of pytest loads this: it must stay light."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ._installation import install_command
from ._launcher import lacking_packages, start
from .connection import Connection, to_runtime

if TYPE_CHECKING:
    import httpx

MODEL = "tiny"
NOT_FOUND = 404
REQUEST_SECONDS = 60.0  # removing a project ends its training first
STOP_SECONDS = 30.0


@dataclass(frozen=True, repr=False)
class Watsonx(Connection):
    """A project on a local runtime of the test session's own; like every connection, it has what the SDK needs.

    Its base model is a tiny one of random weights, which answers at once and has learnt nothing: ``models[0]``.

    Args:
        state: folder of the runtime.
    """

    state: Path = Path()

    def reset(self) -> None:
        """Remove all that the project holds; its id stays as it is."""
        with _requests_to(self) as requests:
            requests.post(f"/v2/projects/{self.project_id}/reset").raise_for_status()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the plugin's setting known."""
    parser.addini("watsonx_models", "ids under which the fixture watsonx serves its model, too", type="args")


@pytest.fixture(scope="session")
def watsonx_session(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watsonx]:
    """Give a stand-in for watsonx.ai with a project that lasts for the whole session, for fixtures of a wider scope."""
    if lacking := lacking_packages():
        pytest.fail(
            f"The fixture watsonx starts a local watsonx.ai runtime, for which these packages are missing: "
            f"{', '.join(lacking)}. Install them with\n    {install_command()}",
            pytrace=False,
        )
    from .runtime.endpoint import stop_recorded

    folder = tmp_path_factory.mktemp("watsonx")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("NO_PROXY", "no_proxy", "WX_CLIENT_VERIFY_REQUESTS"):  # set by the connection and by the SDK
            environment.setenv(name, os.environ.get(name, ""))
        endpoint = start(MODEL, folder, pytestconfig.getini("watsonx_models"))
        try:
            # A part of the SDK does not know its client's ``verify`` and trusts what this names.
            environment.setenv("SSL_CERT_FILE", endpoint.ca_bundle)
            connection = to_runtime(
                endpoint.url, endpoint.api_key, endpoint.project_id, endpoint.ca_bundle, endpoint.models
            )
            yield Watsonx(**vars(connection), state=folder)
        finally:
            stop_recorded(folder, STOP_SECONDS)


@pytest.fixture
def watsonx(watsonx_session: Watsonx) -> Iterator[Watsonx]:
    """Give a stand-in for watsonx.ai with a new project, which is removed after the test with all it holds.

    Meanwhile the environment leads there, too: what reads ``WATSONX_URL``, ``WATSONX_APIKEY``,
    ``WATSONX_PROJECT_ID`` and ``LOCAL_WATSONX_STATE``, ``connect()`` for instance, cannot reach the real service by
    mistake.
    """
    # The SDK itself passes the file of certificates on in that way. pytest takes the filter back after the test.
    warnings.filterwarnings("ignore", ".verify=<str>. is deprecated", DeprecationWarning)
    with _requests_to(watsonx_session) as requests:
        made = requests.post("/transactional/v2/projects", json={"name": "test"}).raise_for_status()
    path = made.json()["location"]
    watsonx = replace(watsonx_session, project_id=path.rsplit("/", 1)[-1])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WATSONX_URL", watsonx.url)
        environment.setenv("WATSONX_APIKEY", str(watsonx.credentials.api_key))
        environment.setenv("WATSONX_PROJECT_ID", watsonx.project_id)
        environment.setenv("LOCAL_WATSONX_STATE", str(watsonx.state))
        yield watsonx
    with _requests_to(watsonx) as requests:
        answer = requests.delete(f"/transactional{path}")
        if answer.status_code != NOT_FOUND:  # the test may have deleted its project itself
            answer.raise_for_status()


@contextmanager
def _requests_to(watsonx: Watsonx) -> Iterator["httpx.Client"]:
    """Sign in for requests that the SDK has no call for."""
    import ssl

    import httpx

    context = ssl.create_default_context(cafile=str(watsonx.credentials.verify))
    with httpx.Client(base_url=watsonx.url, verify=context, trust_env=False, timeout=REQUEST_SECONDS) as client:
        form = {"apikey": watsonx.credentials.api_key, "grant_type": "urn:ibm:params:oauth:grant-type:apikey"}
        token = client.post("/identity/token", data=form).raise_for_status()
        client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        yield client
