"""TLS on loopback: a private CA made once, a server certificate that is renewed in time, a bundle for clients."""

import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import certifi
import trustme
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from .._files import write_file
from .store.state import State, StateError

logger = logging.getLogger(__name__)

# Of the server's certificate, which each start makes anew; the CA's ends in the year 3000.
LIFETIME = timedelta(days=365)
RENEWED_BEFORE_END = timedelta(days=90)
END_OF_CA = datetime(3000, 1, 1, tzinfo=UTC)
# Whoever trusts the CA trusts it for this machine alone, should its key get into wrong hands.
CONSTRAINTS = x509.NameConstraints(
    [x509.DNSName("localhost"), x509.IPAddress(ip_network("127.0.0.1/32"))], excluded_subtrees=None
)


@dataclass(frozen=True)
class Certificates:
    """Files for TLS.

    Args:
        server: the server's private key and certificate chain.
        ca_bundle: the usual public roots and the local CA, so that clients can reach both with verification on.
        renewed_from: when to make a new server certificate; clients that trust the CA go on trusting the server.
    """

    server: Path
    ca_bundle: Path
    renewed_from: datetime


def make_certificates(state: State) -> Certificates:
    """Read or make a state folder's CA, and make the server's certificate for 127.0.0.1 and localhost.

    Raises:
        StateError: when the CA's files are damaged.
    """
    folder = state.certificates
    certificate, key = _read_authority(state) or _make_authority(state)
    authority = trustme.CA.from_pem(certificate, key)
    now = datetime.now(UTC)
    end = now + LIFETIME
    issued = authority.issue_cert("127.0.0.1", "localhost", not_before=now - timedelta(days=1), not_after=end)
    certificates = Certificates(folder / "server.pem", folder / "ca-bundle.pem", end - RENEWED_BEFORE_END)
    write_file(certificates.server, issued.private_key_and_cert_chain_pem.bytes())
    roots = Path(certifi.where()).read_bytes()
    write_file(certificates.ca_bundle, roots.rstrip() + b"\n\n" + certificate)
    return certificates


def _read_authority(state: State) -> tuple[bytes, bytes] | None:
    """Read the CA's certificate and key, unless there is none that may be used."""
    certificate_file, key_file = state.certificates / "ca.pem", state.certificates / "ca.key"
    if not certificate_file.exists() or not key_file.exists():
        return None
    file = certificate_file
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        file = key_file
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateError(f"{file} is damaged: it does not hold the runtime's CA. {state.remedy}") from error
    if key.public_key() != certificate.public_key():
        raise StateError(f"{certificate_file} and {key_file} do not belong together. {state.remedy}")
    if not any(extension.value == CONSTRAINTS for extension in certificate.extensions):
        logger.warning(
            "The CA in %s may sign for any host, as an older version made it: it is replaced by one for this machine "
            "alone. Programs that still run must be started again, to read the new certificates.",
            state.certificates,
        )
        return None
    return certificate_file.read_bytes(), key_file.read_bytes()


def _make_authority(state: State) -> tuple[bytes, bytes]:
    """Make a CA, and give its certificate and key; trustme makes none with name constraints."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Local watsonx.ai runtime"),
            # Its own, since clients that find an older CA of the same name do not look for another.
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, uuid.uuid4().hex),
        ]
    )
    usage = {
        **dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False),
        **dict.fromkeys(("encipher_only", "decipher_only", "digital_signature"), False),
    }
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(END_OF_CA)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(CONSTRAINTS, critical=True)
        .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    # The old certificate goes first: a crash in between leaves no pair that does not belong together.
    certificate_file, key_file = state.certificates / "ca.pem", state.certificates / "ca.key"
    certificate_file.unlink(missing_ok=True)
    write_file(key_file, made[1])
    write_file(certificate_file, made[0])
    return made
