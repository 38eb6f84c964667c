"""Where the lesson runs: watsonx.ai, a hosted watsonx.ai notebook, or the local runtime."""

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ._background import require_packages, start
from ._service import ConnectionSetupError, advise_in_notebook, is_rate_limit, quiet_sdk, status_code
from .words import say

if TYPE_CHECKING:
    from ibm_watsonx_ai import Credentials
    from ibm_watsonx_ai.wml_client_error import WMLClientError

    from .runtime.endpoint import Endpoint

DEFAULT_URL = "https://us-south.ml.cloud.ibm.com"
DEFAULT_MODEL = "smollm2"

__all__ = ["Connection", "ConnectionSetupError", "connect"]


@dataclass(frozen=True)
class Connection:
    """What ``APIClient`` and ``TuneExperiment`` need; printed, it is one line without secrets.

    Args:
        credentials: of the SDK.
        project_id: the watsonx.ai project that everything is stored in.
        place: ``"watsonx.ai"``, ``"hosted notebook"`` or ``"local runtime"``.
        url: address of the service.
        models: ids of the base models, where they are known without asking.
    """

    credentials: "Credentials" = field(repr=False)
    project_id: str
    place: str
    url: str
    models: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say in one line where the lesson runs."""
        if self.place == "local runtime":
            models = ", ".join(self.models) or say("not known")
            return say("Running on this computer: the local watsonx.ai runtime, base model {models}.", models=models)
        if self.place == "hosted notebook":
            return say("Running in a hosted notebook on watsonx.ai at {url}.", url=self.url)
        return say("Running on watsonx.ai at {url}.", url=self.url)

    __repr__ = __str__


def connect(*, ask: bool = False, model: str | None = None, state: str | Path | None = None) -> Connection:
    """Decide where the lesson runs, and get ready to run there.

    With ``WATSONX_APIKEY`` set, in the environment or in a ``.env`` file, that is watsonx.ai; in a hosted watsonx.ai
    notebook, the service that the notebook belongs to; otherwise the local runtime, which is started in the background
    unless it is already up, and which stops with this process.

    Args:
        ask: prompt for an IBM Cloud API key and a project id where none are set; the key is not shown.
        model: base model for the local runtime; ``LOCAL_WATSONX_MODEL`` or SmolLM2 when left out.
        state: folder of the local runtime; ``LOCAL_WATSONX_STATE`` or the user's data folder when left out.

    Returns:
        The connection. Its key and project have been tried, so what follows can rely on them.

    Raises:
        ConnectionSetupError: if something is missing, is wrong, or cannot be reached.
    """
    _read_dotenv()
    if ask and not _key():
        _ask()
    if _key():
        connection = _from_environment(state)
    elif _is_hosted():
        connection = _from_hosted_notebook()
    else:
        connection = _local(model, state)
    _try_out(connection)
    advise_in_notebook()
    return connection


def _read_dotenv() -> None:
    """Read ``.env`` in the working folder or above it; what the environment already says wins."""
    from dotenv import find_dotenv, load_dotenv

    load_dotenv(find_dotenv(usecwd=True), override=False)


def _key() -> str:
    """Give the IBM Cloud API key that the environment names; none is an empty text."""
    return os.environ.get("WATSONX_APIKEY", "").strip()


def _ask() -> None:
    """Prompt for a key and a project; an empty key means the local runtime."""
    from getpass import getpass

    key = getpass(say("IBM Cloud API key (leave empty to run on this computer):") + " ").strip()
    if key:
        os.environ["WATSONX_APIKEY"] = key
        if not os.environ.get("WATSONX_PROJECT_ID"):
            os.environ["WATSONX_PROJECT_ID"] = input(say("watsonx.ai project id:") + " ").strip()


def _is_hosted() -> bool:
    """Tell whether this is a notebook that watsonx.ai runs: it hands its notebooks a token and their project."""
    environment = os.environ
    return bool(environment.get("RUNTIME_ENV_APSX_URL")) or (
        bool(environment.get("PROJECT_ID"))
        and bool(environment.get("USER_ACCESS_TOKEN") or environment.get("RUNTIME_ENV_ACCESS_TOKEN_FILE"))
    )


def _from_environment(state: str | Path | None) -> Connection:
    """Use ``WATSONX_APIKEY``, ``WATSONX_URL`` and ``WATSONX_PROJECT_ID``."""
    from ibm_watsonx_ai import Credentials

    url = (os.environ.get("WATSONX_URL") or DEFAULT_URL).strip().rstrip("/")
    project_id = (os.environ.get("WATSONX_PROJECT_ID") or os.environ.get("PROJECT_ID") or "").strip()
    if not project_id:
        raise ConnectionSetupError(
            "WATSONX_APIKEY is set, but WATSONX_PROJECT_ID is not. Open your project on watsonx.ai, copy the project "
            "id from its tab Manage > General, and set WATSONX_PROJECT_ID to it. To run on this computer instead, "
            "unset WATSONX_APIKEY."
        )
    if urlsplit(url).scheme != "https":
        raise ConnectionSetupError(
            f"WATSONX_URL is {url!r}, but must start with https://. For Dallas it is {DEFAULT_URL}."
        )
    if _is_loopback(url):
        running = _running_at(url, state)
        bundle = running.ca_bundle if running else os.environ.get("SSL_CERT_FILE", "")
        if not Path(bundle).is_file():
            raise ConnectionSetupError(
                f"WATSONX_URL points to a runtime on this computer ({url}), but SSL_CERT_FILE does not name its "
                'certificates. Set all four variables with: eval "$(python -m prompt_tuning_helpers.runtime env)"'
            )
        return to_runtime(url, _key(), project_id, bundle, running.models if running else ())
    if not _is_region(url):
        raise ConnectionSetupError(
            f"WATSONX_URL is {url!r}, which is not a region of watsonx.ai. Set it to the region of your project, one "
            "of: " + ", ".join(_regions())
        )
    return Connection(Credentials(url=url, api_key=_key(), verify=_roots()), project_id, "watsonx.ai", url)


def _from_hosted_notebook() -> Connection:
    """Use what a watsonx.ai notebook is given. The SDK itself reads the token from the environment."""
    from ibm_watsonx_ai import APIClient, Credentials

    if not (os.environ.get("USER_ACCESS_TOKEN") or os.environ.get("RUNTIME_ENV_ACCESS_TOKEN_FILE")):
        raise ConnectionSetupError(
            "This notebook runs on watsonx.ai, but got no access token. Set WATSONX_APIKEY to an IBM Cloud API key, or "
            "stop and restart the notebook's runtime."
        )
    project_id = os.environ.get("WATSONX_PROJECT_ID") or os.environ.get("PROJECT_ID")
    if not project_id:
        raise ConnectionSetupError("This notebook belongs to no project. Set WATSONX_PROJECT_ID to your project's id.")
    # A hosted notebook knows the address of the data platform; models are served from another one, region by region.
    platform = (os.environ.get("RUNTIME_ENV_APSX_URL") or "").rstrip("/")
    regions = {there: url for url, there in APIClient.PLATFORM_URLS_MAP.items() if "private." not in url}
    url = os.environ.get("WATSONX_URL") or regions.get(platform) or (platform if platform in regions.values() else "")
    if platform and not url:
        raise ConnectionSetupError(
            f"This notebook runs on {platform}, whose region this package does not know. Set WATSONX_URL to the "
            "address of watsonx.ai in your region, one of: " + ", ".join(_regions())
        )
    url = (url or DEFAULT_URL).rstrip("/")
    return Connection(Credentials(url=url, verify=_roots()), project_id, "hosted notebook", url)


def _local(model: str | None, state: str | Path | None) -> Connection:
    """Use the local runtime that is up, or start one."""
    if importlib.util.find_spec("psutil") is None:
        require_packages()  # without it a running runtime cannot be told from one that is gone
    from .runtime.endpoint import running_endpoint

    folder = _state_folder(state)
    endpoint = running_endpoint(folder)
    if endpoint is None:
        endpoint = start(model or os.environ.get("LOCAL_WATSONX_MODEL") or DEFAULT_MODEL, folder)
    return to_runtime(endpoint.url, endpoint.api_key, endpoint.project_id, endpoint.ca_bundle, endpoint.models)


def to_runtime(url: str, api_key: str, project_id: str, bundle: str, models: tuple[str, ...]) -> Connection:
    """Point the SDK at a runtime on this computer, with TLS verified against its own authority."""
    from ibm_watsonx_ai import Credentials

    _keep_proxies_out()
    credentials = Credentials(
        url=url, platform_url=url, auth_url=f"{url}/identity/token", api_key=api_key, verify=bundle
    )
    return Connection(credentials, project_id, "local runtime", url, models)


def _keep_proxies_out() -> None:
    """Let requests to this computer bypass the proxy that the environment may name."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host.strip() for host in os.environ.get(name, "").split(",") if host.strip()]
        missing = [host for host in ("127.0.0.1", "localhost") if host not in hosts]
        if missing and "*" not in hosts:
            os.environ[name] = ",".join(hosts + missing)


