"""What does a certificate say, and is the key its own? The only importer of ``cryptography``, loaded when it reads."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from runbooks_lib.results import Value


class Certificate(Value):
    """A certificate with its chain and its key.

    Attributes:
        names: The DNS names that it is for.
        starts, ends: When all of it but a root is valid.
        self_signed: Nobody else vouches for it.
        chain: What is odd about the chain's order, as a clause.
    """

    names: tuple[str, ...]
    starts: datetime
    ends: datetime
    self_signed: bool = False
    chain: str = ""

    def uncovered(self, hosts: Iterable[str]) -> list[str]:
        """Those of these host names that it is not for."""
        return [host for host in hosts if not any(covers(name, host) for name in self.names)]

    def days(self, now: datetime | None = None) -> int:
        """Whole days left; negative when it is over."""
        return (self.ends - (now or datetime.now(UTC))).days


def covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is for a host: the same, or ``*`` in place of the first label (RFC 6125)."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    first, _, rest = host.partition(".")
    return name == host or (bool(first) and bool(rest) and name == f"*.{rest}")


def read(chain: bytes, key: bytes) -> Certificate:
    """A certificate, the first of its chain, and its key, both as PEM; raises ValueError: why they can't be used."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise ValueError("tls.crt holds no certificate in PEM") from None
    try:
        public = _plain(load_pem_private_key(key, None).public_key())
    except TypeError:
        raise ValueError("tls.key is encrypted, and nothing can give its password") from None
    except Exception as error:  # noqa: BLE001 - also of kinds that the library keeps to itself; its words may hold the key
        raise ValueError(f"tls.key can't be read ({type(error).__name__})") from None
    first = certificates[0]
    fits = [_plain(each.public_key()) == public for each in certificates]
    if not fits[0]:
        other = f"; it is that of number {fits.index(True) + 1} of the chain" if any(fits) else ""
        raise ValueError(f"tls.key is not the key of the first certificate in tls.crt{other}")
    lasting = [each for each in certificates if each is first or each.issuer != each.subject]
    return Certificate(
        names=_names(first),
        starts=max(each.not_valid_before_utc for each in lasting),
        ends=min(each.not_valid_after_utc for each in lasting),
        self_signed=_issued(first, first),
        chain=_disorder(certificates),
    )


def _plain(public: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return bytes(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _names(certificate: Any) -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        # Nobody looks at the common name any more.
        return ()
    return tuple(found.get_values_for_type(x509.DNSName))


def _disorder(certificates: list[Any]) -> str:
    for number, (one, issuer) in enumerate(pairwise(certificates), start=1):
        if not _issued(one, issuer):
            return f"number {number + 1} of the chain has not issued number {number}"
    return ""


def _issued(certificate: Any, issuer: Any) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
