"""Whether the runtime is up."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from starlette.responses import JSONResponse, Response

from .operations import Operation, RequestContext


@cache
def package_version() -> str:
    """Give the version of this package."""
    try:
        return version("prompt-tuning-helpers")
    except PackageNotFoundError:
        return "0.0.0"


async def get_health(context: RequestContext) -> Response:
    """Say that the runtime is up, and what it serves; in the event loop, so that no other call can delay it."""
    return JSONResponse({"status": "ok", "version": package_version(), "models": sorted(context.runtime.cards)})


OPERATIONS = [
    Operation("GET", "/health", get_health, "Say that the runtime is up", query=(), public=True, differs="ours alone")
]
