"""What a release that does not work shows of it: containers, events, logs, claims, findings, values that were lost."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from runbooks_lib.checks.release import Subject
from runbooks_lib.checks.storage import going
from runbooks_lib.errors import RunbookError
from runbooks_lib.release.by_hand import addressed
from runbooks_lib.release.evidence import learn
from runbooks_lib.release.manifest import hook_objects, key_of
from runbooks_lib.release.pods import is_ready, statuses_of, troubles_of
from runbooks_lib.release.rollout import lacks_pods, progress_of
from runbooks_lib.release.stored import dropped, state_of
from runbooks_lib.results import Finding, Json

#: Lines of a log that are looked at.
_TAIL = 30
#: Characters of one.
_LONGEST = 300
#: Restarts of a container, ready by now, that are no trouble: a start while its database was on its way.
_ROUGH = 2


class Sign(NamedTuple):
    """One thing that was seen.

    Attributes:
        kind: ``container``, ``exit``, ``init``, ``pod``, ``scheduling``, ``event``, ``log``, ``claim``, ``release``,
            ``dropped``, ``stale``, or a check's id: alone where it failed, else with its status, ``nodes.room (warn)``;
            ``objects.as-stored (works)`` of a workload that is as it should be all the same.
        about: What it was seen of, ``Kind name``.
        text: In the words of who said it, secrets replaced.
    """

    kind: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


def signs_of(subject: Subject, findings: Iterable[Finding]) -> list[Sign]:
    """Everything that was seen of a release; nothing that can't be read keeps the rest from being seen."""
    redact, found = subject.boundaries.redactor.redact, list[Sign]()
    # A quota that is used up to the last keeps nothing from working while no pod is missing.
    unfelt = set() if _lacks_pods(subject) else {"namespace.quota"}
    listed = [each for each in findings if each.status in {"fail", "unknown", "warn"} and each.id not in unfelt]
    works = _working(subject)
    for finding in listed:
        kind = finding.id if finding.status == "fail" else f"{finding.id} ({finding.status})"
        for line in finding.observed.splitlines()[: finding.amiss or None]:
            if finding.id == "objects.as-stored":
                # A warning where it was only added to; which of them are in the way is told by their pods.
                kind = f"{finding.id} (works)" if line.partition(":")[0] in works else finding.id
            found.append(Sign(kind, finding.title, line))
    if subject.stored is not None:
        late = subject.stored.status != "deployed" or not all(
            it and progress_of(it).done for _, it in subject.live_workloads
        )
        # Pods that were evicted stay for people to see, long after others have taken their place.
        pods = [pod for pod in (*subject.pods, *_hook_pods(subject)) if late or not _failed(pod)]
        # On a release that works, nothing was lost that it needs.
        amiss = late or any(each.status == "fail" and each.id != "objects.as-stored" for each in listed)
        looks = [_release(subject), _dropped(subject) if amiss else (), _stale(subject, pods), _pods(pods)]
        for look in (*looks, _claims(subject), _events(subject, pods), _logs(subject, pods)):
            try:
                found += look
            except RunbookError as error:
                found.append(Sign("unseen", "the cluster", error.summary))
    return [sign._replace(text=redact(" ".join(sign.text.split()))) for sign in found]


def _release(subject: Subject) -> Iterator[Sign]:
    stored, boundaries = subject.stored, subject.boundaries
    if stored is None:
        return
    number = f"revision {stored.revision}"
    yield Sign("release", number, state_of(boundaries, stored).removeprefix(f"{number} is "))


def _dropped(subject: Subject) -> Iterator[Sign]:
    """The values that the revision before had."""
    stored, boundaries = subject.stored, subject.boundaries
    if stored is not None and stored.revision > 1:
        lost = dropped(boundaries, stored, stored.revision - 1)
        yield from (
            Sign("dropped", f"revision {stored.revision}", f"{path} was set before and is no longer") for path in lost
        )


def _working(subject: Subject) -> set[str]:
    """``Kind name`` of the workloads that are as they should be."""
    live = [it for _, it in subject.live_workloads if it] if subject.stored else []
    return {str(key_of(it)) for it in live if progress_of(it).done}


def _stale(subject: Subject, pods: list[Json]) -> Iterator[Sign]:
    """The pods that a StatefulSet does not replace by newer ones, since they were never ready."""
    newest = {
        str(key_of(it).name): (it.get("status") or {}).get("updateRevision") for _, it in subject.live_workloads if it
    }
    for pod in pods:
        owners = pod["metadata"].get("ownerReferences") or ()
        owner = next((one["name"] for one in owners if one.get("kind") == "StatefulSet"), "")
        is_of = (pod["metadata"].get("labels") or {}).get("controller-revision-hash")
        if newest.get(owner) not in {None, is_of} and not is_ready(pod):
            name = pod["metadata"]["name"]
            command = addressed(
                f"kubectl delete pod {name} --namespace {subject.boundaries.namespace}", subject.boundaries.parameters
            )
            yield Sign("stale", f"Pod {name}", f"is not ready and of an older revision: {command}")


