"""Clients that stop in the middle of a request, or never come to its end: none of them is waited for without end."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_tuning_helpers.runtime.endpoint import Endpoint, running_endpoint, stop_recorded
from prompt_tuning_helpers.runtime.http.heads import LARGEST_HEAD
from tests.support.servers import changed_command, connect, start_runtime

SECONDS = 1.0  # instead of 30, or of 75 between two requests
PATIENCE = 15.0
SOON = (
    "from prompt_tuning_helpers.runtime import server; from prompt_tuning_helpers.runtime.http import body, protocol; "
    f"body.PIECE_SECONDS = protocol.HEAD_SECONDS = server.KEEP_ALIVE_SECONDS = {SECONDS}"
)
HEAD = b"Host: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Endpoint]]:
    """A server that waits for a second only."""
    state = tmp_path_factory.mktemp("impatient") / "state"
    process, endpoint = start_runtime(state, changed_command(state, SOON))
    yield state, endpoint
    assert running_endpoint(state) == endpoint
    stop_recorded(state, 10)
    assert process.wait(10) == 0
    said = (state / "runtime.log").read_text() + (state.parent / f"{state.name}.out").read_text()
    assert "Traceback" not in said


@pytest.fixture
def line(impatient: tuple[Path, Endpoint]) -> Iterator[ssl.SSLSocket]:
    """A connection on which a test says what it likes."""
    _, endpoint = impatient
    context = ssl.create_default_context(cafile=endpoint.ca_bundle)
    port = int(endpoint.url.rsplit(":", 1)[-1])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secure,
    ):
        yield secure


def read_to_end(line: ssl.SSLSocket) -> bytes:
    """All that the server says until it closes the connection."""
    said = b""
    try:
        while piece := line.recv(65536):
            said += piece
    except (ConnectionError, ssl.SSLEOFError):
        pass  # it was closed while there was more to read
    return said


def read_error(line: ssl.SSLSocket) -> tuple[int, str]:
    """The status of the server's last words, and the code of the error in them."""
    head, _, body = read_to_end(line).partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["errors"][0]["code"]


def read_answer(line: ssl.SSLSocket) -> bytes:
    """One answer with a body, on a connection that stays open."""
    said = b""
    while b"}" not in said:
        said += line.recv(65536)
    return said


