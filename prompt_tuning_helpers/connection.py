"""Where the lesson runs: watsonx.ai, a hosted watsonx.ai notebook, or the local runtime."""

import contextlib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ._fetch import id_of
from ._installation import install_command
from ._launcher import require_packages, start, use
from ._sdk import ConnectionSetupError, advise_in_notebook, is_rate_limit, quiet_sdk, status_code
from ._settings import API_KEY, ENVIRONMENT, URL, Setting, Settings, overlooked_file, read_settings
from .i18n import say

if TYPE_CHECKING:
    from ibm_watsonx_ai import Credentials
    from ibm_watsonx_ai.wml_client_error import WMLClientError

    from .runtime.endpoint import Endpoint

DEFAULT_URL = "https://us-south.ml.cloud.ibm.com"
DEFAULT_MODEL = "smollm2"
# The SDK sends a key as it stands, unquoted, in a form; a key of IBM Cloud has letters, digits, hyphens, underscores.
KEY = re.compile(r"[A-Za-z0-9._~-]+")
SET_UP = 'eval "$(local-watsonx env)"'

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


def connect(*, model: str | None = None, state: str | Path | None = None) -> Connection:
    """Decide where the lesson runs, and get ready to run there.

    With ``WATSONX_APIKEY`` set, in the environment or in a file called ``.env`` in the working folder, that is
    watsonx.ai; in a hosted watsonx.ai notebook, the service that the notebook belongs to; otherwise the local runtime,
    which is started in the background unless it is already up; one that was started in this way stops with the last
    process that uses it.

    The key goes to a region of watsonx.ai or to a runtime of the user's own on this computer, and only if the address
    comes from the same place as the key, so that nobody else's ``.env`` can send it elsewhere.

    Args:
        model: base model for the local runtime: ``"smollm2"``, the id of a causal language model on the Hugging Face
            hub, or the folder of one; ``LOCAL_WATSONX_MODEL`` or SmolLM2 by default.
        state: folder of the local runtime; ``LOCAL_WATSONX_STATE`` or the user's data folder by default.

    Returns:
        The connection. Its key and project have been tried, so what follows can rely on them.

    Raises:
        ConnectionSetupError: if something is missing, is wrong, or cannot be reached.
    """
    settings = read_settings()
    with _concealed(settings.api_key.value):
        if settings.api_key.value:
            connection = _with_key(settings, state)
        elif _is_hosted():
            connection = _from_hosted_notebook(settings)
        else:
            if not settings.api_key.source and (overlooked := overlooked_file()):
                warnings.warn(
                    say("{file} is not read: it must be in {folder}.", file=overlooked, folder=Path.cwd()), stacklevel=2
                )
            connection = _local(model, state)
    with _concealed(connection.credentials.api_key, connection.credentials.token):
        _try_out(connection)
    advise_in_notebook()
    return connection


@contextlib.contextmanager
def _concealed(*secrets: str | None) -> Iterator[None]:
    """Keep secrets out of what a block says when it fails: a service or a proxy may repeat what it was sent."""
    try:
        yield
    except ConnectionSetupError as problem:
        problem.args = (_conceal(str(problem), *secrets),)
        raise


