"""The stand-in itself: a runtime for tests, and the projects on it."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from .._installation import install_command
from .._launcher import lacking_packages, start
from ..connection import Connection, ConnectionSetupError, to_runtime
from .controls import Answers, Clock, Faults, Request, read_requests
from .routes import ControlRoutes

MODEL = "tiny"
NOT_FOUND = 404
STOP_SECONDS = 30.0


@dataclass(frozen=True, repr=False)
class Watsonx(Connection):
    """A project on a local runtime for tests; like every connection, it has what the SDK needs.

    Its base model is a tiny one of random weights, which answers at once and has learnt nothing: ``models[0]``.

    Args:
        state: folder of the runtime.
        other_variables: names and values that clients other than the SDK look for.
        is_shared: whether what is set here holds for all projects of the runtime.
        added: projects that were added to this one.
    """

    state: Path = Path()
    other_variables: dict[str, str] = field(default_factory=dict)
    is_shared: bool = False
    added: list["Watsonx"] = field(default_factory=list)

    @property
    def answers(self) -> Answers:
        """What is answered in the model's place: ``watsonx.answers["a prompt"] = "an answer"``."""
        return Answers(self._routes)

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return Faults(self._routes)

    @property
    def clock(self) -> Clock:
        """The runtime's clock."""
        return Clock(self._routes)

    @property
    def requests(self) -> list[Request]:
        """The requests of this project and those that name none, such as signing in, in the order they came.

        Raises:
            RuntimeError: when there were so many that the first of them were forgotten.
        """
        return read_requests(self._routes)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which ``connect()`` and the clients of other makers find this project."""
        return {
            "WATSONX_URL": self.url,
            "WATSONX_APIKEY": self._api_key,
            "WATSONX_PROJECT_ID": self.project_id,
            "LOCAL_WATSONX_STATE": str(self.state),
            "SSL_CERT_FILE": self._ca_bundle,
            **self.other_variables,
        }

    def add_project(self, name: str = "another") -> "Watsonx":
        """Make another project on the same runtime, with answers, faults and requests of its own.

        It is removed together with this one.
        """
        made = self._make(name)
        self.added.append(made)
        return made

    @contextmanager
    def new_project(self, name: str = "test") -> Iterator["Watsonx"]:
        """Make a project that is removed at the end, with all that it holds and all that was set for it.

        What is common to all projects, the clock and how long tokens last, is set back then, too.
        """
        made = self._make(name)
        made._routes.delete()  # the record of earlier requests that named no project
        try:
            yield made
        finally:
            made.clock.reset()
            made.faults.restore_tokens()
            for project in (*made.added, made):
                project._remove()

    def reset(self) -> None:
        """Remove all that the project holds and all that was set for it; its id stays as it is."""
        self._routes.delete()
        with self._routes.client() as requests:
            requests.post(f"/v2/projects/{self.project_id}/reset").raise_for_status()

    def _make(self, name: str) -> "Watsonx":
        with self._routes.client() as requests:
            made = requests.post("/transactional/v2/projects", json={"name": name}).raise_for_status()
        project_id = made.json()["location"].rsplit("/", 1)[-1]
        return replace(self, project_id=project_id, is_shared=False, added=[])

    def _remove(self) -> None:
        self._routes.delete()
        with self._routes.client() as requests:
            answer = requests.delete(f"/transactional/v2/projects/{self.project_id}")
            if answer.status_code != NOT_FOUND:  # the test may have deleted its project itself
                answer.raise_for_status()

    @property
    def _routes(self) -> ControlRoutes:
        return ControlRoutes(self.url, self._api_key, self._ca_bundle, None if self.is_shared else self.project_id)

    @property
    def _api_key(self) -> str:
        return str(self.credentials.api_key)

    @property
    def _ca_bundle(self) -> str:
        return str(self.credentials.verify)


@contextmanager
def local_watsonx(models: Sequence[str] = (), folder: Path | None = None) -> Iterator[Watsonx]:
    """Run a stand-in for watsonx.ai, with a project that lasts as long; meanwhile the environment trusts it.

    What is set on it holds for all of its projects; ``new_project`` makes one for a test alone.

    Args:
        models: ids under which its model is served, too.
        folder: of its state; a temporary one by default.

    Raises:
        ConnectionSetupError: if it cannot start, or if packages are missing; the message says which.
    """
    if lacking := lacking_packages():
        raise ConnectionSetupError(
            f"The stand-in for watsonx.ai is a local watsonx.ai runtime, for which these packages are missing: "
            f"{', '.join(lacking)}. Install them with\n    {install_command()}"
        )
    from ..runtime.client_variables import variables_of_clients
    from ..runtime.endpoint import stop_recorded

    with tempfile.TemporaryDirectory(prefix="watsonx-") as temporary, _restored():
        state = folder or Path(temporary) / "state"
        endpoint = start(MODEL, state, models, test_controls=True)
        try:
            # A part of the SDK does not know its client's ``verify`` and trusts what this names.
            os.environ["SSL_CERT_FILE"] = endpoint.ca_bundle
            connection = to_runtime(
                endpoint.url, endpoint.api_key, endpoint.project_id, endpoint.ca_bundle, endpoint.models
            )
            other = variables_of_clients(endpoint)
            yield Watsonx(**vars(connection), state=state, other_variables=other, is_shared=True)
        finally:
            stop_recorded(state, STOP_SECONDS)


@contextmanager
def _restored() -> Iterator[None]:
    """Put back what is set of the environment: here, by the connection and by the SDK."""
    names = ("NO_PROXY", "no_proxy", "SSL_CERT_FILE", "WX_CLIENT_VERIFY_REQUESTS")
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
