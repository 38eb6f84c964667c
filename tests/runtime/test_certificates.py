"""The server's certificate: its protocol, and that it is renewed before it ends, while the server runs."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prompt_tuning_helpers.runtime.certificates import make_certificates
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from tests.conftest import start_runtime

from .servers import changed_command

# Certificates of five seconds, renewed from one second on, which is looked at every second.
SHORT_LIVES = (
    "from datetime import timedelta; from prompt_tuning_helpers.runtime import certificates, server;"
    "certificates.LIFETIME = timedelta(seconds=5); certificates.RENEWED_BEFORE_END = timedelta(seconds=4);"
    "server.CERTIFICATE_CHECK_SECONDS = 0"
)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server whose certificates do not last."""
    state = tmp_path_factory.mktemp("certificates") / "state"
    process, endpoint = start_runtime(state, changed_command(state, SHORT_LIVES))
    yield endpoint
    process.terminate()
    assert process.wait(30) == 0


def strict_context(bundle: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def handshake(endpoint: Endpoint, context: ssl.SSLContext) -> ssl.SSLSocket:
    port = int(endpoint.url.rsplit(":", 1)[-1])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1")


def certificate_of(connection: ssl.SSLSocket) -> dict[str, Any]:
    return dict(connection.getpeercert() or {})


def test_a_running_server_renews_its_certificate(endpoint: Endpoint) -> None:
    context = strict_context(endpoint.ca_bundle)
    with handshake(endpoint, context) as first:
        end = ssl.cert_time_to_seconds(certificate_of(first)["notAfter"])
        while time.time() <= end + 1:
            time.sleep(0.1)
        # Who trusted the runtime at the beginning goes on trusting it, and who is connected stays connected.
        with handshake(endpoint, context) as second:
            assert certificate_of(second)["serialNumber"] != certificate_of(first)["serialNumber"]
            assert ssl.cert_time_to_seconds(certificate_of(second)["notAfter"]) > end
        first.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert first.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_protocols_are_refused(endpoint: Endpoint) -> None:
    context = strict_context(endpoint.ca_bundle)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with handshake(endpoint, context) as connection:
        assert connection.version() == "TLSv1.2"
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    # The server hangs up; that the client itself would not offer it has another message.
    with pytest.raises((ssl.SSLError, ConnectionResetError), match=r"EOF|ALERT|reset"):
        handshake(endpoint, context)


def test_the_authority_stays_and_lasts(tmp_path: Path) -> None:
    first = make_certificates(tmp_path).ca_bundle.read_bytes()
    assert make_certificates(tmp_path).ca_bundle.read_bytes() == first
    authority = ssl.create_default_context(cafile=str(tmp_path / "ca.pem")).get_ca_certs()[0]
    assert ssl.cert_time_to_seconds(str(authority["notAfter"])) > time.time() + 50 * 365 * 86400
