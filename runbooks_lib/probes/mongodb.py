"""Does a MongoDB let its users in? The only importer of ``pymongo``, loaded when it asks."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import PREFIX, Answered, Seen, asking

#: What is left of a probe that was killed in the middle is removed by a later one, when it is this old.
FORGOTTEN = timedelta(hours=1)


def ask(address: tuple[str, int], access: Access, write: str = "", *, seconds: float = 5) -> Answered:
    """Log in where there is a user, and look; with ``write``, a name, also write, read and remove a document.

    The document is alone in a database of that name, which goes with it. The database of ``access`` is the one that
    knows the user.
    """
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    login = {"username": access.user, "password": access.password, "authSource": access.database or "admin"}
    limits = dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), round(seconds * 1000))
    how: dict[str, Any] = limits | (login if access.user else {})
    how |= {"directConnection": True, "retryReads": False, "retryWrites": False}
    # The client's threads, which watch the server, end by themselves half a second later.
    with asking("MongoDB", access, PyMongoError), closing(MongoClient[Any](*address, **how)) as client:
        hello = client.admin.command("hello")
        # The first question that nobody answers who has not logged in.
        databases = client.list_database_names()
        removed = list(_remember(client, write, databases)) if write else []
        version = client.server_info()["version"]
    facts = [] if hello.get("isWritablePrimary") else ["a secondary, which takes no writes"]
    facts += [f"left by an earlier run, and removed: {', '.join(removed)}"] if removed else []
    return Answered(product="MongoDB", version=version, facts=tuple(facts), wrote="a document" if write else "")


def _remember(client: Any, name: str, databases: list[str]) -> Iterator[str]:
    """Write a document, read and remove it; then what others have left for long, whose names are yielded."""
    now = datetime.now(UTC)
    try:
        client[name].probe.insert_one({"_id": name, "at": now})
        if client[name].probe.find_one({"_id": name}) is None:
            raise Seen("read only")
    finally:
        client.drop_database(name)
    for left in databases:
        document = client[left].probe.find_one() if left.startswith(PREFIX) else None
        if document is not None and now - document["at"].replace(tzinfo=UTC) > FORGOTTEN:
            client.drop_database(left)
            yield left