def _lacks_pods(subject: Subject) -> bool:
    """Whether a workload of the release has fewer pods than it asks for."""
    live = [it or {} for _, it in subject.live_workloads] if subject.stored else []
    return any(
        int((it.get("status") or {}).get("replicas") or 0) < int((it.get("spec") or {}).get("replicas", 1))
        for it in live
    )


def _failed(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") == "Failed"


def _hook_pods(subject: Subject) -> list[Json]:
    """The pods of the Jobs that Helm's hooks made."""
    stored = subject.stored
    jobs = {obj["metadata"].get("name") for obj in (hook_objects(stored) if stored else ()) if obj["kind"] == "Job"}
    pods = subject.boundaries.cluster.list("v1", "Pod", subject.boundaries.namespace) if jobs else []
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name") in jobs]


def _pods(pods: list[Json]) -> Iterator[Sign]:
    for pod in pods:
        over = is_ready(pod) and all(
            int(status.get("restartCount") or 0) <= _ROUGH for _, status, _ in statuses_of(pod)
        )
        for kind, container, says in troubles_of(pod):
            # How a rough start ended is past; what ran out of memory will again.
            if kind == "exit" and over and "OOMKilled" not in says:
                continue
            of = f", container {container}" if container else ""
            yield Sign(kind, f"Pod {pod['metadata']['name']}{of}", says)


def _claims(subject: Subject) -> Iterator[Sign]:
    for name, claim in subject.claims.items():
        phase = ((claim or {}).get("status") or {}).get("phase")
        if claim and (ends := going(claim)):
            yield Sign("claim", f"PersistentVolumeClaim {name}", ends)
        elif claim and phase != "Bound":
            spec = claim.get("spec") or {}
            asks = (
                f"class {spec.get('storageClassName') or 'of the default'}, {', '.join(spec.get('accessModes') or ())}"
            )
            yield Sign("claim", f"PersistentVolumeClaim {name}", f"{phase}, {asks}")


def _events(subject: Subject, pods: list[Json]) -> Iterator[Sign]:
    """The warnings about what is not as it should be now: a cluster keeps those of a rough start for an hour."""
    late = {
        obj["metadata"]["name"]: live for obj, live in subject.live_workloads if not live or not progress_of(live).done
    }
    jobs = (obj for obj in (hook_objects(subject.stored) if subject.stored else ()) if obj["kind"] == "Job")
    late |= {
        str(key_of(live).name): live for obj in jobs if (live := subject.boundaries.live(obj)) and lacks_pods(live)
    }
    troubled = {*late, *(pod["metadata"]["name"] for pod in pods if not is_ready(pod))}
    troubled |= {sign.about.rpartition(" ")[2] for sign in _claims(subject)}
    # Those that have all their pods wait for something else by now.
    whole = {name for name, live in late.items() if live and not lacks_pods(live)}
    for event in subject.boundaries.cluster.list("v1", "Event", subject.boundaries.namespace):
        of = event.get("involvedObject") or {}
        name = str(of.get("name", ""))
        # A ReplicaSet is its Deployment's, with a hash at its end.
        owner = name.rpartition("-")[0] if of.get("kind") == "ReplicaSet" else name
        over = event.get("reason") == "FailedCreate" and owner in whole
        if event.get("type") == "Warning" and {name, owner} & troubled and not over:
            yield Sign("event", f"{of.get('kind')} {name}", f"{event.get('reason')}: {event.get('message')}")
    for name, live in late.items():
        for one in ((live or {}).get("status") or {}).get("conditions") or ():
            # Events end after an hour, this does not.
            if (one.get("type"), one.get("status")) == ("ReplicaFailure", "True"):
                yield Sign("event", f"Deployment {name}", f"{one.get('reason')}: {one.get('message')}")


def _logs(subject: Subject, pods: list[Json]) -> Iterator[Sign]:
    """The last lines of what crashed, or of what still waits; none of a pod whose secrets can't be known before."""
    boundaries = subject.boundaries
    for pod in pods:
        troubled = [(name, status) for name, status, init in statuses_of(pod) if _speaks(status, init=init)]
        known, at = troubled and learn(boundaries, pod), pod["metadata"]["name"]
        for name, status in troubled if known else ():
            previous = bool(status.get("restartCount"))
            with suppress(RunbookError):
                text = boundaries.cluster.logs(boundaries.namespace, at, name, previous=previous, tail=_TAIL)
                # Redacted before it is cut: half a password is found by nobody.
                lines = (boundaries.redactor.redact(line)[:_LONGEST] for line in text.splitlines() if line.strip())
                yield from (Sign("log", f"Pod {at}, container {name}", line) for line in lines)


def _speaks(status: Json, *, init: bool) -> bool:
    """Whether a container has crashed, or is an init container that still waits."""
    ended = (status.get("state") or {}).get("terminated") or {}
    return bool(status.get("restartCount") or ended.get("exitCode") or (init and not status.get("ready")))
