"""The sandbox's own authority, as Python's own verification judges it."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from sandbox import certificates


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "pki"
    certificates.make(folder)
    return folder


def test_the_strictest_verification_accepts_server_and_client(pki: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(pki / "kube-apiserver.crt", pki / "kube-apiserver.key")
    client = ssl.create_default_context(cafile=pki / "ca.crt")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    wires = [ssl.MemoryBIO() for _ in range(4)]
    asks = client.wrap_bio(wires[0], wires[1], server_hostname="127.0.0.1")
    answers = server.wrap_bio(wires[2], wires[3], server_side=True)
    for _ in range(4):
        for side, out, into in ((asks, wires[1], wires[2]), (answers, wires[3], wires[0])):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
            into.write(out.read())
    subject = dict(pair for (pair,) in answers.getpeercert()["subject"])  # type: ignore[index]
    assert subject == {"commonName": "sandbox-admin", "organizationName": "system:masters"}


def test_keys_are_the_users_alone(pki: Path) -> None:
    assert {key.stat().st_mode & 0o777 for key in pki.glob("*.key")} == {0o600}


def test_what_is_made_once_is_kept(pki: Path) -> None:
    before = (pki / "ca.crt").read_bytes()
    certificates.make(pki)
    assert (pki / "ca.crt").read_bytes() == before


def test_a_kubeconfig_holds_everything_and_is_the_users_alone(pki: Path, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    certificates.write_kubeconfig(file, certificates=pki, holder="admin", server="https://127.0.0.1:1")
    content = yaml.safe_load(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert content["current-context"] == "sandbox"
    assert set(content["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
