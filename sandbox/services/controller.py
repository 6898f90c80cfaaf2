"""The service controller: it leads every pod, with a real program for each container whose image is a known one.

Run as ``python -m sandbox.services.controller SETTINGS``. kwok writes the status of pods; this says, by annotations on
them, what they are to show, and kwok's Stages turn that into their status; so with Gateways and routes. And it
provides the volumes.
Started again it takes over what still runs.
"""

from __future__ import annotations

import json
import os
import shutil
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
from runbooks_lib.process import Started
from runbooks_lib.results import Json
from sandbox.services import hosts
from sandbox.services.gateways import Gateways
from sandbox.services.places import Places
from sandbox.services.pod import STARTED, Pod
from sandbox.services.telling import serve_empty_logs
from sandbox.services.unit import end_saved
from sandbox.services.volumes import Volumes
from sandbox.services.watching import follow, say
from sandbox.state import CONTEXT, write_whole

#: Seconds between two looks at a pod that is not ready, and at one that is.
_SOON, _LATER = 0.25, 2.0
_TABLE_SECONDS, _SWEEP_SECONDS = 0.5, 30.0
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
    """Keeps a :class:`Pod` for each pod of the cluster."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        self._places = Places(Path(settings.folder), Path(settings.volumes), cluster)
        self._pods: dict[str, Pod] = {}
        self._gone: list[tuple[Pod, Future[None] | None]] = []
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._busy: dict[str, Future[None]] = {}

    def run(self, ended: threading.Event) -> None:
        """Work until told to end, then end every program."""
        # First of all: a program of a pod that is gone holds its claim, and a new one would get the same.
        while not self._sweep() and not ended.wait(_SOON):
            pass
        _guarded(lambda: serve_empty_logs(self._cluster, self._places.empty))
        follow(self._cluster, "Pod", self._take, ended)
        Volumes(Path(self._settings.volumes), self._cluster).run(ended)
        Gateways(self._cluster).run(ended)
        table, sweep = 0.0, time.monotonic() + _SWEEP_SECONDS
        with ThreadPoolExecutor(_WORKERS) as pool:
            while not ended.wait(0.05):
                now = time.monotonic()
                self._submit(pool, now)
                try:
                    if now >= table:
                        table = now + _TABLE_SECONDS
                        self._write_tables()
                    if now >= sweep:
                        sweep = now + _SWEEP_SECONDS
                        self._sweep()
                except RunbookError as error:
                    say(error)
            list(pool.map(Pod.stop, self._known()))

    def _known(self) -> list[Pod]:
        with self._lock:
            return list(self._pods.values())

    def _sweep(self) -> bool:
        """End and remove what is left of pods that are gone without our seeing it; False: they can't be told now.

        They went while no controller worked, or while a watch was broken.
        """
        folders, known = self._places.pods(), {str(pod.seen["metadata"]["uid"]): pod for pod in self._known()}
        try:
            there = {str(pod["metadata"]["uid"]) for pod in self._cluster.list("v1", "Pod")}
        except RunbookError as error:
            say(error)
            return False
        for uid in known.keys() - there:
            self._take("DELETED", known[uid].seen)
        lost = [folder for uid, folder in folders.items() if uid not in there and uid not in known]
        end_saved(*lost)
        for folder in lost:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def _submit(self, pool: ThreadPoolExecutor, now: float) -> None:
        with self._lock:
            # One that is being looked at could start a program behind our back.
            due = [pod for pod, busy in self._gone if busy is None or busy.done()]
            self._gone = [each for each in self._gone if each[0] not in due]
        for pod in due:
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
                busy = self._busy.pop(uid, None)
                if pod := self._pods.pop(uid, None):
                    self._gone.append((pod, busy))
                self._due.pop(uid, None)
            elif uid in self._pods:
                self._pods[uid].seen = seen
                if seen["metadata"].get("deletionTimestamp"):
                    self._due[uid] = 0.0
            else:
                self._pods[uid] = Pod(seen, self._cluster, self._places)

    def _write_tables(self) -> None:
        pods = self._known()
        running = [(pod.seen, pod.ports, pod.ready) for pod in pods]
        # Nobody looks a host up while there is no pod.
        found = hosts.table(self._cluster.list("v1", "Service") if pods else (), running)
        for namespace in {pod.namespace for pod in pods}:
            hosts.write(self._places.hosts(namespace), found.get(namespace, {}))
        told = {
            "controller": os.getpid(),
            "programs": [row for pod in pods for row in pod.rows()],
            "unknown": [f"{pod.namespace}/{pod.name} {name}" for pod in pods for name in pod.unknown],
        }
        write_whole(Path(self._settings.folder) / _PROGRAMS, json.dumps(told, indent=1))


def programs(folder: Path) -> tuple[list[dict[str, str]], list[str]]:
    """One row for each program that runs behind a pod, and the containers that have none although their image is known.

    Each is looked at: what the controller last wrote may be older than the program's end.
    """
    try:
        told = json.loads((folder / _PROGRAMS).read_text(encoding="utf-8"))
        return [_seen_now(row) for row in told["programs"]], told["unknown"]
    except (OSError, ValueError, KeyError):
        return [], []


def _seen_now(row: dict[str, str]) -> dict[str, str]:
    begun = row.pop(STARTED, "")
    if row["pid"] and not Started(int(row["pid"]), float(begun or 0)).alive:
        return row | {"state": "not running", "pid": ""}
    return row


def fresh(folder: Path, pid: int) -> bool:
    """Whether the controller with this pid has written about its programs in the last seconds."""
    file = folder / _PROGRAMS
    try:
        recent = time.time() - file.stat().st_mtime < _FRESH_SECONDS
        return recent and bool(json.loads(file.read_text(encoding="utf-8")).get("controller") == pid)
    except (OSError, ValueError):
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
