"""Does a Redis let its users in, and what are its keys? The only importer of ``redis``, loaded when it asks."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import PREFIX, Answered, Seen, asking
from runbooks_lib.probes.postgresql import Address
from runbooks_lib.probes.rows import Contents, contents_of

#: A key that a process killed in the middle leaves goes by itself after so many seconds.
LASTS = 3600
#: What clients do of which nothing more is known.
_ANY = (f"GET {PREFIX}x", f"SET {PREFIX}x probe", f"PUBLISH {PREFIX}x probe")


#: What keys are counted by.
_NAME = "{} keys of database {}"
#: How often all keys are read until none came or went meanwhile.
_TRIES = 20


@contextmanager
def _connected(address: Address, access: Access, database: int, seconds: float, **more: Any) -> Iterator[Any]:
    """A client; the address of a socket's file has no port."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    how: dict[str, Any] = {"host": address[0], "port": address[1]} if address[1] else {"unix_socket_path": address[0]}
    how |= {"db": database, "protocol": 2, "retry": Retry(NoBackoff(), 0), **more}
    how |= {"username": access.user or None, "password": access.password or None}
    client = redis.Redis(socket_timeout=seconds, socket_connect_timeout=seconds, **how)
    with asking("Redis", access, redis.RedisError), closing(client):
        yield client


def ask(address: Address, access: Access, write: str = "", *, seconds: float = 5) -> Answered:
    """Log in where there is a password, PING and look; with ``write``, a key's name, also write, read and remove it."""
    from redis.exceptions import NoPermissionError

    database = int(access.database) if access.database.isdigit() else 0
    with _connected(address, access, database, seconds, decode_responses=True) as client:
        client.ping()
        try:
            info = client.info()
        except NoPermissionError:
            info = {}
        doubts, lacks = _rights(client, access)
        if write:
            try:
                client.set(write, "probe", ex=LASTS)
                if client.get(write) != "probe":
                    raise Seen("read only")
            finally:
                client.delete(write)
    role = str(info.get("role", "its role is not told to this user"))
    lacks += ["a replica, which takes no writes"] if role == "slave" else []
    return Answered(
        product="Redis",
        version=str(info.get("redis_version", "of an unknown version")),
        facts=(role,),
        doubts=() if write else tuple(doubts),
        lacks=tuple(lacks),
        wrote="a key" if write else "",
    )


def about(address: Address, access: Access, *, seconds: float) -> tuple[str, int, list[str]]:
    """A server's version, the bytes that its data take, and the databases that hold keys: of the one that is named, or all."""
    with _connected(address, access, 0, seconds) as client:
        info = client.info()
    filled = [name[2:] for name in info if name.startswith("db") and access.database in ("", name[2:])]
    return info["redis_version"], info["used_memory"], filled


def dump(address: Address, access: Access, file: Path, *, seconds: float) -> tuple[Contents, ...]:
    """Write all keys as the commands that make them again, each database as it was at one moment.

    Returns: How many keys of each type there are, and the sum of their names; each value has its server's own checksum in it.
    """
    found: list[tuple[str, bytes]] = []
    with file.open("wb") as out:
        for database in map(int, about(address, access, seconds=seconds)[2]):
            out.write(_packed(b"SELECT", b"%d" % database))
            with _connected(address, access, database, seconds) as client:
                for key, kind, left, value in _moment(client):
                    out.write(_packed(b"RESTORE", key, b"%d" % max(left, 0), value))
                    found.append((_NAME.format(kind.decode(), database), key))
    return contents_of(found)


def fill(address: Address, access: Access, file: Path, *, seconds: float) -> tuple[Contents, ...]:
    """Put the keys of a copy in the place of all that its databases hold, each database at once; what is in them then.

    The time that a key had left when it was copied begins anew. A server takes only values whose checksum is right.
    """
    found: list[tuple[str, bytes]] = []
    for database, keys in _read(file).items():
        with _connected(address, access, database, seconds) as client, client.pipeline() as told:
            told.flushdb()
            for key, left, value in keys:
                told.execute_command("RESTORE", key, 0, value).type(key)
                told.execute_command(*(("PEXPIRE", key, left) if left else ("PERSIST", key)))
            kinds = told.execute()[2::3]
            found += [(_NAME.format(kind.decode(), database), each[0]) for kind, each in zip(kinds, keys, strict=True)]
    return contents_of(found)


def _moment(client: Any) -> list[tuple[bytes, bytes, int, bytes]]:
    """All keys of a database at one moment: name, type, milliseconds that are left, and value."""
    for _ in range(_TRIES):
        keys = sorted(set(client.scan_iter(count=1000)))
        with client.pipeline() as asked:
            for key in keys:
                asked.type(key).pttl(key).dump(key)
            *told, size = asked.dbsize().execute()
        if size == len(keys) and None not in told:
            return [*zip(keys, told[::3], told[1::3], told[2::3], strict=True)]
    raise Seen("keys change")


def _packed(*words: bytes) -> bytes:
    """A command of Redis' own protocol."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _read(file: Path) -> dict[int, list[tuple[bytes, int, bytes]]]:
    """The keys of a copy by their database: name, milliseconds that were left, and value."""
    found: dict[int, list[tuple[bytes, int, bytes]]] = {}
    with file.open("rb") as source:
        while head := source.readline():
            command, *words = [source.read(int(source.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]
            if command == b"SELECT":
                keys = found.setdefault(int(words[0]), [])
            else:
                keys.append((words[0], int(words[1]), words[2]))
    return found


def _rights(client: Any, access: Access) -> tuple[list[str], list[str]]:
    """Doubts and lacks about what a user may do, by the server's own dry run, which came with Redis 7."""
    from redis.exceptions import NoPermissionError, ResponseError

    user, needed = access.user or "default", access.commands or _ANY
    try:
        said = {each: client.execute_command("ACL", "DRYRUN", user, *each.split()) for each in needed}
    except NoPermissionError:
        return [f"whether {user} may {', '.join(needed)} is not told to this user"], []
    except ResponseError:
        return [f"what {user} may do a Redis before 7 does not tell"] if access.user else [], []
    refused = [each for each, answer in said.items() if answer != "OK"]
    return [], [f"{user} may not {', '.join(refused)}"] if refused else []
