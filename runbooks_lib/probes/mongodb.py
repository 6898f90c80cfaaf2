"""Does a MongoDB let its users in, and what are its documents? The only importer of ``pymongo``, loaded when it asks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from runbooks_lib.parameters.components import Access
from runbooks_lib.probes.asking import PREFIX, Answered, Seen, asking, run_of
from runbooks_lib.probes.rows import Contents, contents_of

#: What is this old is left of a probe that was killed in the middle, also where no record tells of its run.
FORGOTTEN = timedelta(hours=1)
#: What a privilege must allow whoever works with documents: the core of the role readWrite.
_NEEDED = {"find", "insert", "remove", "update"}
#: Databases that a server keeps for itself.
_SYSTEM = ("admin", "config", "local")
#: Documents that are written together.
_MANY = 100


@contextmanager
def _connected(address: tuple[str, int], access: Access, seconds: float) -> Iterator[Any]:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    host, port = (f"[{address[0]}]" if ":" in address[0] else address[0]), address[1]
    login = {"username": access.user, "password": access.password, "authSource": access.database or "admin"}
    limits = dict.fromkeys(("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), round(seconds * 1000))
    how: dict[str, Any] = limits | (login if access.user else {})
    how |= {"directConnection": True, "retryReads": False, "retryWrites": False}
    # The client's threads, which watch the server, end by themselves half a second later.
    with asking("MongoDB", access, PyMongoError), closing(MongoClient[Any](host, port, **how)) as client:
        yield client


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
    from pymongo.errors import OperationFailure

    with _connected(address, access, seconds) as client:
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


def about(address: tuple[str, int], access: Access, *, seconds: float) -> tuple[str, int, list[str]]:
    """A server's version, the bytes that its data take, and the collections that clients have made."""
    with _connected(address, access, seconds) as client:
        size = sum(int(each.get("sizeOnDisk", 0)) for each in client.list_databases())
        names = [f"{database}.{info['name']}" for database, info in _collections(client, access.database)]
        return client.server_info()["version"], size, names


def dump(address: tuple[str, int], access: Access, file: Path, *, seconds: float) -> tuple[Contents, ...]:
    """Write all collections, each with its options, indexes and documents.

    Returns: What was in them before: a server alone knows no moment of all of it, so whoever compares sees what came between.
    """
    import bson

    with _connected(address, access, seconds) as client, file.open("wb") as out:
        listed = [(client[database][info["name"]], info) for database, info in _collections(client, access.database)]
        found = contents_of((held.full_name, each.raw) for held, _ in listed for each in _documents(held))
        for held, info in listed:
            # An index's version and namespace are the server's to say.
            indexes = [{key: each[key] for key in each if key not in ("v", "ns")} for each in held.list_indexes()]
            head = {"database": held.database.name, "collection": held.name, "options": info.get("options") or {}}
            out.write(bson.encode({**head, "indexes": [each for each in indexes if each["name"] != "_id_"]}))
            for document in _documents(held):
                out.write(bson.encode({"document": document}))
    return found


def fill(
    address: tuple[str, int], access: Access, file: Path, prefix: str = "", *, seconds: float
) -> tuple[Contents, ...]:
    """Put the collections of a copy in the place of those that their databases hold; what is in them then.

    Args:
        prefix: Of the names of databases of our own, which are used instead, and removed again.
    """
    import bson
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    made: dict[str, Any] = {}
    held: Any = None
    with _connected(address, access, seconds) as client, file.open("rb") as source:
        records = bson.decode_file_iter(source, CodecOptions(document_class=RawBSONDocument))
        try:
            for documents, group in groupby(records, key=lambda record: "document" in record):
                while documents and (batch := [each["document"] for each in islice(group, _MANY)]):
                    held.insert_many(batch)
                for head in (bson.decode(each.raw) for each in group if not documents):
                    database = client[prefix + head["database"]]
                    if not any(each.database == database for each in made.values()):
                        client.drop_database(database)
                    held = database.create_collection(head["collection"], **head["options"])
                    if head["indexes"]:
                        database.command("createIndexes", held.name, indexes=head["indexes"])
                    made[f"{head['database']}.{held.name}"] = held
            return contents_of((name, each.raw) for name, held in made.items() for each in _documents(held))
        finally:
            for each in made.values() if prefix else ():
                client.drop_database(each.database)


def _collections(client: Any, wanted: str) -> list[tuple[str, Any]]:
    """Each collection that clients have made, in the database that is named or in all, with what the server says of it."""
    found = []
    for database in client.list_database_names():
        if database in _SYSTEM or database.startswith(PREFIX) or wanted not in ("", "admin", database):
            continue
        for info in client[database].list_collections():
            if (kind := info.get("type", "collection")) != "collection":
                raise Seen("not collections alone", place=f"{database}.{info['name']}", kind=kind)
            if not info["name"].startswith("system."):
                found.append((database, info))
    return found


def _documents(collection: Any) -> Any:
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    return collection.with_options(CodecOptions(document_class=RawBSONDocument)).find()