def _try_out(connection: Connection) -> None:
    """Sign in and open the project once, so that a wrong key, project or region is told here and clearly.

    Raises:
        ConnectionSetupError: if the service does not let us in.
    """
    import httpx
    from ibm_watsonx_ai import APIClient
    from ibm_watsonx_ai.wml_client_error import WMLClientError

    try:
        with quiet_sdk():
            APIClient(connection.credentials, project_id=connection.project_id)
    except WMLClientError as problem:
        raise ConnectionSetupError(_refusal(connection, problem)) from None
    except (httpx.HTTPError, OSError) as problem:
        raise ConnectionSetupError(
            f"{connection.url} cannot be reached ({problem}). Check the network, WATSONX_URL, and the settings of a "
            "proxy: if it has a certificate of its own, SSL_CERT_FILE must name a file with that."
        ) from None


def _refusal(connection: Connection, problem: "WMLClientError") -> str:
    """Say why the service does not let us in, and what to do."""
    from ibm_watsonx_ai.wml_client_error import CannotSetProjectOrSpace, InvalidCredentialsError

    url, project_id, status = connection.url, connection.project_id, status_code(problem)
    said = f"The service says: {str(problem.reason or problem)[:300]}"
    if is_rate_limit(problem):
        return f"{url} takes only so many requests in a while (status 429). Wait a minute and try again. {said}"
    if status is not None and status >= 500:
        return f"{url} has trouble of its own (status {status}). Wait some minutes and try again. {said}"
    wrong_key = isinstance(problem, InvalidCredentialsError)
    wrong_project = isinstance(problem, CannotSetProjectOrSpace)
    if connection.place == "local runtime" and (wrong_key or wrong_project):
        return (
            f"The runtime on this computer does not know this key, or not the project {project_id!r}. Unset "
            "WATSONX_APIKEY, and connect() finds the runtime by itself; or set all four variables anew with: "
            f'eval "$(python -m prompt_tuning_helpers.runtime env)". {said}'
        )
    if connection.place == "hosted notebook" and status == 401:
        return (
            f"{url} does not accept this notebook's token, which has probably expired. Stop the notebook's runtime, "
            f"start it again, and run the notebook from the top. {said}"
        )
    if wrong_key:
        return (
            f"{url} does not accept the API key. Check WATSONX_APIKEY: create a key at "
            f"https://cloud.ibm.com/iam/apikeys if in doubt, and copy all of it. {said}"
        )
    if wrong_project:
        return (
            f"The project {project_id!r} cannot be opened at {url}. Check WATSONX_PROJECT_ID (your project's tab "
            "Manage > General), that WATSONX_URL is the region of the project, and that you are a member of it. "
            f"{said}"
        )
    return f"{url} does not let us in: {problem}"


