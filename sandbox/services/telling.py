"""What the controller tells of one pod beside its status: events, logs, and what kwok serves of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from runbooks_lib.cluster import Cluster, Conflict
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Json

_KWOK = "kwok.x-k8s.io/v1alpha1"
#: Seconds between two lines of an init container that says the same again.
_AGAIN_SECONDS = 5.0


def write_lines(log: Path, lines: Iterable[str]) -> None:
    """Append to a log in the runtime's format, which kwok serves."""
    stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z")
    with log.open("a", encoding="utf-8") as sink:
        sink.writelines(f"{stamp} stdout F {line}\n" for line in lines)


class Waiting:
    """The log of an init container that waits: why, at each change and every few seconds."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._last = ("", 0.0)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()

    def say(self, why: str) -> None:
        """Write it down, unless it stands there already."""
        said, at = self._last
        if why != said or time.monotonic() >= at + _AGAIN_SECONDS:
            self._last = (why, time.monotonic())
            write_lines(self.log, [" ".join(why.split())])


class Told:
    """The objects that speak of one pod; each event is made once."""

    def __init__(self, cluster: Cluster, pod: Json) -> None:
        self._cluster = cluster
        self._pod = pod
        self._events: set[tuple[str, str]] = set()

    def event(self, reason: str, message: str, *, kind: str = "Warning") -> None:
        """Make an event as a kubelet does; one that can't be made is no trouble of the pod's."""
        if (reason, message) in self._events:
            return
        about, now = self._pod["metadata"], datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about['name']}.{time.time_ns():x}", "namespace": about["namespace"]},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod"}
            | {key: about[key] for key in ("namespace", "name", "uid")},
            "source": {"component": "kubelet", "host": self._pod["spec"].get("nodeName", "")},
            **{"type": kind, "reason": reason, "message": message, "count": 1},
            **{"firstTimestamp": now, "lastTimestamp": now},
        }
        with suppress(RunbookError):
            self._cluster.create(event)
            self._events.add((reason, message))

    def pulling(self, status: Json) -> None:
        """The events of images that can't be pulled; why stands in the status, which kwok has written."""
        for one in status.get("containerStatuses") or ():
            waiting, image = one["state"].get("waiting") or {}, one["image"]
            if waiting.get("reason") == "ErrImagePull":
                self.event("Pulling", f'Pulling image "{image}"', kind="Normal")
                self.event("Failed", f'Failed to pull image "{image}": {waiting["message"]}')
            elif waiting.get("reason") == "ImagePullBackOff":
                self.event("BackOff", f'Back-off pulling image "{image}"', kind="Normal")

    def serve(self, kind: str, spec: Json) -> None:
        """Have kwok forward ports, serve logs or run commands for ``exec``; it goes with the pod."""
        about = self._pod["metadata"]
        name, namespace = about["name"], about["namespace"]
        owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": about["uid"]}
        metadata = {"name": name, "namespace": namespace, "ownerReferences": [owner]}
        self._cluster.delete(_KWOK, kind, name, namespace)
        with suppress(Conflict):
            self._cluster.create({"apiVersion": _KWOK, "kind": kind, "metadata": metadata, "spec": spec})

    def serve_logs(self, logs: dict[str, Path], otherwise: Path) -> None:
        """Serve the log of each container in its folder; another one's is empty."""
        rows: list[Json] = [
            {
                "containers": [name],
                "logsFile": str(log),
                "previousLogsFile": str(log.with_name("previous.log")),
                "follow": True,
            }
            for name, log in logs.items()
        ]
        self.serve("Logs", {"logs": [*rows, {"logsFile": str(otherwise)}]})


def serve_empty_logs(cluster: Cluster, empty: Path) -> None:
    """A container without a program has an empty log, as one that says nothing has it on a node."""
    empty.touch()
    body: Json = {"apiVersion": _KWOK, "kind": "ClusterLogs", "metadata": {"name": "empty"}}
    with suppress(Conflict):
        cluster.create(body | {"spec": {"logs": [{"logsFile": str(empty)}]}})
