"""TLS on loopback: a private CA made once, a fresh server certificate at each start, a bundle for clients."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import trustme

from .files import write_file

# A new certificate is made at each start, long before this one ends.
LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class Certificates:
    """Files for TLS.

    Args:
        server: the server's private key and certificate chain.
        ca_bundle: the usual public roots and the local CA, so that clients can reach both with verification on.
    """

    server: Path
    ca_bundle: Path


def make_certificates(folder: Path) -> Certificates:
    """Read or make the CA in a folder, and make the server's certificate for 127.0.0.1 and localhost."""
    ca_certificate, ca_key = folder / "ca.pem", folder / "ca.key"
    if ca_certificate.exists() and ca_key.exists():
        authority = trustme.CA.from_pem(ca_certificate.read_bytes(), ca_key.read_bytes())
    else:
        authority = trustme.CA(organization_name="Local watsonx.ai runtime")
        write_file(ca_key, authority.private_key_pem.bytes())
        write_file(ca_certificate, authority.cert_pem.bytes())
    today = datetime.now(UTC)
    issued = authority.issue_cert(
        "127.0.0.1", "localhost", not_before=today - timedelta(days=1), not_after=today + LIFETIME
    )
    certificates = Certificates(server=folder / "server.pem", ca_bundle=folder / "ca-bundle.pem")
    write_file(certificates.server, issued.private_key_and_cert_chain_pem.bytes())
    roots = Path(certifi.where()).read_bytes()
    write_file(certificates.ca_bundle, roots.rstrip() + b"\n\n" + authority.cert_pem.bytes())
    return certificates
