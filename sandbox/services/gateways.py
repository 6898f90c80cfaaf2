"""Which Gateways and routes a gateway controller would take: those whose class, and whose Gateway, is there.

A kwok Stage sees one object only. So this notes on each what is known of the others, and kwok gives it its status.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress

from runbooks_lib.cluster import Cluster, NotFound
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Json
from sandbox.nodes import PREFIX
from sandbox.services.watching import changes, say

_API = "gateway.networking.k8s.io/v1"
_GROUP = "gateway.networking.k8s.io"
_KINDS = ("GatewayClass", "Gateway", "HTTPRoute")
#: On a Gateway its class, so that another one is not taken by what was noted of the first; on a route the numbers of the parents that take it, as ``"0,1"``.
NOTE = f"{PREFIX}accepted"
_AGAIN_SECONDS = 2.0


class Gateways:
    """Keeps the note on every Gateway and HTTPRoute."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def run(self, ended: threading.Event) -> None:
        """Work, in threads of its own, until told to end."""
        threading.Thread(target=self._work, args=(ended,), daemon=True).start()

    def _work(self, ended: threading.Event) -> None:
        for seen in changes(self._cluster, _KINDS, ended, again=_AGAIN_SECONDS, api_version=_API):
            for kind, one, note in notes(*seen):
                metadata = one["metadata"]
                if (metadata.get("annotations") or {}).get(NOTE, "") != note:
                    body = {"metadata": {"annotations": {NOTE: note or None}}}
                    try:
                        with suppress(NotFound):
                            self._cluster.patch(_API, kind, metadata["name"], body, metadata["namespace"])
                    except RunbookError as error:
                        say(error)


def notes(classes: Iterable[Json], gateways: Iterable[Json], routes: Iterable[Json]) -> list[tuple[str, Json, str]]:
    """What is to stand on each object: its kind, the object, the note."""
    served = {one["metadata"]["name"] for one in classes}
    taken = [(one, one["spec"]["gatewayClassName"] in served) for one in gateways]
    there = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one, is_taken in taken if is_taken}
    told = [("Gateway", one, one["spec"]["gatewayClassName"] if is_taken else "") for one, is_taken in taken]
    for route in routes:
        parents = enumerate(route["spec"].get("parentRefs") or ())
        own = route["metadata"]["namespace"]
        numbers = [str(number) for number, parent in parents if _names(parent, own) in there]
        told.append(("HTTPRoute", route, ",".join(numbers)))
    return told


def _names(parent: Json, namespace: str) -> tuple[str, str] | None:
    """The Gateway that a route names; None where it names something else."""
    if parent.get("kind", "Gateway") != "Gateway" or parent.get("group", _GROUP) != _GROUP:
        return None
    return parent.get("namespace") or namespace, parent["name"]