@pytest.mark.parametrize("sent", [b"G", b"GET /health HTTP/1.1", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b"])
def test_half_a_head(line: ssl.SSLSocket, sent: bytes) -> None:
    line.sendall(sent)
    assert read_error(line) == (408, "request_timeout")


def test_a_head_that_drips(line: ssl.SSLSocket) -> None:
    """Each byte comes soon after the last one, but the head does not end."""
    line.settimeout(0.2)
    line.sendall(b"GET /health HTTP/1.1\r\n" + HEAD)
    started = time.monotonic()
    said = b""
    while time.monotonic() < started + PATIENCE and not said:
        line.sendall(b"X-A: b\r\n")
        try:
            said = line.recv(65536)
        except TimeoutError:
            continue
    assert said.startswith(b"HTTP/1.1 408 ")


def test_nothing_at_all(line: ssl.SSLSocket) -> None:
    assert read_to_end(line) == b""


@pytest.mark.parametrize("sent", [b"GET /hea", b"\r\n"])
def test_half_a_second_request(line: ssl.SSLSocket, sent: bytes) -> None:
    line.sendall(b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert read_answer(line).startswith(b"HTTP/1.1 200 ")
    line.sendall(sent)
    assert read_error(line) == (408, "request_timeout")


@pytest.mark.parametrize("path", ["/identity/token", "/v2/assets"])
def test_half_a_body(impatient: tuple[Path, Endpoint], line: ssl.SSLSocket, path: str) -> None:
    with connect(impatient[1]) as client:
        token = client.headers["Authorization"].encode()
    line.sendall(b"POST " + path.encode() + b" HTTP/1.1\r\n" + HEAD + b"Authorization: " + token + b"\r\n")
    line.sendall(b"Content-Length: 100\r\n\r\n{")
    assert read_error(line) == (408, "request_timeout")


def test_half_a_body_that_nobody_waits_for(line: ssl.SSLSocket) -> None:
    line.sendall(b"POST /nothing HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\nabc")
    assert read_answer(line).startswith(b"HTTP/1.1 404 ")
    line.sendall(b"def")
    assert read_to_end(line) == b""


def upload_link(endpoint: Endpoint) -> tuple[str, str]:
    """The path of an attachment that waits for its file, and the link to upload to."""
    project = {"project_id": endpoint.project_id}
    with connect(endpoint) as client:
        body = {"metadata": {"name": "slow", "asset_type": "data_asset"}}
        asset = client.post("/v2/assets", params=project, json=body).json()["metadata"]["asset_id"]
        made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "slow"}).json()
    path = f"/v2/assets/{asset}/attachments/{made['attachment_id']}/complete"
    return path, made["url1"].removeprefix(endpoint.url)


def test_half_an_upload(impatient: tuple[Path, Endpoint], line: ssl.SSLSocket) -> None:
    state, endpoint = impatient
    _, link = upload_link(endpoint)
    line.sendall(f"PUT {link} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc".encode())
    assert read_error(line) == (408, "request_timeout")
    assert list((state / "blobs").glob(".*")) == []


def test_a_slow_upload_that_moves(impatient: tuple[Path, Endpoint], line: ssl.SSLSocket) -> None:
    _, endpoint = impatient
    path, link = upload_link(endpoint)
    pieces = 12
    line.sendall(f"PUT {link} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {pieces}\r\n\r\n".encode())
    started = time.monotonic()
    for _ in range(pieces):
        line.sendall(b"x")
        time.sleep(SECONDS / 5)  # the client's slowness, which is what is tested
    assert time.monotonic() - started > 2 * SECONDS
    assert b'{"size":12}' in read_answer(line)
    with connect(endpoint) as client:
        assert client.post(path, params={"project_id": endpoint.project_id}).status_code == 200


@pytest.mark.parametrize("unit", [b"X-A: b\r\n", b"x"], ids=["headers", "one_header"])
def test_a_head_without_end(line: ssl.SSLSocket, unit: bytes) -> None:
    line.sendall(b"GET /health HTTP/1.1\r\n" + HEAD + b"X-B: ")
    try:
        for _ in range(100):
            line.sendall(unit * 2048)
    except OSError:
        return  # it was closed long before the last one
    assert read_to_end(line)[:13] in (b"", b"HTTP/1.1 431 ")


def test_a_long_head_is_refused_in_the_api_s_shape(line: ssl.SSLSocket) -> None:
    line.sendall(b"GET /health HTTP/1.1\r\n" + HEAD + b"X-B: " + b"x" * LARGEST_HEAD)
    assert read_error(line) == (431, "request_header_too_large")


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nNo header\r\n\r\n", b"\x00\x01\x02\x03"])
def test_nonsense_is_refused_in_the_api_s_shape(line: ssl.SSLSocket, sent: bytes) -> None:
    line.sendall(sent)
    assert read_error(line) == (400, "invalid_request")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_request_without_a_host(line: ssl.SSLSocket, version: bytes) -> None:
    line.sendall(b"GET /health HTTP/" + version + b"\r\nConnection: close\r\n\r\n")
    assert read_error(line) == (400, "invalid_host")


def test_pipelined_requests_are_answered(line: ssl.SSLSocket) -> None:
    one = b"GET /health HTTP/1.1\r\n" + HEAD
    line.sendall((one + b"\r\n") * 2 + one + b"Connection: close\r\n\r\n")
    assert read_to_end(line).count(b"HTTP/1.1 200 ") == 3
