"""Following the objects of a kind for as long as a controller works."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Json

_PAUSE_SECONDS = 1.0


def follow(
    cluster: Cluster, kind: str, take: Callable[[str, Json], None], ended: threading.Event, *, api_version: str = "v1"
) -> None:
    """Hand over every object of a kind and each change of it, in a thread of its own."""
    known: dict[str, Json] = {}

    def work() -> None:
        while not ended.is_set():
            try:
                # What was deleted while nobody watched is told by its absence alone.
                there = {one["metadata"]["uid"] for one in cluster.list(api_version, kind)} if known else set()
                for uid in known.keys() - there:
                    take("DELETED", known.pop(uid))
                for change, seen in cluster.watch(api_version, kind, None, timeout=3600):
                    known[seen["metadata"]["uid"]] = seen
                    if change == "DELETED":
                        del known[seen["metadata"]["uid"]]
                    take(change, seen)
            except RunbookError as error:
                say(error)
                ended.wait(_PAUSE_SECONDS)

    threading.Thread(target=work, daemon=True).start()


def changes(
    cluster: Cluster, kinds: Sequence[str], ended: threading.Event, *, again: float, api_version: str = "v1"
) -> Iterator[tuple[list[Json], ...]]:
    """The objects of some kinds, a list for each, whenever one of them changed, and after ``again`` quiet seconds."""
    known: dict[str, dict[str, Json]] = {kind: {} for kind in kinds}
    lock, changed = threading.Lock(), threading.Event()

    def take(kind: str, change: str, seen: Json) -> None:
        with lock:
            known[kind][seen["metadata"]["uid"]] = seen
            if change == "DELETED":
                del known[kind][seen["metadata"]["uid"]]
        changed.set()

    for kind in kinds:
        follow(cluster, kind, partial(take, kind), ended, api_version=api_version)
    while not ended.is_set():
        changed.wait(again)
        changed.clear()
        with lock:
            found = tuple(list(those.values()) for those in known.values())
        yield found


def say(error: BaseException) -> None:
    """Tell of trouble in the controller's log."""
    print(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}", file=sys.stderr, flush=True)
