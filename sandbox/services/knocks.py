"""Whether a server answers now, asked as a readiness probe asks: without a driver, in one exchange.

As ``pg_isready``, ``redis-cli ping`` and ``mongosh`` without a password do it, a server that wants other
credentials is up: it answered. Who must be let in finds that out by logging in.
"""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable

from sandbox.ports import LOOPBACK
from sandbox.services.pages import KNOCKING

_SECONDS = 0.8
_STARTUP = b"user\0postgres\0database\0postgres\0\0"
_PING = b"\x10ping\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0"
_BODY = b"\0\0\0\0\0" + struct.pack("<i", 4 + len(_PING)) + _PING


def postgresql(port: int) -> bool:
    """Whether it takes logins; one that still starts up says so with code 57P03."""
    said = _exchange(port, struct.pack("!ii", 8 + len(_STARTUP), 196608) + _STARTUP)
    return said[:1] == b"R" or (said[:1] == b"E" and b"C57P03" not in said)


def redis(port: int) -> bool:
    """Whether it answers a PING; one that still loads its data says so."""
    said = _exchange(port, b"PING\r\n")
    return said.startswith((b"+PONG", b"-NOAUTH"))


def mongo(port: int) -> bool:
    """Whether it answers a ping with ``ok: 1``."""
    said = _exchange(port, struct.pack("<iiii", 16 + len(_BODY), 1, 0, 2013) + _BODY)
    return b"ok\0" + struct.pack("<d", 1) in said


def refusal(host: str, port: int) -> str:
    """Why nobody takes a connection there; empty where somebody does."""
    try:
        with socket.create_connection((host, port), timeout=_SECONDS):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def page(path: str) -> Callable[[int], bool]:
    """A question for a web server: does it answer this path with 200?"""

    def asked(port: int) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_SECONDS)
        try:
            connection.request("GET", path, headers={"User-Agent": KNOCKING})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return asked


def _exchange(port: int, sent: bytes) -> bytes:
    """The first of what a server answers; nothing when it is not there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_SECONDS) as connection:
            connection.sendall(sent)
            return connection.recv(4096)
    except OSError:
        return b""
