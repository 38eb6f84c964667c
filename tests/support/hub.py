"""A stand-in for the Hugging Face hub on this computer, which serves models from folders."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve_models(models: dict[str, Path], gated: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Serve models until the block ends.

    Args:
        models: the folder of each model by its id.
        gated: ids of models whose terms nobody has accepted.

    Yields:
        The hub's address for ``HF_ENDPOINT``, and the names of the files that are downloaded, in order.
    """
    downloads: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, body: bool) -> None:
            path = self.path.partition("?")[0].lstrip("/")
            api = path.startswith("api/models/")
            model = "/".join(path.removeprefix("api/models/").split("/")[:2])
            if model in gated:
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body)
            elif model not in models:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
            elif api and "/tree/" in path:
                tree = [_entry(file) for file in sorted(models[model].iterdir())]
                self._send(200, json.dumps(tree).encode(), {}, body)
            elif api:
                names = [{"rfilename": file.name} for file in sorted(models[model].iterdir())]
                self._send(200, json.dumps({"id": model, "sha": COMMIT, "siblings": names}).encode(), {}, body)
            else:
                file = models[model] / path.rpartition("/")[2]
                content = file.read_bytes()
                if body:
                    downloads.append(file.name)
                self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{_sha1(content)}"'}, body)

        def _send(self, status: int, content: bytes, headers: dict[str, str], body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", downloads
        finally:
            server.shutdown()


def _entry(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    return {"type": "file", "path": file.name, "size": len(content), "oid": _sha1(content)}


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
