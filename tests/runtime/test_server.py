"""A server in a process of its own: TLS, the endpoint file, the command line, and what a kill leaves."""

import os
import shlex
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from prompt_tuning_helpers.runtime.endpoint import Endpoint, running_endpoint, stop_recorded
from tests.support.calls import BASE
from tests.support.servers import connect, fake_command, run_cli, serve_command, start_runtime, wait_until


def upload(client: httpx.Client, project: dict[str, str]) -> str:
    body = {"metadata": {"name": "rows", "asset_type": "data_asset"}}
    asset = str(client.post("/v2/assets", params=project, json=body).json()["metadata"]["asset_id"])
    made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "rows"}).json()
    assert client.put(made["url1"], content=b'[{"input": "a", "output": "b"}]').status_code == 201
    path = f"/v2/assets/{asset}/attachments/{made['attachment_id']}/complete"
    assert client.post(path, params=project).status_code == 200
    return asset


@pytest.fixture
def no_server_left(tmp_path: Path) -> Iterator[None]:
    """End the server of a test that failed half-way."""
    yield
    stop_recorded(tmp_path / "state", 10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Endpoint]]:
    state = tmp_path_factory.mktemp("served") / "state"
    process, endpoint = start_runtime(state, fake_command(state))
    yield state, endpoint
    process.terminate()
    assert process.wait(30) == 0
    assert running_endpoint(state) is None


def test_only_its_owner_reads_the_state(served: tuple[Path, Endpoint]) -> None:
    state, _ = served
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for secret in ("secrets.json", "endpoint.json", "tls/ca.key", "tls/server.pem"):
        assert stat.S_IMODE((state / secret).stat().st_mode) == 0o600


def test_env_is_for_a_shell(served: tuple[Path, Endpoint]) -> None:
    state, endpoint = served
    printed = run_cli(state, "env").stdout
    words = shlex.split(printed, comments=True)
    assert words[0] == "export"
    assert dict(word.split("=", 1) for word in words[1:]) == {
        "WATSONX_IAM_URL": f"{endpoint.url}/identity/token",
        "WATSONX_AI_AUTH_TYPE": "iam",
        "WATSONX_AI_APIKEY": endpoint.api_key,
        "WATSONX_AI_AUTH_URL": endpoint.url,
        "NODE_EXTRA_CA_CERTS": endpoint.ca_bundle,
        "WATSONX_URL": endpoint.url,
        "WATSONX_APIKEY": endpoint.api_key,
        "WATSONX_PROJECT_ID": endpoint.project_id,
        "SSL_CERT_FILE": endpoint.ca_bundle,
        "LOCAL_WATSONX_STATE": str(state),
    }


def test_status(served: tuple[Path, Endpoint], tmp_path: Path) -> None:
    state, endpoint = served
    answer = run_cli(state, "status")
    assert answer.returncode == 0
    assert endpoint.url in answer.stdout
    assert endpoint.api_key not in answer.stdout
    nothing = run_cli(tmp_path, "status")
    assert nothing.returncode == 3
    assert "No runtime runs" in nothing.stderr


def test_a_second_runtime_steps_back(served: tuple[Path, Endpoint]) -> None:
    state, endpoint = served
    second = run_cli(state, "serve", "--model", "tiny")
    assert second.returncode == 1
    assert f"process {endpoint.pid}, {endpoint.url}" in second.stderr
    assert "Traceback" not in second.stderr
    assert running_endpoint(state) == endpoint


@pytest.mark.usefixtures("no_server_left")
def test_of_two_that_start_at_once_the_second_leaves_one_that_can_be_used(tmp_path: Path) -> None:
    state = tmp_path / "state"
    both = [subprocess.Popen(serve_command(state, "--model", "tiny"), stderr=subprocess.PIPE) for _ in range(2)]
    wait_until(lambda: any(process.poll() is not None for process in both), 60)
    first, second = sorted(both, key=lambda process: process.poll() is not None)
    assert second.returncode == 1
    assert f"process {first.pid}" in second.communicate()[1].decode()
    wait_until(lambda: running_endpoint(state) is not None, 60)
    endpoint = running_endpoint(state)
    assert endpoint is not None
    assert endpoint.pid == first.pid
    first.terminate()
    first.communicate()
    assert first.returncode == 0


def test_a_taken_port(served: tuple[Path, Endpoint], tmp_path: Path) -> None:
    port = served[1].url.rsplit(":", 1)[-1]
    answer = run_cli(tmp_path / "other", "serve", "--model", "tiny", "--port", port)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"Cannot serve on port {port}: another program does. Name another port with --port")


