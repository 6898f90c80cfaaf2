"""How a release was left: one reader a state, the first that sees its own wins; ``recovery.yaml`` says what each means."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

from runbooks_lib.cluster import Forbidden, NotFound
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.errors import RunbookError
from runbooks_lib.helm import Release, Revision
from runbooks_lib.release import backup, passwords
from runbooks_lib.release.backup.writers import Stopped
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.kinds import by_kind
from runbooks_lib.release.manifest import WORKLOAD_KINDS, ObjectKey, annotation, hook_objects, kept, key_of, objects_of
from runbooks_lib.release.owners import carries_name, standing_of
from runbooks_lib.release.plan import propose
from runbooks_lib.release.rollout import progress_of
from runbooks_lib.release.stored import dropped
from runbooks_lib.results import Json
from runbooks_lib.threads import at_once, once

#: How Helm describes a revision that has not become whole.
_NEVER = re.compile(r"Preparing upgrade|Initial install underway|(Upgrade|Release|Rollback) .*failed")
#: What an uninstall leaves on purpose, and what controllers make and remove.
_STAYING = frozenset({"PersistentVolumeClaim", "Secret", "CustomResourceDefinition", "Namespace"})
_DERIVED = frozenset({"Event", "Endpoints", "EndpointSlice", "ReplicaSet", "ControllerRevision", "Lease", "PodMetrics"})
#: Finalizers of other domains than Kubernetes' own; its controllers take off those that are its own, or have no domain.
_FOREIGN = re.compile(r"(?!([^/]*\.)?kubernetes\.io/).+/")
_HOOK, _POLICY, _REMOVED = "helm.sh/hook", "helm.sh/hook-delete-policy", "hook-succeeded"


class Left:
    """What is there of a release; each thing is asked for once."""

    def __init__(self, boundaries: Boundaries, stored: Release | None) -> None:
        self.boundaries = boundaries
        self.stored = stored
        self.status = stored.status if stored else "absent"
        self.objects = objects_of(stored.manifest) if stored else []

    @once
    def history(self) -> tuple[Revision, ...]:
        """Its revisions, oldest first."""
        return self.boundaries.helm.history(self.boundaries.release) if self.stored else ()

    @property
    def good(self) -> Revision | None:
        """The newest revision that was whole once; of a release that is deployed the one before."""
        older = self.history[: -1 if self.status == "deployed" else None]
        # What Helm calls deployed is that; superseded it also calls what never was, once a rollback from that has failed.
        found = [each for each in older if each.status == "deployed"]
        found = found or [each for each in older if each.status == "superseded" and not _NEVER.match(each.description)]
        return found[-1] if found else None

    @once
    def going(self) -> Json:
        """The target's namespace, if it is being deleted."""
        found = self.boundaries.cluster.get("v1", "Namespace", self.boundaries.namespace) or {"metadata": {}}
        return found if found["metadata"].get("deletionTimestamp") else {}

    @once
    def everything(self) -> list[tuple[Resource, Json]]:
        """What is in the namespace and what belongs to the whole cluster, as far as it may be seen."""
        cluster, namespace = self.boundaries.cluster, self.boundaries.namespace
        # Of several versions the one that the cluster prefers.
        kinds = {(one.group, one.kind): one for one in reversed(cluster.resources()) if one.holds_objects}
        wanted = [one for one in kinds.values() if one.kind not in _DERIVED]

        def listed(one: Resource) -> list[Json]:
            with suppress(Forbidden, NotFound):
                return cluster.list(one.api_version, one.kind, namespace if one.namespaced else None)
            return []

        return [(one, obj) for one, found in zip(wanted, at_once(listed, wanted), strict=True) for obj in found]

    @once
    def held(self) -> list[Json]:
        """What keeps a namespace that is being deleted, and by which finalizers that are not Kubernetes' own."""
        inside = ((one, obj["metadata"]) for one, obj in self.everything if one.namespaced)
        going = ((one, meta) for one, meta in inside if meta.get("deletionTimestamp"))
        return [
            {"version": one.api_version, "kind": one.kind, "name": meta["name"], "uid": meta["uid"], "by": by}
            for one, meta in going
            if (by := list(filter(_FOREIGN.match, meta.get("finalizers") or ())))
        ]

    @once
    def orphans(self) -> dict[str, Resource]:
        """By ``Kind name`` what carries the release's name, but for what a release that is removed leaves on purpose."""
        named = ((one, obj) for one, obj in self.everything if carries_name(self.boundaries, obj))
        meant = ((one, obj) for one, obj in named if not kept(obj) and not annotation(obj, _HOOK))
        found = {f"{one.kind} {obj['metadata']['name']}": one for one, obj in meant if one.kind not in _STAYING}
        return dict(sorted(found.items()))

    @once
    def missing(self) -> tuple[str, ...]:
        """The release's objects that are not in the cluster."""
        return standing_of(self.boundaries, self._live).missing

    @once
    def jobs(self) -> list[Json]:
        """The Jobs that hooks of the release have left: Helm would have removed them, or they have not ended well."""
        names = {key_of(obj).name for obj in hook_objects(self.stored)} if self.stored else set()
        listed = self.boundaries.cluster.list("batch/v1", "Job", self.boundaries.namespace) if names else ()
        hooks = (job for job in listed if job["metadata"]["name"] in names and annotation(job, _HOOK) != "test")
        # One that removes itself would be gone from the plan that is made before the change; as long as it runs it is in
        # the way: what it does to data it would do to what was mended meanwhile.
        lasting = (job for job in hooks if "ttlSecondsAfterFinished" not in job["spec"] or not _over(job))
        # Of an operation that was cut off all: the digest must not hang on whether one has ended by now.
        cut = self.status != "deployed"
        return [job for job in lasting if cut or _REMOVED in annotation(job, _POLICY) or not _complete(job)]

    @property
    def stopped(self) -> list[Stopped]:
        """The workloads that a run has stopped and not started again."""
        return backup.left_stopped(self._live)

    @once
    def unserved(self) -> list[tuple[str, str]]:
        """Group and kind of those of its objects that the cluster does not know any more."""
        kinds = {(obj["apiVersion"], obj["kind"]): key_of(obj)[:2] for obj in self.objects}
        return sorted({key for one, key in kinds.items() if self.boundaries.cluster.resource(*one) is None})

    @once
    def definitions(self) -> list[str]:
        """Names of the definitions that would make them known again; none unless the release's own chart has all."""
        chart = self.boundaries.chart if self.unserved else None
        if chart is None or f"{chart.name}-{chart.version}" != self.history[-1].chart:
            return []
        found = by_kind(self.boundaries.chart_source, self.stored.values if self.stored else {})
        return [found[one]["metadata"]["name"] for one in self.unserved] if {*self.unserved} <= {*found} else []

    @once
    def dropped(self) -> list[str]:
        """The values that the last good revision had and this one has not, where something is amiss."""
        live = (it for key, it in self._live.items() if key.kind in WORKLOAD_KINDS)
        late = any(it is None or not progress_of(it).done for it in live)
        return dropped(self.boundaries, self.stored, self.good.revision) if late and self.stored and self.good else []

    @once
    def unpaired(self) -> tuple[list[str], list[str]]:
        """Of what a release has left that is gone: claims without their Secret, and Secrets without their claim."""
        with suppress(RunbookError):
            # Which belong together only the chart knows; why it can't be had tells 01.
            made = propose(self.boundaries, upgrade=False)
            return passwords.unpaired(self.boundaries, made.rendered, made.values)
        return [], []

    @once
    def _live(self) -> dict[ObjectKey, Json | None]:
        return self.boundaries.all_live(self.objects)


