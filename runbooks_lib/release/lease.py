"""One run at a time changes a release: a Kubernetes Lease with an owner, renewed while the change lasts."""

import getpass
import platform
import threading
from contextlib import suppress
from datetime import UTC, datetime

from runbooks_lib import process
from runbooks_lib.cluster import Conflict
from runbooks_lib.errors import RunbookError
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import annotation
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Event, Json

#: Seconds after the last renewal from which a Lease no longer holds, and between two renewals.
SECONDS, RENEWAL = 30, 8.0

_API = "coordination.k8s.io/v1"
_MARK = "runbooks/"


class Lease:
    """The Lease of one release; the holder's process is kept in its annotations, to tell whether it is gone."""

    def __init__(self, boundaries: Boundaries, *, stage: str) -> None:
        self._boundaries = boundaries
        self._where = ("Lease", name_of(boundaries.release), boundaries.namespace)
        self._stage = stage
        self._ended = threading.Event()
        self._holder = ""
        self.lost = False

    def require_free(self) -> Json | None:
        """The Lease of a former owner that may be taken over; None where there is none.

        Raises TargetRefused: Somebody holds it, or may still hold it.
        """
        found = self._boundaries.cluster.get(_API, *self._where)
        if found is None:
            return None
        spec, run = found.get("spec") or {}, annotation(found, f"{_MARK}run")
        silent = (datetime.now(UTC) - _time(spec.get("renewTime"))).total_seconds()
        who = f"{spec.get('holderIdentity', 'somebody')} since {spec.get('acquireTime', 'an unknown time')}"
        # One from the future is of a clock that was set, and proves nothing.
        if -SECONDS < silent < int(spec.get("leaseDurationSeconds") or SECONDS):
            raise refused("held", release=self._boundaries.release, who=who)
        if _gone(found) or (run and self._boundaries.parameters.policy.take_over == run):
            return found
        words = {"who": who, "silent": silent, "run": run or "ITS-RUN-ID"}
        raise refused("perhaps held", release=self._boundaries.release, **words)

    def take(self) -> None:
        """Take it, and renew it until it is given back; raises TargetRefused: somebody else was faster, or holds it."""
        former, cluster, (kind, name, namespace) = self.require_free(), self._boundaries.cluster, self._where
        me, run = process.identify(), self._boundaries.note.removeprefix("run ")
        told = {"run": run, "host": platform.node(), "pid": str(me.pid), "start-time": repr(me.start_time)}
        self._holder = f"run {run} of {self._stage} by {getpass.getuser()}@{platform.node()} (process {me.pid})"
        spec: Json = {"holderIdentity": self._holder, "leaseDurationSeconds": SECONDS}
        spec |= dict.fromkeys(("acquireTime", "renewTime"), _now())
        metadata: Json = {"annotations": {f"{_MARK}{key}": value for key, value in told.items()}}
        try:
            if former is None:
                metadata |= {"name": name, "namespace": namespace}
                cluster.create({"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec})
            else:
                metadata["resourceVersion"] = former["metadata"]["resourceVersion"]
                cluster.patch(_API, kind, name, {"metadata": metadata, "spec": spec}, namespace)
                self._boundaries.observe(Event(kind="lease.taken-over", data={"from": former["spec"]}))
        except Conflict as error:
            raise refused("faster", release=self._boundaries.release) from error
        threading.Thread(target=self._renew, name="lease", daemon=True).start()

    def give_back(self) -> None:
        """Remove it, if it is ours; where that fails it expires by itself."""
        self._ended.set()
        with suppress(RunbookError):
            # Perhaps it was taken over since it was renewed last.
            if self._holder and self._is_ours(self._boundaries.cluster.get(_API, *self._where)):
                self._boundaries.cluster.delete(_API, *self._where)

    def _is_ours(self, found: Json | None) -> bool:
        return found is not None and found["spec"].get("holderIdentity") == self._holder

    def _renew(self) -> None:
        cluster, (kind, name, namespace) = self._boundaries.cluster, self._where
        while not self._ended.wait(RENEWAL):
            with suppress(RunbookError):
                found = cluster.get(_API, kind, name, namespace)
                if found is None or not self._is_ours(found):
                    # Taken over by somebody who said that we were gone: the change must not go on.
                    self.lost = True
                    return
                version = {"resourceVersion": found["metadata"]["resourceVersion"]}
                cluster.patch(_API, kind, name, {"metadata": version, "spec": {"renewTime": _now()}}, namespace)


def name_of(release: str) -> str:
    """What the Lease of a release is called."""
    return f"runbooks-{release}"


def _gone(found: Json) -> bool:
    """Whether the owner ran on this machine and has ended."""
    try:
        pid, start = int(annotation(found, f"{_MARK}pid")), float(annotation(found, f"{_MARK}start-time"))
    except ValueError:
        return False
    return annotation(found, f"{_MARK}host") == platform.node() and not process.Started(pid, start).alive


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return datetime.now(UTC)
