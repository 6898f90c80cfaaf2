"""The service controller: it runs a real program for each container whose image is a known one.

Run as ``python -m sandbox.services.controller SETTINGS``. kwok plays the kubelet; this says, by annotations on the
pods, how the programs behind them are, and kwok's Stages turn that into their status; and it provides the volumes.
Started again it takes over what still runs.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import RunbookError
from runbooks_lib.parameters.components import component_of
from runbooks_lib.results import Json
from sandbox.services import hosts
from sandbox.services.places import Places
from sandbox.services.pod import Pod
from sandbox.services.volumes import Volumes
from sandbox.services.watching import follow, say
from sandbox.state import CONTEXT, write_whole

#: Seconds between two looks at a pod that is not ready, and at one that is.
_SOON, _LATER = 0.25, 2.0
_TABLE_SECONDS = 0.5
_WORKERS = 6
_PROGRAMS = "programs.json"
_FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class Settings:
    """What the controller is started with; one JSON argument.

    Attributes:
        folder: Its own folder inside the sandbox's.
        volumes: Where the claims' data is kept.
        kubeconfig: The administrator's.
    """

    folder: str
    volumes: str
    kubeconfig: str


class Controller:
    """Keeps a :class:`Pod` for each pod of the cluster that has a container with a known image."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        self._places = Places(Path(settings.folder), Path(settings.volumes), cluster)
        self._pods: dict[str, Pod] = {}
        self._gone: list[Pod] = []
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._busy: dict[str, Future[None]] = {}

    def run(self, ended: threading.Event) -> None:
        """Work until told to end, then end every program."""
        follow(self._cluster, "Pod", self._take, ended)
        Volumes(Path(self._settings.volumes), self._cluster).run(ended)
        table = 0.0
        with ThreadPoolExecutor(_WORKERS) as pool:
            while not ended.wait(0.05):
                now = time.monotonic()
                self._submit(pool, now)
                try:
                    if now >= table:
                        table = now + _TABLE_SECONDS
                        self._write_tables()
                except RunbookError as error:
                    say(error)
            list(pool.map(Pod.stop, self._known()))

    def _known(self) -> list[Pod]:
        with self._lock:
            return list(self._pods.values())

    def _submit(self, pool: ThreadPoolExecutor, now: float) -> None:
        with self._lock:
            gone, self._gone = self._gone, []
        for pod in gone:
            pool.submit(_guarded, pod.forget)
        for pod in self._known():
            uid = str(pod.seen["metadata"]["uid"])
            busy = self._busy.get(uid)
            if now >= self._due.get(uid, 0.0) and (busy is None or busy.done()):
                self._due[uid] = now + (_LATER if pod.ready or pod.ended else _SOON)
                self._busy[uid] = pool.submit(_guarded, pod.step)

    def _take(self, kind: str, seen: Json) -> None:
        uid = str(seen["metadata"]["uid"])
        with self._lock:
            if kind == "DELETED":
                if pod := self._pods.pop(uid, None):
                    self._gone.append(pod)
                self._due.pop(uid, None)
                self._busy.pop(uid, None)
            elif uid in self._pods:
                self._pods[uid].seen = seen
                if seen["metadata"].get("deletionTimestamp"):
                    self._due[uid] = 0.0
            elif any(component_of(container["image"]) for container in seen["spec"]["containers"]):
                self._pods[uid] = Pod(seen, self._cluster, self._places)

    def _write_tables(self) -> None:
        pods = self._known()
        running = [(pod.seen, pod.ports, pod.ready) for pod in pods]
        # Nobody looks a host up while no program runs.
        found = hosts.table(self._cluster.list("v1", "Service") if pods else (), running)
        for namespace in {pod.namespace for pod in pods}:
            hosts.write(self._places.hosts(namespace), found.get(namespace, {}))
        told = {
            "programs": [row for pod in pods for row in pod.rows()],
            "unknown": [f"{pod.namespace}/{pod.name} {name}" for pod in pods for name in pod.unknown],
        }
        write_whole(Path(self._settings.folder) / _PROGRAMS, json.dumps(told, indent=1))


def programs(folder: Path) -> tuple[list[dict[str, str]], list[str]]:
    """One row for each program that runs behind a pod, and the containers that have none although their image is known."""
    try:
        told = json.loads((folder / _PROGRAMS).read_text(encoding="utf-8"))
        return told["programs"], told["unknown"]
    except (OSError, ValueError, KeyError):
        return [], []


def fresh(folder: Path) -> bool:
    """Whether a controller has written about its programs in the last seconds."""
    try:
        return time.time() - (folder / _PROGRAMS).stat().st_mtime < _FRESH_SECONDS
    except OSError:
        return False


def _guarded(work: Callable[[], None]) -> None:
    """One pod's trouble is no other pod's."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - told in the log, and tried again
        say(error)


def main() -> int:
    """Work until SIGTERM or SIGINT."""
    settings = Settings(**json.loads(sys.argv[1]))
    Path(settings.folder).mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = settings.folder
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Cluster.connect(Path(settings.kubeconfig), CONTEXT) as cluster:
        Controller(settings, cluster).run(ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())
