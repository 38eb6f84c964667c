"""Fetching a file from a server, and uploading rows to a project."""

import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import MagicMock

import pandas as pd
import pytest

from prompt_tuning_helpers.datasets import DatasetError, fetch, upload
from tests.support.examples import ROWS, write

BODY = json.dumps(ROWS).encode() * 500
RIGHT = hashlib.sha256(BODY).hexdigest()


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        self.send_response(200)
        if not self.path.startswith("/unsized"):
            self.send_header("Content-Length", str(len(BODY) * (2 if self.path.startswith("/short") else 1)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.requests = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=functools.partial(running.serve_forever, poll_interval=0.01), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server: ThreadingHTTPServer, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def requests(server: ThreadingHTTPServer) -> list[str]:
    return list(server.requests)  # type: ignore[attr-defined]


def test_fetch_downloads_once_and_shows_progress(
    server: ThreadingHTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = address(server, "some/reviews.json?raw=1")
    for sha256 in (RIGHT, RIGHT.upper(), None):
        path = fetch(url, tmp_path / "new", sha256)
        assert path == tmp_path / "new" / "reviews.json"
        assert path.read_bytes() == BODY
    assert len(requests(server)) == 1
    assert [file.name for file in path.parent.iterdir()] == ["reviews.json"]
    assert "reviews.json 100% of " in capsys.readouterr().out


def test_fetch_takes_files_of_unknown_size_and_quoted_names(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    assert fetch(address(server, "unsized/my%20dogs.json"), tmp_path).name == "my dogs.json"
    assert requests(server) == ["/unsized/my%20dogs.json"]


def test_fetch_replaces_a_file_with_another_hash(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    old = write(tmp_path, "reviews.json", "old")
    assert fetch(address(server, "reviews.json"), tmp_path).read_text() == "old"
    assert fetch(address(server, "reviews.json"), tmp_path, RIGHT) == old
    assert old.read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone/reviews.json", "cannot be downloaded: the server answered 404"),
        ("short/reviews.json", "cannot be downloaded: .*retrieval incomplete"),
        ("wrong/reviews.json", "its SHA-256 is .* and not 0000"),
    ],
)
def test_fetch_leaves_nothing_behind_when_it_fails(
    server: ThreadingHTTPServer, tmp_path: Path, path: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        fetch(address(server, path), tmp_path, "0" * 64)
    assert list(tmp_path.iterdir()) == []
    kept = write(tmp_path, "reviews.json", "mine")
    with pytest.raises(DatasetError, match=message):
        fetch(address(server, path), tmp_path, "0" * 64)
    assert kept.read_text() == "mine"


def test_fetch_says_when_there_is_no_network(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DatasetError, match=r"cannot be downloaded: .*refused"):
        fetch(address(server, "reviews.json"), tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "reviews.json",
        "file:///etc/hosts",
        "http://127.0.0.1/",
        "https://example.org/a/..",
        "ftp://x/y.json",
        "https://example.org/a%00b.json",
        "https://[::1/a.json",
        "https:///a.json",
    ],
)
def test_fetch_takes_web_addresses_of_files_only(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatasetError, match="is not an http or https address of a file"):
        fetch(url, tmp_path)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/a.json", "http://127.0.0.1:port/a.json", "http://a\ud800/b.json"]
)
def test_fetch_says_when_an_address_leads_nowhere(tmp_path: Path, url: str) -> None:
    with pytest.raises(DatasetError, match="cannot be downloaded"):
        fetch(url, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["a\0b", "file", "file/inside", "x" * 300])
def test_fetch_says_when_there_is_no_place_for_the_file(
    server: ThreadingHTTPServer, tmp_path: Path, folder: str
) -> None:
    write(tmp_path, "file", "in the way")
    with pytest.raises(DatasetError, match=r"reviews\.json cannot be stored in .*: .*(null|exists|directory|too long)"):
        fetch(address(server, "reviews.json"), tmp_path / folder)
    assert requests(server) == []


@pytest.mark.parametrize("sha256", [None, RIGHT])
def test_fetch_says_when_a_folder_is_in_the_way(
    server: ThreadingHTTPServer, tmp_path: Path, sha256: str | None
) -> None:
    (tmp_path / "reviews.json").mkdir()
    with pytest.raises(DatasetError, match=r"reviews\.json cannot be stored in .*: .*directory"):
        fetch(address(server, "reviews.json"), tmp_path, sha256)
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.json"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dogs.json", json.dumps([{**row, "phenomenon": "plain"} for row in ROWS])),
        ("dogs.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("dogs.csv", "\ufeffinput;output\nComment: clean dog;1\nComment: wet dog;0\n"),
    ],
)
def test_upload_sends_a_json_list_of_input_and_output(tmp_path: Path, file: str, text: str) -> None:
    client, sent = MagicMock(), []

    def create(name: str, file_path: str) -> dict[str, str]:
        sent.append((name, Path(file_path).name, json.loads(Path(file_path).read_text(encoding="utf-8")), file_path))
        return {"asset": "details"}

    client.data_assets.create.side_effect = create
    client.data_assets.get_id.return_value = "id-1"
    assert upload(client, write(tmp_path, file, text)) == "id-1"
    client.data_assets.get_id.assert_called_once_with({"asset": "details"})
    assert upload(client, tmp_path / file, name="my reviews") == "id-1"
    assert [entry[:3] for entry in sent] == [("dogs.json", "dogs.json", ROWS), ("my reviews", "dogs.json", ROWS)]
    assert not any(Path(entry[3]).exists() for entry in sent)


def test_upload_takes_names_of_any_length(tmp_path: Path) -> None:
    client = MagicMock()
    for name in ("x" * 251, "é" * 125 + "x"):
        upload(client, write(tmp_path, f"{name}.csv", "input,output\nx,1\n"))
        assert client.data_assets.create.call_args.kwargs["name"] == f"{name}.json"


def test_upload_refuses_what_cannot_be_loaded(tmp_path: Path) -> None:
    client = MagicMock()
    with pytest.raises(DatasetError, match="there are no rows"):
        upload(client, write(tmp_path, "a.json", "[]"))
    with pytest.raises(DatasetError, match="cannot be read"):
        upload(client, "a\0.json")
    client.data_assets.create.assert_not_called()


def test_upload_takes_rows_that_are_in_no_file() -> None:
    client, sent = MagicMock(), []
    client.data_assets.create.side_effect = lambda name, file_path: sent.append(
        (name, json.loads(Path(file_path).read_text(encoding="utf-8")))
    )
    frame = pd.DataFrame(ROWS).assign(phenomenon="plain")
    upload(client, frame)
    upload(client, frame, "my rows.json")
    assert sent == [("rows.json", ROWS), ("my rows.json", ROWS)]
    with pytest.raises(DatasetError, match='the data, row 1: the field "output" is missing'):
        upload(client, frame[["input"]])
