"""One run at a time changes a release: a Kubernetes Lease with an owner, renewed while the change lasts."""

import getpass
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime

from runbooks_lib import process
from runbooks_lib.cluster import Conflict
from runbooks_lib.errors import RunbookError
from runbooks_lib.records.folder import RUN_VARIABLE
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import annotation
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Approval, Event, Json

#: Seconds after the last renewal from which a Lease no longer holds, and between two renewals.
SECONDS, RENEWAL = 30, 8.0

_API = "coordination.k8s.io/v1"
_MARK = "runbooks/"
#: Before the nonce of an approval that was used; its value says how long that could be used again.
_USED = f"{_MARK}used-"


class Lease:
    """The Lease of one release; the holder's process is kept in its annotations, to tell whether it is gone.

    So is what each signed approval may be used for once only; while there is such a one, the Lease stays, held by nobody.
    """

    def __init__(self, boundaries: Boundaries, *, stage: str, approval: Approval | None = None) -> None:
        self._boundaries = boundaries
        self._where = ("Lease", name_of(boundaries.release), boundaries.namespace)
        self._stage = stage
        self._use = {f"{_USED}{approval.nonce}": approval.expires} if approval and approval.nonce else {}
        self._ended = threading.Event()
        self._holder = ""
        self.lost = False

    def require_free(self) -> Json | None:
        """The Lease of a former owner that may be taken over; None where there is none.

        Raises:
            TargetRefused: Somebody holds it, or may still hold it.
            ApprovalError: The approval was used before.
        """
        found = self._boundaries.cluster.get(_API, *self._where)
        if found is None:
            return None
        if self._use.keys() & _annotations(found).keys():
            raise refused("used before")
        spec = found.get("spec") or {}
        if not spec.get("holderIdentity"):
            return found
        run = annotation(found, f"{_MARK}run") or str(spec.get("holderIdentity") or "somebody")
        who = f"{spec.get('holderIdentity', 'somebody')} since {spec.get('acquireTime', 'an unknown time')}"
        renewed = _time(spec.get("renewTime"))
        silent = (datetime.now(UTC) - renewed).total_seconds() if renewed else float("inf")
        if -SECONDS < silent < int(spec.get("leaseDurationSeconds") or SECONDS):
            raise refused("held", release=self._boundaries.release, who=who)
        if _gone(found) or self._boundaries.parameters.policy.take_over == run:
            return found
        # One from the future is of a clock that was set, and proves nothing.
        heard = (
            f"last heard of {silent:.0f} s ago" if silent > 0 else "whose last sign is of a time that is yet to come"
        )
        heard = heard if renewed else "which does not say when it was last heard of"
        raise refused("perhaps held", release=self._boundaries.release, who=who, heard=heard, run=run)

    def take(self) -> None:
        """Take it, and renew it until it is given back; raises TargetRefused: somebody else was faster, or holds it."""
        former, cluster, (kind, name, namespace) = self.require_free(), self._boundaries.cluster, self._where
        if former is not None and (record := annotation(former, f"{_MARK}record")):
            # Its process is gone, but a helm that it started may be at work still.
            process.end_left_over(RUN_VARIABLE, record)
        run = self._boundaries.note.removeprefix("run ")
        told = {"run": run, "record": os.environ.get(RUN_VARIABLE, ""), **process.introduce()}
        self._holder = f"run {run} of {self._stage} by {getpass.getuser()}@{told['host']} (process {told['pid']})"
        spec: Json = {"holderIdentity": self._holder, "leaseDurationSeconds": SECONDS}
        spec |= dict.fromkeys(("acquireTime", "renewTime"), _now())
        metadata: Json = {"annotations": {f"{_MARK}{key}": str(value) for key, value in told.items()} | self._use}
        try:
            if former is None:
                metadata |= {"name": name, "namespace": namespace}
                cluster.create({"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec})
            else:
                metadata["resourceVersion"] = former["metadata"]["resourceVersion"]
                cluster.patch(_API, kind, name, {"metadata": metadata, "spec": spec}, namespace)
                if former["spec"].get("holderIdentity"):
                    self._boundaries.observe(Event(kind="lease.taken-over", data={"from": former["spec"]}))
        except Conflict as error:
            raise refused("faster", release=self._boundaries.release) from error
        threading.Thread(target=self._renew, name="lease", daemon=True).start()

    def give_back(self) -> None:
        """Remove it, or leave it to nobody for the approvals that were used, if it is ours; else it expires by itself."""
        self._ended.set()
        cluster, (kind, name, namespace) = self._boundaries.cluster, self._where
        with suppress(RunbookError):
            # Perhaps it was taken over since it was renewed last.
            found = cluster.get(_API, *self._where) if self._holder else None
            if found is None or not self._is_ours(found):
                return
            told = _annotations(found)
            used = {key: until for key, until in told.items() if key.startswith(_USED) and until > _now()}
            if not used:
                cluster.delete(_API, *self._where)
                return
            version, free = found["metadata"]["resourceVersion"], dict.fromkeys(("holderIdentity", "renewTime"))
            kept = {"annotations": {**dict.fromkeys(told), **used}, "resourceVersion": version}
            cluster.patch(_API, kind, name, {"metadata": kept, "spec": free}, namespace)

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


def _annotations(found: Json) -> dict[str, str]:
    return found["metadata"].get("annotations") or {}


def _gone(found: Json) -> bool:
    """Whether the owner has ended for sure."""
    told = _annotations(found).items()
    return process.proved_gone({key.removeprefix(_MARK): value for key, value in told if key.startswith(_MARK)})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(text: object) -> datetime | None:
    """A time in the cluster's spelling; None where it is none."""
    with suppress(ValueError):
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
