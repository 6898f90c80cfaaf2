"""Is the release there, whole and reachable?"""

from __future__ import annotations

from functools import cached_property

from runbooks_lib.checks.catalogue import Answer, Check, catalogue
from runbooks_lib.errors import CheckFailed
from runbooks_lib.helm import Release
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import WORKLOAD_KINDS, claim_names, key_of, objects_of
from runbooks_lib.release.plan import STUCK
from runbooks_lib.release.rollout import progress_of, trouble_of
from runbooks_lib.results import Json

_MISSING = "Run 02_install."


class Subject:
    """An installed release; each list is asked for once, so that all checks speak of the same moment."""

    def __init__(self, boundaries: Boundaries) -> None:
        self.boundaries = boundaries

    @cached_property
    def stored(self) -> Release | None:
        """The release as Helm stored it."""
        return self.boundaries.helm.status(self.boundaries.release)

    @cached_property
    def objects(self) -> list[Json]:
        """The objects that the release should have."""
        if self.stored is None:
            raise CheckFailed("There is no release to look at.", next_step="Run 02_install.")
        return objects_of(self.stored.manifest)

    def rendered(self, kind: str) -> list[Json]:
        """The objects of one kind that the release should have."""
        return [obj for obj in self.objects if obj["kind"] == kind]

    @cached_property
    def pods(self) -> list[Json]:
        """The pods that belong to the release's workloads."""
        return self.boundaries.pods_of(self.objects) if self.stored else []


def _release(subject: Subject) -> Answer:
    stored = subject.stored
    if stored is None:
        target = subject.boundaries.parameters.target
        return Answer("fail", f"no release {target.release} in namespace {target.namespace}", remedy=_MISSING)
    observed = f"revision {stored.revision} is {stored.status}: {stored.description}"
    if stored.status != "deployed":
        remedy = STUCK if stored.pending else "Run 04_upgrade with the same parameters, or 05_uninstall to start anew."
        return Answer("fail", f"{observed} (since {stored.updated})", remedy=remedy)
    return Answer("pass", observed)


def _present(subject: Subject) -> Answer:
    stored = subject.stored
    if stored is None:
        return Answer("fail", "there is none")
    return Answer("pass" if stored.status == "deployed" else "warn", f"revision {stored.revision} is {stored.status}")


def _chart(subject: Subject) -> Answer:
    history = subject.boundaries.helm.history(subject.boundaries.release)
    if not history:
        return Answer("fail", "no release", remedy=_MISSING)
    chart = subject.boundaries.parameters.chart
    last = history[-1]
    wanted = subject.boundaries.chart if chart.path else chart
    expected = f"{wanted.name}-{wanted.version}"
    return Answer("pass" if last.chart == expected else "fail", f"{last.chart} (app {last.app_version})", expected)


def _objects(subject: Subject) -> Answer:
    missing = subject.boundaries.missing(subject.objects)
    if missing:
        return Answer("fail", f"not in the cluster: {', '.join(missing)}")
    return Answer("pass", f"{len(subject.objects)} objects, all there")


def _workloads(subject: Subject) -> Answer:
    wanted = [obj for obj in subject.objects if obj["kind"] in WORKLOAD_KINDS]
    late = []
    for obj in wanted:
        live = subject.boundaries.live(obj)
        if live is None:
            late.append(f"{key_of(obj)}: not there")
            continue
        progress, wanted_replicas = progress_of(live), (obj.get("spec") or {}).get("replicas") or 1
        scaled = live["kind"] != "DaemonSet" and (live.get("spec") or {}).get("replicas", 1) < wanted_replicas
        if scaled:
            late.append(f"{progress.name}: scaled to {live['spec']['replicas']}, the release has {wanted_replicas}")
        elif not progress.done:
            late.append(f"{progress.name}: {progress.says}")
    if late:
        troubles = [f"{pod['metadata']['name']}: {why}" for pod in subject.pods if (why := trouble_of(pod))]
        return Answer("fail", "; ".join(late), evidence="; ".join(troubles))
    return Answer("pass", f"{len(wanted)} workloads, all available")


