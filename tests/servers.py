"""What a probe may meet: a PostgreSQL to be prepared for it, and listeners that are no database."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runbooks_lib.parameters.components import Access

Address = tuple[str, int]


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL whose superuser is ``owner``."""

    address: Address
    password: str

    def do(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Carry statements out as the superuser; the rows of the last one."""
        host, port = self.address
        found: list[Any] = []
        login = {"user": "owner", "password": self.password, "dbname": database}
        with closing(psycopg.connect(host=host, port=port, autocommit=True, **login)) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[call-overload]
                found = cursor.fetchall() if cursor.description else []
        return found


def login(user: str, password: str, database: str = "") -> Access:
    return Access(host="db", port=1, user=user, password=password, database=database)


class Certificates:
    """An authority, and certificates that it signs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), _named("authority of a test")
        self.trusted = folder / "authority.pem"
        self.trusted.write_bytes(self._signed(self.name, self.key, None, timedelta(days=1)))

    def context(self, host: str, *, lasts: timedelta = timedelta(days=1)) -> ssl.SSLContext:
        """What a server of that name needs."""
        file = self.folder / f"{secrets.token_hex(4)}.pem"
        file.write_bytes(b"".join(self.pair(host, lasts=lasts)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def pair(self, host: str, *, lasts: timedelta = timedelta(days=1)) -> tuple[bytes, bytes]:
        """A key and the certificate for it, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return key.private_bytes(*form), self._signed(_named(host), key, host, lasts)

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None, lasts: timedelta) -> bytes:
        now = datetime.now(UTC)
        built = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        built = built.not_valid_before(now - timedelta(days=2)).not_valid_after(now + lasts)
        built = built.add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        if host:
            built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return built.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def tls_before(address: Address, context: ssl.SSLContext) -> AbstractContextManager[Address]:
    """A PostgreSQL with TLS: real TLS, and behind it the one at an address, which has none."""

    def say(connection: socket.socket) -> None:
        # Length and number of what asks for TLS.
        assert connection.recv(8) == (8).to_bytes(4) + (80877103).to_bytes(4)
        connection.sendall(b"S")
        with context.wrap_socket(connection, server_side=True) as client, socket.create_connection(address) as server:
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            server.shutdown(socket.SHUT_WR)
            back.join(5)

    return talking(say)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def redis_protocol(answers: Mapping[str, str]) -> AbstractContextManager[Address]:
    """A Redis that answers each command, by how it begins, with a line of the protocol; others with an error."""

    def say(connection: socket.socket) -> None:
        with connection.makefile("rb") as asked:
            while head := asked.readline():
                words = [asked.read(int(asked.readline()[1:]) + 2)[:-2].decode() for _ in range(int(head[1:]))]
                said = next((answers[start] for start in answers if " ".join(words).startswith(start)), "-ERR unknown")
                connection.sendall(f"{said}\r\n".encode())

    return talking(say)


@contextmanager
def talking(say: Callable[[socket.socket], None]) -> Iterator[Address]:
    """A listener that treats each connection as ``say`` does, then closes it."""
    ended = threading.Event()

    def serve(server: socket.socket) -> None:
        while not ended.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                threading.Thread(target=_each, args=(connection,), daemon=True).start()

    def _each(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            say(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[:2]
        finally:
            ended.set()
            thread.join()