def _conceal(text: str, *secrets: str | None) -> str:
    """Replace secrets by asterisks."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def _is_hosted() -> bool:
    """Tell whether this is a notebook that watsonx.ai runs: it hands its notebooks a token and their project."""
    environment = os.environ
    return bool(environment.get("RUNTIME_ENV_APSX_URL")) or (
        bool(environment.get("PROJECT_ID"))
        and bool(environment.get("USER_ACCESS_TOKEN") or environment.get("RUNTIME_ENV_ACCESS_TOKEN_FILE"))
    )


def _with_key(settings: Settings, state: str | Path | None) -> Connection:
    """Use an API key: on watsonx.ai, or on a runtime on this computer."""
    from ibm_watsonx_ai import Credentials

    key = settings.api_key.value
    url = (settings.url.value or DEFAULT_URL).rstrip("/")
    if not KEY.fullmatch(key):
        raise ConnectionSetupError(
            f"{API_KEY} (from {settings.api_key.source}) has a character that no API key has, a quote, a blank or a "
            "line break for instance. Copy the key again, all of it and nothing else."
        )
    _require_one_source(API_KEY, settings.api_key.source, settings.url)
    project_id = settings.project_id.value or os.environ.get("PROJECT_ID", "").strip()
    if not project_id:
        raise ConnectionSetupError(
            "WATSONX_APIKEY is set, but WATSONX_PROJECT_ID is not. Open your project on watsonx.ai, copy the project "
            "id from its tab Manage > General, and set WATSONX_PROJECT_ID to it. To run on this computer instead, "
            "unset WATSONX_APIKEY."
        )
    if _is_loopback(url):
        running = _own_runtime_at(url, _state_folder(state))
        return to_runtime(url, key, project_id, running.ca_bundle, running.models)
    _require_region(url)
    return Connection(Credentials(url=url, api_key=key, verify=_roots()), project_id, "watsonx.ai", url)


def _require_one_source(secret: str, source: str, url: Setting) -> None:
    """Make sure that whoever gave the address also gave the secret.

    Raises:
        ConnectionSetupError: if they come from different places.
    """
    if url.value and url.source != source:
        raise ConnectionSetupError(
            f"{secret} comes from {source}, but {URL} from {url.source}. A secret goes only to an address that comes "
            "from the same place: otherwise somebody else's file could send it elsewhere. Set both there, or leave "
            f"{URL} unset for Dallas."
        )


def _from_hosted_notebook(settings: Settings) -> Connection:
    """Use what a watsonx.ai notebook is given. The SDK itself reads the token from the environment."""
    from ibm_watsonx_ai import APIClient, Credentials

    if not (os.environ.get("USER_ACCESS_TOKEN") or os.environ.get("RUNTIME_ENV_ACCESS_TOKEN_FILE")):
        raise ConnectionSetupError(
            "This notebook runs on watsonx.ai, but got no access token. Set WATSONX_APIKEY to an IBM Cloud API key, or "
            "stop and restart the notebook's runtime."
        )
    _require_one_source("The token of this notebook", ENVIRONMENT, settings.url)
    project_id = settings.project_id.value or os.environ.get("PROJECT_ID")
    if not project_id:
        raise ConnectionSetupError("This notebook belongs to no project. Set WATSONX_PROJECT_ID to your project's id.")
    # A hosted notebook knows the address of the data platform; models are served from another one, region by region.
    platform = (os.environ.get("RUNTIME_ENV_APSX_URL") or "").rstrip("/")
    regions = {there: url for url, there in APIClient.PLATFORM_URLS_MAP.items() if "private." not in url}
    url = settings.url.value or regions.get(platform) or (platform if platform in regions.values() else "")
    if platform and not url:
        raise ConnectionSetupError(
            f"This notebook runs on {platform}, whose region this package does not know. Set WATSONX_URL to the "
            "address of watsonx.ai in your region, one of: " + ", ".join(_regions())
        )
    url = (url or DEFAULT_URL).rstrip("/")
    _require_region(url)
    return Connection(Credentials(url=url, verify=_roots()), project_id, "hosted notebook", url)


def _local(model: str | None, state: str | Path | None) -> Connection:
    """Use the local runtime that is up, or start one."""
    if not _can_find_runtimes():
        require_packages()
    folder = _state_folder(state)
    with contextlib.suppress(OSError):  # one that is missing or cannot be written is reported by what comes next
        use(folder)
    asked = model or os.environ.get("LOCAL_WATSONX_MODEL")
    endpoint = _own_runtime(folder)
    if endpoint is None:
        endpoint = start(asked or DEFAULT_MODEL, folder)
    elif asked and not {asked, id_of(asked)} & set(endpoint.models):
        raise ConnectionSetupError(
            f"The local runtime that is up serves {', '.join(endpoint.models)}, not {asked}. Stop it with "
            f"`local-watsonx stop --state {folder}` and connect again; or name another "
            "folder in LOCAL_WATSONX_STATE, for a second runtime beside it."
        )
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
    """Sign in and open the project once, so that a wrong key, project or region is reported here, and clearly.

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
    wrong_key = isinstance(problem, InvalidCredentialsError)
    wrong_project = isinstance(problem, CannotSetProjectOrSpace)
    # The first that applies counts.
    reasons: tuple[tuple[bool, str], ...] = (
        (
            is_rate_limit(problem),
            f"{url} has received too many requests (status 429). Wait a minute and try again.",
        ),
        (
            status is not None and status >= 500,
            f"{url} has trouble of its own (status {status}). Wait some minutes and try again.",
        ),
        (
            connection.place == "local runtime" and (wrong_key or wrong_project),
            f"The runtime on this computer does not know this key, or not the project {project_id!r}. Unset "
            f"WATSONX_APIKEY, and connect() finds the runtime by itself; or set all variables anew with: {SET_UP}.",
        ),
        (
            connection.place == "hosted notebook" and status == 401,
            f"{url} does not accept this notebook's token, which has probably expired. Stop the notebook's runtime, "
            "start it again, and run the notebook from the top.",
        ),
        (
            wrong_key,
            f"{url} does not accept the API key. Check WATSONX_APIKEY: create a key at "
            "https://cloud.ibm.com/iam/apikeys if in doubt, and copy all of it.",
        ),
        (
            wrong_project,
            f"The project {project_id!r} cannot be opened at {url}. Check WATSONX_PROJECT_ID (your project's tab "
            "Manage > General), that WATSONX_URL is the region of the project, and that you are a member of it.",
        ),
    )
    reason = next((text for applies, text in reasons if applies), None)
    if reason is None:
        return f"{url} does not let us in: {problem}"
    secrets = connection.credentials.api_key, connection.credentials.token
    # Concealed before it is cut, which would otherwise leave a part of the key.
    return f"{reason} The service says: {_conceal(str(problem.reason or problem), *secrets)[:300]}"


