"""Does a MongoDB let its users in? The only importer of ``pymongo``, loaded when it asks."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import PREFIX, Answered, Seen, asking, run_of

#: What is this old is left of a probe that was killed in the middle, also where no record tells of its run.
FORGOTTEN = timedelta(hours=1)


def ask(
    address: tuple[str, int],
    access: Access,
    write: str = "",
    ended: Callable[[str], bool] = lambda _: False,
    *,
    seconds: float = 5,
) -> Answered:
    """Log in where there is a user, and look; with ``write``, a name, also write, read and remove a document.

    The document is alone in a database of that name, which goes with it; so does what runs that were killed have left.
    The database of ``access`` is the one that knows the user.

    Args:
        ended: Whether a run is proved to be over.
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
        left = [name for name in databases if name.startswith(PREFIX) and _left(client, name, ended)]
        if write:
            _remember(client, write)
            for name in left:
                client.drop_database(name)
        version = client.server_info()["version"]
    facts = [] if hello.get("isWritablePrimary") else ["a secondary, which takes no writes"]
    done = "removed now" if write else "03_verify with `probes: write` removes it"
    facts += [f"left by a run that was killed: {', '.join(left)} ({done})"] if left else []
    return Answered(product="MongoDB", version=version, facts=tuple(facts), wrote="a document" if write else "")


def _remember(client: Any, name: str) -> None:
    """Write a document, read and remove it."""
    try:
        client[name].probe.insert_one({"_id": name, "at": datetime.now(UTC)})
        if client[name].probe.find_one({"_id": name}) is None:
            raise Seen("read only")
    finally:
        client.drop_database(name)


def _left(client: Any, name: str, ended: Callable[[str], bool]) -> bool:
    """Whether nobody is at work any more on what has this name."""
    if ended(run_of(name)):
        return True
    document = client[name].probe.find_one()
    return document is not None and datetime.now(UTC) - document["at"].replace(tzinfo=UTC) > FORGOTTEN
