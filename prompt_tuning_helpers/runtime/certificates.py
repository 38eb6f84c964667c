"""TLS on loopback: a private CA made once, a server certificate that is renewed in time, a bundle for clients."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import trustme

from .files import write_file

# Of the server's certificate, which each start makes anew; the CA's ends in the year 3000.
LIFETIME = timedelta(days=365)
RENEWED_BEFORE_END = timedelta(days=90)


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


def make_certificates(folder: Path) -> Certificates:
    """Read or make the CA in a folder, and make the server's certificate for 127.0.0.1 and localhost."""
    ca_certificate, ca_key = folder / "ca.pem", folder / "ca.key"
    if ca_certificate.exists() and ca_key.exists():
        authority = trustme.CA.from_pem(ca_certificate.read_bytes(), ca_key.read_bytes())
    else:
        authority = trustme.CA(organization_name="Local watsonx.ai runtime")
        write_file(ca_key, authority.private_key_pem.bytes())
        write_file(ca_certificate, authority.cert_pem.bytes())
    now = datetime.now(UTC)
    end = now + LIFETIME
    issued = authority.issue_cert("127.0.0.1", "localhost", not_before=now - timedelta(days=1), not_after=end)
    certificates = Certificates(folder / "server.pem", folder / "ca-bundle.pem", end - RENEWED_BEFORE_END)
    write_file(certificates.server, issued.private_key_and_cert_chain_pem.bytes())
    roots = Path(certifi.where()).read_bytes()
    write_file(certificates.ca_bundle, roots.rstrip() + b"\n\n" + authority.cert_pem.bytes())
    return certificates