def _regions() -> list[str]:
    """List the public addresses of watsonx.ai that the SDK knows."""
    from ibm_watsonx_ai import APIClient

    internal = ("private", "yp-", "-qa", "dev", "test", "prep")
    return [url for url in APIClient.PLATFORM_URLS_MAP if not any(mark in url for mark in internal)]


def _require_region(url: str) -> None:
    """Make sure that the SDK takes an address for watsonx.ai on IBM Cloud, in exactly this spelling.

    Raises:
        ConnectionSetupError: if it does not; it would expect other software there, of whoever it belongs to.
    """
    from ibm_watsonx_ai import APIClient

    if not url.startswith("https://"):
        raise ConnectionSetupError(f"{URL} is {url!r}, but must start with https://. For Dallas it is {DEFAULT_URL}.")
    if url not in APIClient.PLATFORM_URLS_MAP:
        raise ConnectionSetupError(
            f"{URL} is {url!r}, which is not a region of watsonx.ai. Set it to the region of your project, one of: "
            + ", ".join(_regions())
        )


def _roots() -> str | bool:
    """Give what to verify certificates against; never ``None``, with which the SDK silently stops verifying."""
    bundle = os.environ.get("SSL_CERT_FILE")
    return bundle if bundle and Path(bundle).is_file() else True


def _is_loopback(url: str) -> bool:
    """Tell whether an address leads to this computer."""
    try:
        return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False  # not an address at all


def _state_folder(state: str | Path | None) -> Path:
    """Give the folder of the local runtime."""
    from .runtime.endpoint import default_state

    chosen = state or os.environ.get("LOCAL_WATSONX_STATE")
    return Path(chosen).expanduser().resolve() if chosen else default_state()


def _can_find_runtimes() -> bool:
    """Tell whether the package is installed that a running runtime is recognised with."""
    return importlib.util.find_spec("psutil") is not None


def _own_runtime(folder: Path) -> "Endpoint | None":
    """Find the runtime that is up on a state folder.

    Raises:
        ConnectionSetupError: if other users control the folder, so that the runtime may be theirs.
    """
    from .runtime.endpoint import running_endpoint

    try:
        return running_endpoint(folder)
    except PermissionError as problem:
        raise ConnectionSetupError(str(problem)) from None


def _own_runtime_at(url: str, folder: Path) -> "Endpoint":
    """Find the runtime at an address on this computer, where anybody's program may listen.

    Raises:
        ConnectionSetupError: if it is not the one that is up on the state folder.
    """
    if not _can_find_runtimes():
        raise ConnectionSetupError(
            f"{URL} points to a runtime on this computer ({url}). Whether it is your own cannot be told without the "
            f"package psutil. Install it with\n    {install_command()}\nand restart the kernel."
        )
    running = _own_runtime(folder)
    if running is None or running.url != url:
        there = f"runs at {running.url}" if running else "is not up"
        raise ConnectionSetupError(
            f"{URL} points to this computer ({url}), but the runtime that keeps its state in {folder} {there}. "
            "Your key goes nowhere else on this computer. Unset WATSONX_APIKEY, and connect() finds your runtime by "
            f"itself or starts it; or set all variables, LOCAL_WATSONX_STATE among them, anew with: {SET_UP}, and "
            "in it the --state that it was started with, if any."
        )
    with contextlib.suppress(OSError):
        use(folder)
    return running
