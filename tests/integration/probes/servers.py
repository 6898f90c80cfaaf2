"""What a probe may meet: a PostgreSQL to be prepared for it, and listeners that are no database."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

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