def _claims(subject: Subject) -> Answer:
    names = [name for obj in subject.objects for name in claim_names(obj)]
    names += [obj["metadata"]["name"] for obj in subject.rendered("PersistentVolumeClaim")]
    found = {
        item["metadata"]["name"]: item
        for item in subject.boundaries.cluster.list("v1", "PersistentVolumeClaim", subject.boundaries.namespace)
    }
    open_ = [
        f"{name}: {_phase(found[name]) if name in found else 'not there'}"
        for name in names
        if name not in found or _phase(found[name]) != "Bound"
    ]
    return Answer("fail", "; ".join(open_)) if open_ else Answer("pass", f"{len(names)} claims, all bound")


def _phase(obj: Json) -> str:
    return str((obj.get("status") or {}).get("phase", "unknown"))


def _services(subject: Subject) -> Answer:
    slices = subject.boundaries.cluster.list("discovery.k8s.io/v1", "EndpointSlice", subject.boundaries.namespace)
    ready: dict[str, int] = {}
    for item in slices:
        owner = (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        count = sum(
            1 for endpoint in item.get("endpoints") or () if (endpoint.get("conditions") or {}).get("ready", True)
        )
        ready[owner] = ready.get(owner, 0) + count
    wanted = [obj["metadata"]["name"] for obj in subject.rendered("Service") if (obj.get("spec") or {}).get("selector")]
    without = [name for name in wanted if not ready.get(name)]
    if without:
        return Answer("fail", f"without a ready endpoint: {', '.join(without)}")
    return Answer("pass", f"{len(wanted)} services, each with a ready endpoint")


def _gateways(subject: Subject) -> Answer:
    wanted = subject.rendered("Gateway")
    if not wanted:
        return Answer("skip", "the release has no Gateway")
    told = []
    for obj in wanted:
        live = subject.boundaries.live(obj)
        conditions = _conditions(((live or {}).get("status") or {}).get("conditions"))
        addresses = [str(item.get("value", "")) for item in ((live or {}).get("status") or {}).get("addresses") or ()]
        if conditions.get("Programmed") != "True" or not addresses:
            state = (
                "not there"
                if live is None
                else f"Programmed={conditions.get('Programmed', 'unset')}, addresses {addresses}"
            )
            return Answer("fail", f"{key_of(obj)}: {state}")
        told.append(f"{key_of(obj)} at {', '.join(addresses)}")
    return Answer("pass", "; ".join(told))


def _routes(subject: Subject) -> Answer:
    wanted = subject.rendered("HTTPRoute")
    if not wanted:
        return Answer("skip", "the release has no HTTPRoute")
    bad: list[str] = []
    hosts: list[str] = []
    for obj in wanted:
        live = subject.boundaries.live(obj) or {}
        parents = (live.get("status") or {}).get("parents") or ()
        accepted = [_conditions(parent.get("conditions")) for parent in parents]
        good = accepted and all(
            item.get("Accepted") == "True" and item.get("ResolvedRefs") == "True" for item in accepted
        )
        hosts += (obj.get("spec") or {}).get("hostnames") or []
        if not good:
            bad.append(f"{key_of(obj)}: {accepted or 'no parent has taken it'}")
    return Answer("fail", "; ".join(bad)) if bad else Answer("pass", f"accepted for {', '.join(hosts)}")


def _conditions(conditions: list[Json] | None) -> dict[str, str]:
    return {item["type"]: item["status"] for item in conditions or ()}


CHECKS: tuple[Check[Subject], ...] = catalogue(
    {
        "release.status": _release,
        "release.chart": _chart,
        "objects.present": _objects,
        "workloads.available": _workloads,
        "claims.bound": _claims,
        "services.endpoints": _services,
        "gateway.programmed": _gateways,
        "routes.accepted": _routes,
    }
)

#: What an uninstall needs: a release in any state, also a failed or stuck one.
PRESENT: tuple[Check[Subject], ...] = catalogue({"release.present": _present})
