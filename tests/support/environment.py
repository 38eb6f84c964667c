"""Environments of other processes: which variables tell of a place, and one without them and without a network."""

import os
from pathlib import Path

SUPPORT = Path(__file__).parent
REPOSITORY = SUPPORT.parents[1]

# How the names of variables begin that say where the lesson runs, and how.
OF_PLACES = (
    "WATSONX_",
    "LOCAL_WATSONX_",
    "RUNTIME_ENV_",
    "WX_CLIENT",
    "PROJECT_ID",
    "SPACE_ID",
    "USER_ACCESS_TOKEN",
    "SSL_CERT_",
    "LESSON_",
    "JPY_",
    "JUPYTER",
)


def placeless() -> dict[str, str]:
    """This process's environment without what tells of a service, a secret or settings, or goes past a proxy."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OF_PLACES) and name.upper() != "NO_PROXY"
    }


def offline_environment(attempts: Path) -> dict[str, str]:
    """An environment for other processes that tells of no service, no secret and no settings, and has no network.

    Args:
        attempts: the file in which attempts to use the network are noted; it is there only if there were any.
    """
    paths = [SUPPORT / "offline", REPOSITORY, os.environ.get("PYTHONPATH", "")]
    # Programs that are not Python ask a proxy that is not there.
    proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    return placeless() | proxies | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OFFLINE_ATTEMPTS": str(attempts)}
