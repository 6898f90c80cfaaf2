"""The sandbox's own certificate authority, and one certificate for each who talks to another."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.state import CONTEXT, write_whole

_LIFETIME = datetime.timedelta(days=3650)
_ADMINISTRATORS = "system:masters"
_SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class _Holder:
    """Who a certificate is for; Kubernetes takes the name for the user and the organisation for a group."""

    file: str
    name: str
    organisation: str = ""
    addresses: tuple[str, ...] = ()


#: Names of the address ranges are those of the service network in controlplane.py.
_HOLDERS = (
    _Holder("etcd", "etcd", addresses=("127.0.0.1", "localhost")),
    _Holder("etcd-client", "kube-apiserver"),
    _Holder(
        "kube-apiserver",
        "kube-apiserver",
        addresses=("127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc", "10.96.0.1"),
    ),
    _Holder("kubelet-client", "kube-apiserver", _ADMINISTRATORS),
    _Holder("kube-controller-manager", "system:kube-controller-manager"),
    _Holder("kube-scheduler", "system:kube-scheduler"),
    _Holder("kwok", "kwok", _ADMINISTRATORS, addresses=("127.0.0.1", "localhost")),
    _Holder("admin", "sandbox-admin", _ADMINISTRATORS),
)


def make(folder: Path) -> None:
    """Make the authority, all certificates and the key for service accounts, unless they are there.

    Args:
        folder: Gets ``NAME.crt`` and ``NAME.key`` (mode 0600) for each holder, ``ca.crt`` and ``sa.key``.
    """
    if (folder / "ca.crt").exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dataflow-runbooks sandbox")])
    authority = (
        _builder(subject, subject, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        # These two are asked for by Python's strict verification, the default from 3.13 on.
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    for holder in _HOLDERS:
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(folder / f"{holder.file}.key", key)
        certificate = _certificate(holder, key.public_key(), subject, authority_key)
        _write_certificate(folder / f"{holder.file}.crt", certificate)
    _write_key(folder / "sa.key", ec.generate_private_key(ec.SECP256R1()))
    # Last: its presence says that all others are there.
    _write_certificate(folder / "ca.crt", authority)


def write_kubeconfig(file: Path, *, certificates: Path, holder: str, server: str) -> None:
    """Write a kubeconfig (mode 0600) with everything in it."""

    def encoded(name: str) -> str:
        return base64.b64encode((certificates / name).read_bytes()).decode()

    user = {"client-certificate-data": encoded(f"{holder}.crt"), "client-key-data": encoded(f"{holder}.key")}
    cluster = {"server": server, "certificate-authority-data": encoded("ca.crt")}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": holder, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": holder}}],
        "current-context": CONTEXT,
    }
    write_whole(file, yaml.safe_dump(content, sort_keys=False))


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # An hour ago: a clock that is set back a little must not make it invalid.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _certificate(
    holder: _Holder, public_key: ec.EllipticCurvePublicKey, issuer: x509.Name, authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, holder.name)]
    if holder.organisation:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, holder.organisation))
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder(x509.Name(names), issuer, public_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        # So does this one.
        .add_extension(issuer_id, critical=False)
    )
    if holder.addresses:
        alternatives = x509.SubjectAlternativeName([_alternative(text) for text in holder.addresses])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write_certificate(file: Path, certificate: x509.Certificate) -> None:
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as sink:
        sink.write(content)
