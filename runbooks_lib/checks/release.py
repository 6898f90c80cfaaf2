"""Is the release there, whole and reachable?"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from runbooks_lib.checks.catalogue import Answer, Moot, together
from runbooks_lib.checks.storage import going
from runbooks_lib.errors import RunbookError
from runbooks_lib.helm import Release
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.drift import Drift, all_drift
from runbooks_lib.release.evidence import last_words
from runbooks_lib.release.manifest import WORKLOAD_KINDS, ObjectKey, claim_names, key_of, objects_of
from runbooks_lib.release.owners import standing_of
from runbooks_lib.release.pods import is_ready, statuses_of, trouble_of
from runbooks_lib.release.rollout import progress_of
from runbooks_lib.release.stored import STUCK, state_of
from runbooks_lib.results import Json, Status
from runbooks_lib.threads import once

_ABSENT = "there is no release to look at"
_LOST = (
    "Restore the Secret first: a volume keeps the password that `helm get manifest` still shows; then run 04_upgrade."
)
_SHARED = (
    "Whoever upgrades or removes the other release changes or removes this object too: keep one of the two releases, or give "
    "each an object of its own by a value of the chart; 04_upgrade takes it back, and its plan names it."
)
_MISSPELT = "The name may be misspelt (`kubectl get namespaces`): correct target.namespace. If it is right, run 02_install, which makes it."
#: Where a workload has its number of pods: told with the workloads.
REPLICAS = "spec.replicas"
_SCALED = "04_upgrade scales it back, and its plan says so; to keep it, set the number in the values."


class Subject:
    """An installed release; each list is asked for once, so that all checks speak of the same moment.

    Args:
        stored: Has the release from somebody who has asked Helm for it.
        any_chart: It was gone back to, so that the parameters may name the version that was to be reached.
    """

    def __init__(
        self, boundaries: Boundaries, stored: Callable[[], Release | None] | None = None, *, any_chart: bool = False
    ) -> None:
        self.boundaries = boundaries
        self.any_chart = any_chart
        self._stored = stored

    @once
    def stored(self) -> Release | None:
        """The release as Helm stored it."""
        return self._stored() if self._stored else self.boundaries.helm.status(self.boundaries.release)

    @once
    def objects(self) -> list[Json]:
        """The objects that the release should have."""
        if self.stored is None:
            raise Moot(_ABSENT)
        return objects_of(self.stored.manifest)

    def rendered(self, kind: str) -> list[Json]:
        """The objects of one kind that the release should have."""
        return [obj for obj in self.objects if obj["kind"] == kind]

    @property
    def workloads(self) -> list[Json]:
        """What keeps its pods running."""
        return [obj for obj in self.objects if obj["kind"] in WORKLOAD_KINDS]

    @once
    def live(self) -> dict[ObjectKey, Json | None]:
        """Its objects as they are in the cluster, None where one is not there."""
        return self.boundaries.all_live(self.objects)

    @once
    def drift(self) -> list[tuple[ObjectKey, Drift]]:
        """Where they are other than Helm stored them."""
        return all_drift(self.objects, self.live, self.boundaries.namespace)

    @property
    def live_workloads(self) -> list[tuple[Json, Json | None]]:
        """Each workload as it is rendered and as it is in the cluster, None where it is not there."""
        return [(obj, self.live[key_of(obj, self.boundaries.namespace)]) for obj in self.workloads]

    @property
    def live_services(self) -> dict[str, Json | None]:
        """The release's Services as they are in the cluster, by their names; None where one is not there."""
        return {key.name: live for key, live in self.live.items() if key.kind == "Service"}

    @once
    def claims(self) -> dict[str, Json | None]:
        """The claims that the release should have, by their names; None where one is not there."""
        names = [name for obj in self.objects for name in claim_names(obj)]
        names += [obj["metadata"]["name"] for obj in self.rendered("PersistentVolumeClaim")]
        listed = self.boundaries.cluster.list("v1", "PersistentVolumeClaim", self.boundaries.namespace)
        there = {item["metadata"]["name"]: item for item in listed}
        return {name: there.get(name) for name in names}

    @once
    def pods(self) -> list[Json]:
        """The pods that belong to the release's workloads."""
        return self.boundaries.pods_of(self.objects) if self.stored else []

    def troubles(self, pods: list[Json]) -> str:
        """Why each of these pods is not ready, as far as is known, and what it said last."""
        told = []
        for pod in pods:
            if not is_ready(pod):
                known = filter(None, (trouble_of(pod), *last_words(self.boundaries, pod)))
                told += [f"{pod['metadata']['name']}: {'; '.join(known)}"]
        return "; ".join(line for line in told if not line.endswith(": "))