def _over(job: Json) -> bool:
    """Whether it has ended, well or not."""
    listed = (job.get("status") or {}).get("conditions") or ()
    return any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in listed)


def _complete(job: Json) -> bool:
    return "completionTime" in job["status"]


def _going(left: Left) -> list[str]:
    """Since when a namespace is being deleted, and what keeps it."""
    listed = (left.going.get("status") or {}).get("conditions") or ()
    said = [str(each.get("message")) for each in listed if each.get("status") == "True"]
    return [f"since {left.going['metadata']['deletionTimestamp']}", *map(keeps, left.held), *said]


def _held(left: Left) -> list[str]:
    """The same once whoever has set a finalizer had time enough to take it off."""
    begun = datetime.fromisoformat(left.going["metadata"]["deletionTimestamp"])
    waited = (datetime.now(UTC) - begun).total_seconds()
    return [*map(keeps, left.held)] if waited > left.boundaries.parameters.policy.rollout_seconds else []


def keeps(held: Json) -> str:
    """What keeps a namespace, for people."""
    return f"{held['kind']} {held['name']} (by {', '.join(held['by'])})"


#: What each reader sees of its state, for people; nothing: it is another one. What no reader sees is ``deployed``.
STATES: dict[str, Callable[[Left], Iterable[object]]] = {
    "namespace held": lambda left: _held(left) if left.going else (),
    "namespace going": lambda left: _going(left) if left.going else (),
    "release lost": lambda left: [name for name in left.orphans if left.orphans[name].namespaced and not left.stored],
    "claim without Secret": lambda left: left.unpaired[0] if left.stored is None else (),
    "Secret without claim": lambda left: left.unpaired[1] if left.stored is None else (),
    "absent": lambda left: ["it"] * (left.stored is None),
    "cut off in an uninstall": lambda left: ["it"] * (left.status == "uninstalling"),
    "newest revision lost": lambda left: ["it"] * (left.status == "superseded"),
    "back to a good revision": lambda left: ["it"] * (left.status != "deployed" and left.good is not None),
    "no good revision": lambda left: ["it"] * (left.status != "deployed"),
    "kinds unknown": lambda left: [f"{kind} ({group})" for group, kind in left.unserved if not left.definitions],
    "definitions gone": lambda left: left.definitions,
    "objects gone": lambda left: left.missing,
    "writers stopped": lambda left: [f"{kind} {name} (had {had})" for kind, name, had in left.stopped],
    "hook Jobs left": lambda left: [f"Job {job['metadata']['name']}" for job in left.jobs],
    "values dropped": lambda left: left.dropped,
}


def state_in(left: Left) -> tuple[str, str]:
    """The state that a release was left in, and what was seen of it."""
    seen = ((name, ", ".join(map(str, read(left)))) for name, read in STATES.items())
    return next(((name, what) for name, what in seen if what), ("deployed", ""))
