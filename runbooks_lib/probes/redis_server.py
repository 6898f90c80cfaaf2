"""Does a Redis let its users in? The only importer of ``redis``, loaded when it asks."""

from contextlib import closing
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import Answered, Seen, asking

#: A key that a process killed in the middle leaves goes by itself after so many seconds.
LASTS = 3600


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
        info = client.info()
        if write:
            try:
                client.set(write, "probe", ex=LASTS)
                if client.get(write) != "probe":
                    raise Seen("read only")
            finally:
                client.delete(write)
    version, role = str(info["redis_version"]), str(info["role"])
    return Answered(product="Redis", version=version, facts=(role,), wrote="a key" if write else "")
