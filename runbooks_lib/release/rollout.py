"""The roll-out watch: when are all workloads really there.

``helm --wait`` comes back when pods are Ready, not when they are Available (``minReadySeconds``), and while
old pods still run. A workload is rolled out here when its controller has seen the newest spec, all replicas
are updated *and available*, and no pod of an older revision is left.
"""

import queue
import re
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.pods import troubles_of
from runbooks_lib.results import Event, Json
from runbooks_lib.tables import table

_WATCH_SECONDS = 5.0
#: Seconds between two looks at pods while no workload gets on.
_LOOK_SECONDS = 2.0
#: What does not get better by waiting, and for how long it must have been said.
_HOPELESS: list[Json] = table(__package__, "rollout.yaml")


class Progress(NamedTuple):
    """Where one workload's roll-out stands."""

    name: str
    done: bool
    says: str


def progress_of(workload: Json) -> Progress:
    """Read a live workload's roll-out off its own status."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    name = str(key_of(workload))
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        total = status.get("currentNumberScheduled", 0)
        updated, available = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)
    else:
        wanted = spec.get("replicas", 1)
        total = status.get("replicas", 0)
        updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    done = seen and updated == wanted and available == wanted and total == wanted
    if not seen:
        says = "its controller has not seen the newest spec yet"
    else:
        says = f"{available} of {wanted} available, {updated} updated"
        if total > updated:
            says += f", {total - updated} old still there"
    return Progress(name, done, says)


def lacks_pods(workload: Json) -> bool:
    """Whether a live workload has fewer pods of its newest spec than it is to have, or a Job had none yet."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if workload["kind"] == "Job":
        return not any(status.get(kind) for kind in ("active", "succeeded", "failed"))
    if workload["kind"] == "DaemonSet":
        return bool(status.get("updatedNumberScheduled", 0) < status.get("desiredNumberScheduled", 0))
    return bool(status.get("updatedReplicas", 0) < spec.get("replicas", 1))


def await_rollout(
    boundaries: Boundaries, workloads: Iterable[Json], *, seconds: float, old: frozenset[str] = frozenset()
) -> list[Progress]:
    """Wait until these workloads are rolled out, the time is up, or a new pod says what does not get better by waiting.

    Each change is told to the observer.

    Args:
        workloads: Rendered objects.
        seconds: The budget for all of them together.
        old: The UIDs of the pods that were there before the change: what they say is what is being mended.

    Returns:
        Where each stands at the end; all ``done`` when it went well.
    """
    listed = list(workloads)
    wanted = {str(key_of(obj)): (str(obj["apiVersion"]), str(obj["kind"])) for obj in listed}
    hopeless = Hopeless(boundaries, listed, old)
    told: dict[str, Progress] = {name: Progress(name, False, "not there yet") for name in wanted}
    deadline = time.monotonic() + seconds
    over = threading.Event()
    news = _watched(boundaries, set(wanted.values()), over)
    try:
        while not all(progress.done for progress in told.values()):
            left = deadline - time.monotonic()
            try:
                item = news.get(timeout=max(0.0, min(left, _LOOK_SECONDS)))
            except queue.Empty:
                if left <= 0 or hopeless.seen():
                    break
                continue
            if isinstance(item, Exception):
                raise item
            progress = progress_of(item)
            if progress.name in told and progress != told[progress.name]:
                told[progress.name] = progress
                data = {"workload": progress.name, "done": progress.done, "says": progress.says}
                boundaries.observe(Event(kind="change.progress", data=data))
    finally:
        over.set()
    return [told[name] for name in sorted(told)]


def _watched(
    boundaries: Boundaries, kinds: set[tuple[str, str]], over: threading.Event
) -> queue.Queue[Json | Exception]:
    """What is new of these kinds, watched each in a thread of its own until it is over; also what broke a watch."""
    news: queue.Queue[Json | Exception] = queue.Queue()

    def watch(api_version: str, kind: str) -> None:
        try:
            # In short watches: a quiet one would outlive the wait by its whole budget.
            while not over.is_set():
                for action, obj in boundaries.cluster.watch(
                    api_version, kind, boundaries.namespace, timeout=_WATCH_SECONDS
                ):
                    if action != "DELETED":
                        news.put({"apiVersion": api_version, "kind": kind} | obj)
        except Exception as error:  # noqa: BLE001 - raised by the waiting thread, which would else wait for ever
            news.put(error)

    for what in sorted(kinds):
        threading.Thread(target=watch, args=what, daemon=True).start()
    return news


class Hopeless:
    """Looks whether a new pod of some workloads says, for long enough, what waiting does not mend."""

    def __init__(self, boundaries: Boundaries, workloads: list[Json], old: frozenset[str]) -> None:
        self._boundaries, self._workloads, self._old = boundaries, workloads, old
        self._since: dict[tuple[str, str], float] = {}

    def seen(self) -> bool:
        """Whether one does now."""
        now = time.monotonic()
        said = {
            (pod["metadata"]["uid"], row["says"]): row["seconds"]
            for pod in self._boundaries.pods_of(self._workloads)
            if pod["metadata"].get("uid", "") not in self._old
            for trouble in troubles_of(pod)
            for row in _HOPELESS
            if re.search(row["says"], trouble.says)
        }
        self._since = {key: self._since.get(key, now) for key in said}
        return any(now - self._since[key] >= seconds for key, seconds in said.items())


def await_absence(boundaries: Boundaries, objects: Iterable[Json], *, seconds: float) -> list[str]:
    """Wait until none of these objects is there any more.

    Returns:
        The names of those still there when the time was up.
    """
    waiting = list(objects)
    deadline = time.monotonic() + seconds
    while True:
        waiting = [obj for obj in waiting if boundaries.live(obj)]
        if not waiting or time.monotonic() > deadline:
            return [str(key_of(obj)) for obj in waiting]
        time.sleep(0.2)
