"""How the programs reach their databases: the three drivers, imported when they are needed.

Two sandboxes must fit a laptop, and a driver takes 10 to 25 MB of each process that loads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from sandbox.services.containers import reach

if TYPE_CHECKING:
    import psycopg
    import redis

    Connection = psycopg.Connection[Any]

#: Seconds until a database that does not answer counts as away.
PATIENCE = 3


class Unavailable(Exception):
    """A database is away or refuses; the text is its own, as a Python program would log it."""


class Refused(Exception):
    """A statement failed; the text is what the server said."""


@dataclass(frozen=True)
class Result:
    """What one statement gave: rows under their columns, or only its status, for example ``INSERT 0 1``."""

    status: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()


@dataclass(frozen=True)
class Login:
    """Where a PostgreSQL is and who logs in; ``options`` are further settings of libpq."""

    host: str
    port: int
    user: str
    password: str
    database: str
    options: Mapping[str, str]


@contextmanager
def postgresql(login: Login, hosts: Path | None, *, autocommit: bool = False) -> Iterator[Connection]:
    """A connection for the length of a block, committed at its end.

    Raises:
        Unavailable: It can't be opened, or the database refused a statement.
    """
    import psycopg

    address, port = reach(hosts, login.host, login.port)
    settings = {"user": login.user, "password": login.password, "dbname": login.database, **login.options}
    settings |= {"host": login.host, "port": str(port), "connect_timeout": str(PATIENCE), "gssencmode": "disable"}
    if (address, port) != (login.host, login.port):
        # The host's own name stays, for messages and certificates; only where it leads is ours to say.
        settings["hostaddr"] = address
    conninfo = psycopg.conninfo.make_conninfo("", **settings)
    try:
        with psycopg.connect(conninfo, autocommit=autocommit) as connection:
            yield connection
    except psycopg.Error as error:
        raise Unavailable(said(error)) from error


def results(connection: Connection, text: str) -> list[Result]:
    """Have the server run one string, which may hold several statements.

    Raises:
        Refused: One of them failed.
    """
    import psycopg

    try:
        with connection.cursor() as cursor:
            cursor.execute(text.encode(), prepare=False)
            found = [_result(cursor)]
            while cursor.nextset():
                found.append(_result(cursor))
            return found
    except psycopg.Error as error:
        if connection.broken:
            raise
        raise Refused(f"{error.diag.severity or 'ERROR'}:  {error.diag.message_primary or error}") from error


def parsed(conninfo: str) -> dict[str, str]:
    """The parts of a connection string of libpq, also of one that is a URL.

    Raises:
        Unavailable: It is none.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        return {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    except psycopg.Error as error:
        raise Unavailable(said(error)) from error


def _result(cursor: psycopg.Cursor[Any]) -> Result:
    if cursor.description is None:
        return Result(cursor.statusmessage or "")
    names = tuple(column.name for column in cursor.description)
    return Result(cursor.statusmessage or "", names, tuple(cursor.fetchall()))


@contextmanager
def redis_at(url: str, hosts: Path | None) -> Iterator[redis.Redis]:
    """A client of the Redis at a URL.

    Raises:
        Unavailable: It is away or refuses.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    parts = urlsplit(url)
    host, port = reach(hosts, parts.hostname or "localhost", parts.port or 6379)
    client = redis.Redis(
        host=host,
        port=port,
        db=int(parts.path.strip("/") or 0),
        username=_plain(parts.username),
        password=_plain(parts.password),
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        decode_responses=True,
        # Its own three tries take five seconds.
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    except redis.RedisError as error:
        raise Unavailable(said(error)) from error
    finally:
        client.close()


def ask_mongo(url: str, hosts: Path | None) -> None:
    """Log in to the MongoDB at a URL and ping it.

    Raises:
        Unavailable: It is away or refuses.
    """
    import pymongo
    import pymongo.errors

    parts = urlsplit(url)
    host, port = reach(hosts, parts.hostname or "localhost", parts.port or 27017)
    known: dict[str, Any] = {}
    if parts.username:
        known = {"username": _plain(parts.username), "password": _plain(parts.password)}
    try:
        with pymongo.MongoClient[dict[str, Any]](
            host, port, directConnection=True, serverSelectionTimeoutMS=PATIENCE * 1000, **known
        ) as client:
            client.admin.command("ping")
    except pymongo.errors.PyMongoError as error:
        raise Unavailable(said(error)) from error


def said(error: Exception) -> str:
    """An exception as the last line of a Python program's log."""
    text = " ".join(str(error).split())
    return f"{type(error).__module__}.{type(error).__qualname__}: {text}"


def _plain(word: str | None) -> str | None:
    return unquote(word) if word else None
