"""The server's certificate: its protocol, and that it is renewed before it ends, while the server runs."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from prompt_tuning_helpers.runtime.certificates import make_certificates
from prompt_tuning_helpers.runtime.endpoint import Endpoint
from prompt_tuning_helpers.runtime.store.state import State, StateError
from tests.support.servers import changed_command, start_runtime

pytestmark = pytest.mark.slow

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
        # Who trusted the runtime at the beginning still trusts it, and who is connected stays connected.
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


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "state")
    made.prepare()
    return made


def test_the_authority_stays_and_lasts(state: State) -> None:
    first = make_certificates(state).ca_bundle.read_bytes()
    assert make_certificates(state).ca_bundle.read_bytes() == first
    authority = ssl.create_default_context(cafile=str(state.certificates / "ca.pem")).get_ca_certs()[0]
    assert ssl.cert_time_to_seconds(str(authority["notAfter"])) > time.time() + 50 * 365 * 86400


def verify(state: State, *identities: str, common_name: str | None = None) -> None:
    """Let a client that trusts the authority meet a server whose certificate is signed with the authority's key."""
    folder = state.certificates
    thief = trustme.CA.from_pem((folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes())
    at_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    thief.issue_cert(*identities, common_name=common_name).configure_cert(at_server)
    at_client = ssl.create_default_context(cafile=str(folder / "ca-bundle.pem"))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    host = identities[0] if identities else common_name
    client = at_client.wrap_bio(to_client, to_server, server_hostname=host)
    server = at_server.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert client.version() == "TLSv1.3"


@pytest.mark.parametrize("identity", ["127.0.0.1", "localhost"])
def test_the_authority_signs_for_this_machine(state: State, identity: str) -> None:
    make_certificates(state)
    verify(state, identity)


@pytest.mark.parametrize("identity", ["example.com", "us-south.ml.cloud.ibm.com", "127.0.0.2", "10.0.0.1", "::1"])
def test_the_authority_signs_for_no_other_machine(state: State, identity: str) -> None:
    make_certificates(state)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        verify(state, identity)


def test_the_authority_signs_for_no_other_machine_by_its_common_name(state: State) -> None:
    make_certificates(state)
    with pytest.raises(ssl.SSLCertVerificationError):
        verify(state, common_name="example.com")


def test_an_authority_that_may_sign_for_any_machine_is_replaced(state: State, caplog: pytest.LogCaptureFixture) -> None:
    old = trustme.CA(organization_name="Local watsonx.ai runtime")
    (state.certificates / "ca.pem").write_bytes(old.cert_pem.bytes())
    (state.certificates / "ca.key").write_bytes(old.private_key_pem.bytes())
    bundle = make_certificates(state).ca_bundle.read_bytes()
    assert old.cert_pem.bytes() not in bundle
    assert (state.certificates / "ca.pem").read_bytes() in bundle
    assert "any host" in caplog.text
    verify(state, "localhost")
    caplog.clear()
    assert make_certificates(state).ca_bundle.read_bytes() == bundle
    assert not caplog.text


def garble(path: Path) -> None:
    path.write_text("no certificate")


def empty(path: Path) -> None:
    path.write_text("")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
@pytest.mark.parametrize("damage", [garble, empty, cut, become_a_folder])
def test_a_damaged_authority_is_named_and_kept(state: State, name: str, damage: Callable[[Path], None]) -> None:
    make_certificates(state)
    other = state.certificates / ({"ca.pem", "ca.key"} - {name}).pop()
    before = other.read_bytes()
    damage(state.certificates / name)
    with pytest.raises(StateError, match=rf"{name} is damaged.*Restore it.* reset --state {state.root}"):
        make_certificates(state)
    assert other.read_bytes() == before


def test_a_key_of_another_authority_is_told(state: State) -> None:
    make_certificates(state)
    (state.certificates / "ca.key").write_bytes(trustme.CA().private_key_pem.bytes())
    with pytest.raises(StateError, match="do not belong together"):
        make_certificates(state)