def status(subject: Subject) -> Answer:
    """The release as Helm has it."""
    stored = subject.stored
    if stored is None:
        return _none(subject.boundaries)
    observed = state_of(subject.boundaries, stored)
    if stored.status != "deployed":
        failed = "Run 04_upgrade with the same parameters, or take the way out that 07_recover recommends."
        remedy = STUCK if stored.pending else failed
        # Of an operation that was stopped everything else comes that is not there.
        stopped = stored.pending or "context canceled" in stored.description
        return Answer("fail", observed, remedy=remedy, symptom=not stopped)
    return Answer("pass", observed)


def _none(boundaries: Boundaries) -> Answer:
    """That there is no release, and whether its namespace is there, as far as that may be asked."""
    said = f"no release {boundaries.release} in namespace {boundaries.namespace}"
    with suppress(RunbookError):
        if boundaries.cluster.get("v1", "Namespace", boundaries.namespace) is None:
            return Answer("fail", f"{said}: there is no such namespace", _MISSPELT)
    return Answer("fail", said)


def present(subject: Subject) -> Answer:
    """Whether there is a release, in whatever state."""
    stored = subject.stored
    if stored is None:
        return Answer("fail", "there is none")
    return Answer("pass" if stored.status == "deployed" else "warn", state_of(subject.boundaries, stored))


def chart(subject: Subject) -> Answer:
    """Whether it is of the chart that the parameters name."""
    history = subject.boundaries.helm.history(subject.boundaries.release)
    if not history:
        raise Moot(_ABSENT)
    chart = subject.boundaries.parameters.chart
    last = history[-1]
    wanted = subject.boundaries.chart if chart.path else chart
    expected = f"{wanted.name}-{wanted.version}"
    seen = f"{last.chart} (app {last.app_version})"
    if last.chart != expected:
        status: Status = "warn" if subject.any_chart else "fail"
        return Answer(status, f"{seen}, the parameters say {expected}", expected=expected)
    return Answer("pass", seen, expected=expected)


def objects(subject: Subject) -> Answer:
    """Whether its objects are there, and its own."""
    standing = standing_of(subject.boundaries, subject.live)
    bad, remedies = [], []
    if standing.missing:
        bad.append(f"not in the cluster: {', '.join(standing.missing)}")
        remedies.append(_LOST if any(name.startswith("Secret ") for name in standing.missing) else "")
    if standing.foreign:
        bad.append(f"there, but of another release: {standing.told(standing.foreign)}")
        remedies.append(_SHARED)
    if bad:
        return Answer("fail", "; ".join(bad), remedy=" ".join(filter(None, remedies)))
    return Answer("pass", f"{len(subject.objects)} objects, all there (those of hooks are not looked for)")


