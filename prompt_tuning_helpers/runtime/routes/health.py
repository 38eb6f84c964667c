"""Whether the runtime is up."""

from importlib.metadata import PackageNotFoundError, version

from starlette.responses import JSONResponse, Response

from ..operations import Call, Operation


def package_version() -> str:
    """The version of this package."""
    try:
        return version("prompt-tuning-helpers")
    except PackageNotFoundError:
        return "0.0.0"


def get_health(call: Call) -> Response:
    """Say that the runtime is up, and what it serves."""
    return JSONResponse({"status": "ok", "version": package_version(), "models": sorted(call.runtime.cards)})


OPERATIONS = [Operation("GET", "/health", get_health, "Say that the runtime is up", public=True, differs="ours alone")]
