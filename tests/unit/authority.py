"""Certificates and keys that the tests make: an authority, one below it, and those that they issue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)


@dataclass(frozen=True)
class Holder:
    """Who has a certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def key_pem(self, password: bytes = b"") -> str:
        how: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
        return str(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode())


def issue(
    name: str, *hosts: str, by: Holder | None = None, days: float = 90.5, starts: float = -1, kind: str = "ec"
) -> Holder:
    """A certificate for these hosts; without ``by`` it is self-signed. Days are from now."""
    key: Any = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        by.certificate.subject if by else subject, subject, key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(now + timedelta(days=starts)).not_valid_after(now + timedelta(days=days))
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, hosts))), critical=False)
    return Holder(builder.sign(by.key if by else key, hashes.SHA256()), key)