def workloads(subject: Subject) -> Answer:
    """Whether its workloads are rolled out."""
    late, remedies, more = [], [], []
    grown = {key: each for key, each in subject.drift if each.path == REPLICAS}
    for obj, live in subject.live_workloads:
        if live is None:
            late.append(f"{key_of(obj)}: not there")
            continue
        progress, wanted_replicas = progress_of(live), (obj.get("spec") or {}).get("replicas") or 1
        scaled = live["kind"] != "DaemonSet" and (live.get("spec") or {}).get("replicas", 1) < wanted_replicas
        if scaled:
            late.append(f"{progress.name}: scaled to {live['spec']['replicas']}, the release has {wanted_replicas}")
            back = f"{obj['kind'].lower()} {obj['metadata']['name']} --replicas={wanted_replicas}"
            remedies.append(f"Scale it back: kubectl -n {subject.boundaries.namespace} scale {back}")
        elif each := grown.get(key_of(obj, subject.boundaries.namespace)):
            more.append(f"{progress.name}: scaled to {each.live}, the release has {each.stored}")
        elif not progress.done:
            late.append(f"{progress.name}: {progress.says}")
    for obj in subject.rendered("Job"):
        live = subject.boundaries.live(obj)
        listed = ((live or {}).get("status") or {}).get("conditions") or ()
        true = {item["type"]: item for item in listed if item["status"] == "True"}
        # One that removes itself when it has ended is not there for a good reason.
        if live and "Complete" not in true:
            failed = true.get("Failed", {"reason": "has not ended"})
            late.append(f"{key_of(obj)}: {failed.get('reason')} {failed.get('message', '')}".rstrip())
    if late:
        # One that somebody has scaled down is the cause of what is amiss behind it.
        symptom = False if remedies else None
        evidence = subject.troubles(subject.pods)
        return Answer("fail", "; ".join([*late, *more]), remedy="; ".join(remedies), evidence=evidence, symptom=symptom)
    if more:
        return Answer("warn", "\n".join(more), remedy=_SCALED)
    return Answer("pass", f"{len(subject.live_workloads)} workloads, all available")


def claims(subject: Subject) -> Answer:
    """Whether its claims are bound."""
    claims = subject.claims.items()
    phases = {
        name: going(it) or (it.get("status") or {}).get("phase", "unknown") if it else "not there"
        for name, it in claims
    }
    open_ = [f"{name}: {phase}" for name, phase in phases.items() if phase != "Bound"]
    return Answer("fail", "; ".join(open_)) if open_ else Answer("pass", f"{len(phases)} claims, all bound")


def services(subject: Subject) -> Answer:
    """Whether its Services lead anywhere."""
    slices = subject.boundaries.cluster.list("discovery.k8s.io/v1", "EndpointSlice", subject.boundaries.namespace)
    ours = {pod["metadata"]["name"] for pod in subject.pods}
    ready = {
        (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        for item in slices
        for endpoint in (item.get("endpoints") or ())
        if item.get("ports")
        if (endpoint.get("conditions") or {}).get("ready", True)
        and (endpoint.get("targetRef") or {}).get("name") in ours
    }
    wanted = [obj["metadata"]["name"] for obj in subject.rendered("Service") if (obj.get("spec") or {}).get("selector")]
    if without := [name for name in wanted if name not in ready]:
        return Answer("fail", f"without a ready endpoint in a pod of this release: {', '.join(without)}")
    return Answer("pass", f"{len(wanted)} services, each with a ready endpoint")


def restarts(subject: Subject) -> Answer:
    """Whether a container was started again a short while ago."""
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    lines = []
    for pod in subject.pods:
        for name, status, _ in statuses_of(pod):
            ended = (status.get("lastState") or {}).get("terminated") or {}
            if status.get("restartCount") and str(ended.get("finishedAt") or "") >= since:
                said = f"exit {ended.get('exitCode')} {ended.get('reason', '')}".rstrip()
                where = f"{pod['metadata']['name']}, container {name}"
                lines.append(
                    Answer("warn", f"{where}: started again {status['restartCount']} times, last after {said}")
                )
    return together(lines or [Answer("pass", f"{len(subject.pods)} pods, none of them in the last hour")])


def conditions(listed: list[Json] | None) -> dict[str, str]:
    """The status of each condition by its type."""
    return {item["type"]: item["status"] for item in listed or ()}


def not_true(listed: list[Json] | None, *wanted: str, besides: str = "", generation: int = 0) -> str:
    """Those of the wanted conditions that are not true, with their reason and message; ``besides`` may be unset.

    One that is about an older generation of the object counts as unset: nobody has looked at what it is now.
    """
    found = {item["type"]: item for item in listed or () if item.get("observedGeneration", generation) >= generation}
    told = []
    for name in (*wanted, *({besides} & {*found})):
        item = found.get(name, {"status": "unset"})
        why = ": ".join(str(item[key]) for key in ("reason", "message") if item.get(key))
        told += [f"{name}={item['status']}{f' ({why})' if why else ''}"] if item["status"] != "True" else []
    return ", ".join(told)
