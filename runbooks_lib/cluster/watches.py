"""Reading a collection whole, and following it over dropped connections and forgotten versions."""

import json
import math
import time
from collections.abc import Iterator

from runbooks_lib.cluster import failures
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.cluster.failures import Expired, Untrusted
from runbooks_lib.errors import OutcomeUnknown
from runbooks_lib.results import Json

#: ``ADDED``, ``MODIFIED`` or ``DELETED``, and the object as it is now (of a deleted one: as it was last).
Change = tuple[str, Json]

#: Objects in one page of a list; what `kubectl` asks for.
PAGE = 500
#: Seconds of one request of a watch. A connection that died without a word costs at most this.
STRETCH = 30.0


def list_all(connection: Connection, resource: Resource, namespace: str | None) -> tuple[list[Json], str]:
    """Every object of a collection, or Expired; and the version of the list, from which a watch can start."""
    found: list[Json] = []
    query = {"limit": str(PAGE)}
    while True:
        ask = resource.ask("list", namespace, query=query)
        answer = connection.json(ask)
        with failures.readable(connection.server, ask):
            # The items of a list of a built-in kind don't say what they are.
            what = {"apiVersion": resource.api_version, "kind": resource.kind}
            found += [{**what, **item} for item in answer.get("items") or ()]
            if not answer["metadata"].get("continue"):
                return found, str(answer["metadata"].get("resourceVersion") or "")
            query = query | {"continue": answer["metadata"]["continue"]}


def watch(connection: Connection, resource: Resource, namespace: str | None, timeout: float) -> Iterator[Change]:
    """Yield every object as ADDED, then each change, until ``timeout`` seconds (at most one more) have passed.

    A gap is bridged: what happened meanwhile is told as the difference, and nothing is told twice. A cluster that
    does not answer is an error only at the beginning and at the end.
    """
    deadline = time.monotonic() + timeout
    items, version = list_all(connection, resource, namespace)
    known = {_uid(item): item for item in items}
    yield from difference({}, known)
    trouble: OutcomeUnknown | None = None
    while time.monotonic() < deadline:
        try:
            if not version:
                items, version = list_all(connection, resource, namespace)
                before, known = known, {_uid(item): item for item in items}
                yield from difference(before, known)
            for kind, obj in _stretch(connection, resource, namespace, version, deadline):
                version = _version(obj)
                known[_uid(obj)] = obj
                if kind == "DELETED":
                    del known[_uid(obj)]
                yield kind, obj
                if time.monotonic() >= deadline:
                    return
            trouble = None
        except Expired:
            version = ""
        except Untrusted:
            raise
        except OutcomeUnknown as error:
            trouble = error
        # Also after a good end: a proxy that ends every answer at once must not make this a busy loop.
        time.sleep(max(0.0, min(connection.pause, deadline - time.monotonic())))
    if trouble is not None:
        raise trouble


def difference(before: dict[str, Json], now: dict[str, Json]) -> list[Change]:
    """The changes that lead from one state of a collection to another, each a mapping from UID to object."""
    gone = [("DELETED", before[uid]) for uid in before if uid not in now]
    new = [("ADDED", now[uid]) for uid in now if uid not in before]
    both = [uid for uid in now if uid in before]
    changed = [("MODIFIED", now[uid]) for uid in both if _version(before[uid]) != _version(now[uid])]
    return [*gone, *new, *changed]


def _stretch(
    connection: Connection, resource: Resource, namespace: str | None, version: str, deadline: float
) -> Iterator[Change]:
    """One request's worth of changes."""
    seconds = max(1, math.ceil(min(deadline - time.monotonic(), STRETCH)))
    query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(seconds)}
    ask = resource.ask("watch", namespace, query=query)
    # The server ends the answer in time; one that does not is dead.
    with connection.lines(ask, patience=seconds + 1) as lines:
        for line in lines:
            with failures.readable(connection.server, ask):
                event = json.loads(line)
                kind, obj = str(event["type"]), event["object"]
                if kind == "ERROR":
                    raise failures.refusal(connection.server, ask, int(obj["code"]), json.dumps(obj).encode())
                _version(obj)
            yield kind, obj


def _version(obj: Json) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _uid(obj: Json) -> str:
    return str(obj["metadata"].get("uid"))