def _regions() -> list[str]:
    """List the public addresses of watsonx.ai that the SDK knows."""
    from ibm_watsonx_ai import APIClient

    internal = ("private", "yp-", "-qa", "dev", "test", "prep")
    return [url for url in APIClient.PLATFORM_URLS_MAP if not any(mark in url for mark in internal)]


def _is_region(url: str) -> bool:
    """Tell whether the SDK takes an address for watsonx.ai on IBM Cloud; for any other it expects other software."""
    from ibm_watsonx_ai import APIClient

    return url in APIClient.PLATFORM_URLS_MAP


def _roots() -> str | bool:
    """Tell what to verify certificates against. Never ``None``: with that the SDK gives up verifying silently."""
    bundle = os.environ.get("SSL_CERT_FILE")
    return bundle if bundle and Path(bundle).is_file() else True


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _state_folder(state: str | Path | None) -> Path:
    """Give the folder of the local runtime."""
    from .runtime.endpoint import default_state

    chosen = state or os.environ.get("LOCAL_WATSONX_STATE")
    return Path(chosen).expanduser().resolve() if chosen else default_state()


def _running_at(url: str, state: str | Path | None) -> "Endpoint | None":
    """Find the runtime at an address, if it is the one that is up on the state folder."""
    if importlib.util.find_spec("psutil") is None:
        return None
    from .runtime.endpoint import running_endpoint

    endpoint = running_endpoint(_state_folder(state))
    return endpoint if endpoint is not None and endpoint.url.rstrip("/") == url else None
