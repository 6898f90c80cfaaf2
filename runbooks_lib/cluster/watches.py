"""Following a collection: what is there, then every change, over dropped connections and forgotten versions."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from typing import Any

from runbooks_lib.cluster import failures, refusals
from runbooks_lib.cluster.connection import Connection
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.cluster.failures import Ask, Expired, Untrusted
from runbooks_lib.cluster.objects import ask_about, list_all
from runbooks_lib.errors import OutcomeUnknown
from runbooks_lib.results import Json

#: ``ADDED``, ``MODIFIED`` or ``DELETED``, and the object as it is now (of a deleted one: as it was last).
Change = tuple[str, Json]
CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})

#: Seconds of one request. A connection that died without a word costs at most this.
STRETCH = 30.0
#: Seconds between attempts while the server does not answer: the first and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


def watch(
    connection: Connection, resource: Resource, namespace: str | None, *, labels: str, timeout: float
) -> Iterator[Change]:
    """Yield every object as ADDED, then each change, until ``timeout`` seconds (at most one more) have passed.

    A gap is bridged: nothing is told twice, and what happened meanwhile is told as the difference (of a
    re-created object DELETED, then ADDED).

    Raises:
        Rejected: It may not be watched, or its kind is gone.
        OutcomeUnknown: The cluster does not answer, or fails, at the beginning or at the end.
        Untrusted: It no longer accepts the credentials, or its certificate has changed.
    """
    deadline = time.monotonic() + timeout
    following = _Following(connection, resource, namespace, labels)
    yield from following.catch_up()
    pause = FIRST_PAUSE
    trouble: OutcomeUnknown | None = None
    while (left := deadline - time.monotonic()) > 0:
        began = time.monotonic()
        try:
            if not following.version:
                yield from following.catch_up()
            for change in following.stretch(left):
                pause = FIRST_PAUSE
                if change is not None:
                    yield change
                if time.monotonic() >= deadline:
                    return
            trouble = None
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
        except Expired:
            following.version = ""
        except Untrusted:
            raise
        except OutcomeUnknown as error:
            trouble = error
        # Also after a good end: a proxy that ends every answer at once must not make this a busy loop.
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(pause * 2, LONGEST_PAUSE)
    if trouble is not None:
        raise trouble


class _Following:
    """What a watcher knows: the objects as they were told, and the version to go on from."""

    def __init__(
        self, connection: Connection, resource: Resource, namespace: str | None, labels: str
    ) -> None:
        self._connection = connection
        self._resource = resource
        self._namespace = namespace
        self._labels = labels
        self._known: dict[tuple[str, str], Json] = {}
        self.version = ""

    def catch_up(self) -> list[Change]:
        """List everything; the changes against what was told before."""
        items, self.version = list_all(self._connection, self._resource, self._namespace, labels=self._labels)
        now = {_key(item): item for item in items}
        changes = difference(self._known, now)
        self._known = now
        return changes

    def stretch(self, left: float) -> Iterator[Change | None]:
        """One request's worth of changes; ``None`` for a sign of life without one."""
        ask = self._ask(min(left, STRETCH))
        # The server ends the answer in time; one that does not is dead.
        with self._connection.lines(ask, patience=int(ask.query["timeoutSeconds"]) + 1) as lines:
            for line in lines:
                kind, obj = self._parsed(ask, line)
                self.version = obj["metadata"]["resourceVersion"]
                if kind not in CHANGES:
                    yield None
                    continue
                if kind == "DELETED":
                    self._known.pop(_key(obj), None)
                else:
                    self._known[_key(obj)] = obj
                yield kind, obj

    def _ask(self, seconds: float) -> Ask:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.version,
            "timeoutSeconds": str(max(1, math.ceil(seconds))),
        }
        if self._labels:
            query["labelSelector"] = self._labels
        return ask_about(self._resource, "watch", self._namespace, query=query)

    def _parsed(self, ask: Ask, line: bytes) -> tuple[str, Json]:
        server = self._connection.server
        try:
            event: dict[str, Any] = json.loads(line)
            kind, obj = str(event["type"]), event["object"]
            if kind == "ERROR":
                raise refusals.refusal(server, ask, int(obj.get("code") or 500), json.dumps(obj).encode())
            if not isinstance(obj["metadata"]["resourceVersion"], str):
                raise failures.malformed(server, ask)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise failures.malformed(server, ask) from error
        return kind, obj


def difference(before: dict[tuple[str, str], Json], now: dict[tuple[str, str], Json]) -> list[Change]:
    """The changes that lead from one state of a collection to another; a re-created object has another UID."""
    changes: list[Change] = []
    for key, old in before.items():
        if key not in now or _uid(now[key]) != _uid(old):
            changes.append(("DELETED", old))
    for key, new in now.items():
        old_one = before.get(key)
        if old_one is None or _uid(old_one) != _uid(new):
            changes.append(("ADDED", new))
        elif _version(old_one) != _version(new):
            changes.append(("MODIFIED", new))
    return changes


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _uid(obj: Json) -> Any:
    return obj["metadata"].get("uid")


def _version(obj: Json) -> Any:
    return obj["metadata"].get("resourceVersion")
