"""A test's own requests to a runtime, which the SDK has no call for."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

REQUEST_SECONDS = 60.0  # removing a project ends its training first


@dataclass(frozen=True)
class ControlRoutes:
    """The routes of one runtime that a test itself uses; what it asks there is not recorded.

    Args:
        url: of the runtime.
        api_key: of the runtime; a test's own requests take it without an exchange for a token, which it may let fail.
        ca_bundle: file of the certificates to trust.
        project_id: the project to control; ``None`` for all of them.
    """

    url: str
    api_key: str = field(repr=False)
    ca_bundle: str
    project_id: str | None = None

    def get(self, path: str = "") -> Any:
        """Read what is set, or what was asked."""
        return self._send("GET", path, params=self._scope)

    def delete(self, path: str = "") -> None:
        """Take back what is set."""
        self._send("DELETE", path, params=self._scope)

    def set_in_scope(self, method: str, path: str, **body: Any) -> None:
        """Set something for the project, or for all of them."""
        self._send(method, path, json={**self._scope, **body})

    def set_for_all(self, path: str, **body: Any) -> Any:
        """Set something that all projects share; give what it has become."""
        return self._send("PUT", path, json=body)

    @contextmanager
    def client(self) -> Iterator["httpx.Client"]:
        """Open a client whose requests are known as the test's own."""
        import httpx

        with httpx.Client(
            base_url=self.url,
            verify=_trust(self.ca_bundle),
            headers={"Authorization": f"Test-Controls {self.api_key}"},
            trust_env=False,
            timeout=REQUEST_SECONDS,
        ) as requests:
            yield requests

    @property
    def _scope(self) -> dict[str, str]:
        return {} if self.project_id is None else {"project_id": self.project_id}

    def _send(self, method: str, path: str, **content: Any) -> Any:
        """Make a request.

        Raises:
            ValueError: for what the runtime refuses; the message says what is wrong.
            RuntimeError: if the runtime has no controls.
        """
        with self.client() as requests:
            answer = requests.request(method, f"/test-controls{path}", **content)
        if answer.is_success:
            return answer.json() if answer.content else None
        error = answer.json()["errors"][0]
        if error["code"] == "not_found":
            raise RuntimeError(f"The runtime at {self.url} has no controls: start it with serve --test-controls.")
        raise ValueError(error["message"])


@cache
def _trust(ca_bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle)
