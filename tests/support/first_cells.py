"""Runs a notebook's cells up to one of them in this process, as a Jupyter kernel would.

Arguments: the notebook, the id of the last cell, and maybe the address of a local runtime that answers for watsonx.ai.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from prompt_tuning_helpers._launcher import LOCAL_REQUIREMENTS


def answer_for_watsonx(runtime: httpx.URL) -> None:
    """Send what is meant for hosts of IBM Cloud to the runtime. The SDK itself is left as it is."""
    send = httpx.HTTPTransport.handle_request

    def redirect(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host=runtime.host, port=runtime.port)
        request.headers["Host"] = f"{runtime.host}:{runtime.port}"
        return send(transport, request)

    httpx.HTTPTransport.handle_request = redirect  # type: ignore[assignment, method-assign]


def run(notebook: Path, last: str) -> dict[str, Any]:
    """Run the cells.

    Returns:
        The names that they have defined.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        if cell["id"] == last:
            return names
    raise LookupError(f"{notebook.name} has no cell {last!r}.")


if __name__ == "__main__":
    if len(sys.argv) > 3:
        answer_for_watsonx(httpx.URL(sys.argv[3]))
    names = run(Path(sys.argv[1]), sys.argv[2])
    if "asset_id" in names:
        names["client"].data_assets.delete(names["asset_id"])
    print("Base model:", names["base_model"])
    print("Packages for the local runtime:", [name for name in LOCAL_REQUIREMENTS if importlib.util.find_spec(name)])