def test_a_wrong_alias(tmp_path: Path) -> None:
    answer = run_cli(tmp_path / "other", "serve", "--alias", "nonsense")
    assert answer.returncode == 1
    assert "NAME=MODEL" in answer.stderr


def test_certificate_passes_a_strict_verifier(served: tuple[Path, Endpoint]) -> None:
    _, endpoint = served
    context = ssl.create_default_context(cafile=endpoint.ca_bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    port = int(endpoint.url.rsplit(":", 1)[-1])
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection(("127.0.0.1", port)) as connection,
            context.wrap_socket(connection, server_hostname=name) as secure,
        ):
            assert secure.version() == "TLSv1.3"
            certificate = secure.getpeercert() or {}
            assert ssl.cert_time_to_seconds(str(certificate["notAfter"])) > time.time() + 300 * 86400


def test_aborted_handshakes_and_nonsense_leave_no_traceback(served: tuple[Path, Endpoint]) -> None:
    state, endpoint = served
    port = int(endpoint.url.rsplit(":", 1)[-1])
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{endpoint.url}/health", verify=ssl.create_default_context(), trust_env=False)
    for content in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", os.urandom(64)):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(content)
    context = ssl.create_default_context(cafile=endpoint.ca_bundle)
    for content in (b"nonsense\r\n\r\n", b"PUT /upload/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"):
        with (
            socket.create_connection(("127.0.0.1", port)) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as secure,
        ):
            secure.sendall(content)
    with connect(endpoint) as client:
        assert client.get("/health").status_code == 200
    said = (state / "runtime.log").read_text() + (state.parent / f"{state.name}.out").read_text()
    assert "Traceback" not in said


def test_a_cut_off_upload_changes_nothing(served: tuple[Path, Endpoint]) -> None:
    state, endpoint = served
    project = {"project_id": endpoint.project_id}
    with connect(endpoint) as client:
        body = {"metadata": {"name": "cut", "asset_type": "data_asset"}}
        asset = client.post("/v2/assets", params=project, json=body).json()["metadata"]["asset_id"]
        made = client.post(f"/v2/assets/{asset}/attachments", params=project, json={"name": "cut"}).json()
        path = made["url1"].removeprefix(endpoint.url)
        context = ssl.create_default_context(cafile=endpoint.ca_bundle)
        port = int(endpoint.url.rsplit(":", 1)[-1])
        with (
            socket.create_connection(("127.0.0.1", port)) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as secure,
        ):
            secure.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
            time.sleep(0.3)
        time.sleep(0.3)
        done = client.post(f"/v2/assets/{asset}/attachments/{made['attachment_id']}/complete", params=project)
        assert done.status_code == 400
    assert not list((state / "blobs").glob(".*.tmp"))


def test_logs_hold_no_secrets(served: tuple[Path, Endpoint]) -> None:
    state, endpoint = served
    with connect(endpoint) as client:
        upload(client, {"project_id": endpoint.project_id})
        token = client.headers["Authorization"].removeprefix("Bearer ")
    said = (state / "runtime.log").read_text() + (state.parent / f"{state.name}.out").read_text()
    assert "PUT /upload/{token} 201" in said
    for secret in (endpoint.api_key, token[:40], "eyJ"):
        assert secret not in said


def test_answers_are_not_delayed(served: tuple[Path, Endpoint]) -> None:
    """With Nagle's algorithm each call would take 40 ms and more."""
    times = []
    with connect(served[1]) as client:
        for _ in range(30):
            started = time.monotonic()
            client.get("/health")
            times.append(time.monotonic() - started)
    assert sorted(times)[len(times) // 2] < 0.02


@pytest.mark.usefixtures("no_server_left")
def test_stop_and_reset(tmp_path: Path) -> None:
    state = tmp_path / "state"
    process, endpoint = start_runtime(state, fake_command(state))
    (state / "of_the_user").write_text("mine")
    assert run_cli(state, "stop").returncode == 0
    assert process.wait(5) == 0
    assert run_cli(state, "stop").stdout == f"No runtime runs on {state}.\n"
    process, again = start_runtime(state, fake_command(state))
    assert (again.api_key, again.project_id) == (endpoint.api_key, endpoint.project_id)
    assert run_cli(state, "reset").returncode == 0
    assert process.wait(5) == 0
    assert sorted(path.name for path in state.iterdir()) == [".local-watsonx-state", "of_the_user", "runtime.lock"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir() if path.name != "of_the_user"} == {0o600}


def test_the_base_model_is_named(served: tuple[Path, Endpoint]) -> None:
    assert BASE in served[1].models
