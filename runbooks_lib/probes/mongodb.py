"""Does a MongoDB let its users in? The only importer of ``pymongo``, loaded when it asks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import PREFIX, Answered, Seen, asking, run_of

#: What is this old is left of a probe that was killed in the middle, also where no record tells of its run.
FORGOTTEN = timedelta(hours=1)
#: What a privilege must allow whoever works with documents: the core of the role readWrite.
_NEEDED = {"find", "insert", "remove", "update"}


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
    from pymongo.errors import OperationFailure, PyMongoError

    host, port = (f"[{address[0]}]" if ":" in address[0] else address[0]), address[1]
    login = {"username": access.user, "password": access.password, "authSource": access.database or "admin"}
    limits = dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), round(seconds * 1000))
    how: dict[str, Any] = limits | (login if access.user else {})
    how |= {"directConnection": True, "retryReads": False, "retryWrites": False}
    # The client's threads, which watch the server, end by themselves half a second later.
    with asking("MongoDB", access, PyMongoError), closing(MongoClient[Any](host, port, **how)) as client:
        hello = client.admin.command("hello")
        # The first question that nobody answers who has not logged in.
        databases = client.list_database_names()
        left = [name for name in databases if name.startswith(PREFIX) and _left(client, name, ended)]
        if write:
            _remember(client, write)
            for name in left:
                client.drop_database(name)
        version = client.server_info()["version"]
        try:
            status = client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
        except OperationFailure:
            # What only resembles a MongoDB may not know the command.
            status = {}
    done = "removed now" if write else "03_verify with `probes: write` removes it"
    facts = [f"left by a run that was killed: {', '.join(left)} ({done})"] if left else []
    doubts, lacks = ([], []) if write or not access.user else rights(status, access)
    return Answered(
        product="MongoDB",
        version=version,
        facts=tuple(facts),
        doubts=(*doubts, *members(hello, address)),
        lacks=tuple(lacks),
        wrote="a document" if write else "",
    )


def rights(status: Mapping[str, Any], access: Access) -> tuple[list[str], list[str]]:
    """Doubts and lacks about what a user may do.

    Args:
        status: The ``authInfo`` of ``connectionStatus`` with privileges; servers that know no roles leave those out.
        access: Its database is the one that is used; without one, any that the user may write to will do.
    """
    privileges = status.get("authenticatedUserPrivileges")
    if privileges is None:
        return [f"it does not tell what {access.user} may do"], []
    roles = ", ".join(f"{role['role']} of {role['db']}" for role in status.get("authenticatedUserRoles") or ())
    if any({*each["actions"]} >= _NEEDED and _covers(each["resource"], access.database) for each in privileges):
        return [], []
    where = access.database or "any database"
    return [], [f"{access.user} may not read and write in {where} (roles: {roles or 'none'})"]


def _covers(resource: Mapping[str, Any], database: str) -> bool:
    """Whether a privilege is for all collections of a database; an empty name in it is every one."""
    named = resource.get("db")
    whole = named is not None and resource.get("collection") == ""
    return bool(resource.get("anyResource")) or (whole and (not database or named in ("", database)))


def members(hello: Mapping[str, Any], address: tuple[str, int]) -> Iterator[str]:
    """What a client that asks for the whole replica set meets besides, by the answer to ``hello``.

    A probe talks to one server alone; the chart's URL says nothing of that, so that a client does not.
    """
    if not (hello.get("isWritablePrimary") or hello.get("ismaster")):
        yield "a secondary, which takes no writes: clients are led to its primary"
    others = [name for name in hello.get("hosts") or () if name != "{}:{}".format(*address)]
    if others:
        yield f"in the replica set {hello.get('setName')}: the pods must reach {', '.join(others)}, too"


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
