"""Does a Redis let its users in? The only importer of ``redis``, loaded when it asks."""

from contextlib import closing
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import PREFIX, Answered, Seen, asking

#: A key that a process killed in the middle leaves goes by itself after so many seconds.
LASTS = 3600
#: What clients do of which nothing more is known.
_ANY = (f"GET {PREFIX}x", f"SET {PREFIX}x probe", f"PUBLISH {PREFIX}x probe")


def ask(address: tuple[str, int], access: Access, write: str = "", *, seconds: float = 5) -> Answered:
    """Log in where there is a password, PING and look; with ``write``, a key's name, also write, read and remove it."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    how: dict[str, Any] = {"host": address[0], "port": address[1], "protocol": 2, "retry": Retry(NoBackoff(), 0)}
    how |= {"username": access.user or None, "password": access.password or None, "decode_responses": True}
    how |= {"db": int(access.database) if access.database.isdigit() else 0}
    client = redis.Redis(socket_timeout=seconds, socket_connect_timeout=seconds, **how)
    with asking("Redis", access, redis.RedisError), closing(client):
        client.ping()
        try:
            info = client.info()
        except redis.exceptions.NoPermissionError:
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
