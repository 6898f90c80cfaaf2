"""What each step of a plan does: one function a kind, in one table."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml

from runbooks_lib.helm import Release
from runbooks_lib.release import backup, passwords, removing
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.evidence import Save, collect
from runbooks_lib.release.hook_logs import hook_logs
from runbooks_lib.release.kinds import by_kind
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.manifest import ObjectKey, hook_objects, kept, objects_of, secret_values, workloads
from runbooks_lib.release.plan import Proposal, all_objects, fingerprint, propose
from runbooks_lib.release.pods import trouble_of
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.restoring import restore
from runbooks_lib.release.rollout import await_absence, await_rollout
from runbooks_lib.release.stores import stores
from runbooks_lib.results import Json, Plan, Step

#: Seconds within which an API server serves a kind that was just defined.
_SERVED = 30.0


@dataclass
class Work:
    """What the steps of one change hand to each other."""

    boundaries: Boundaries
    plan: Plan
    lease: Lease
    note: str
    save: Save
    #: How many replicas the workloads had that were stopped.
    stopped: dict[ObjectKey, int] = field(default_factory=dict)
    #: Where what was copied is.
    copies: str = ""
    proposal: Proposal | None = None
    stored: Release | None = None
    #: The UIDs of the pods that were there before.
    old: frozenset[str] = frozenset()
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def upgrades(self) -> bool:
        """Whether it takes a release to another revision by its chart."""
        return any(step.kind == "helm-upgrade" for step in self.plan.steps)

    def proposed(self) -> Proposal:
        """The chart as it would be applied now."""
        if self.proposal is None:
            self.proposal = propose(self.boundaries, upgrade=self.upgrades)
        return self.proposal


def _require_revision(work: Work) -> None:
    """Nobody who keeps no Lease (a helm by hand) has changed the release since the plan was made."""
    found = work.boundaries.helm.status(work.boundaries.release)
    now, planned = (found.revision if found else 0), work.plan.bindings["revision"]
    if now != planned:
        raise refused("another revision", now=now, planned=planned)


def _create_namespace(work: Work, step: Step) -> None:
    metadata = {"name": step.data["namespace"]}
    work.boundaries.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def _take_lease(work: Work, _: Step) -> None:
    boundaries = work.boundaries
    work.lease.take()
    work.old = frozenset(
        pod["metadata"].get("uid", "") for pod in boundaries.cluster.list("v1", "Pod", boundaries.namespace)
    )
    _require_revision(work)


def _stop_writers(work: Work, step: Step) -> None:
    wanted = [ObjectKey("apps", kind, work.boundaries.namespace, name) for kind, name in step.data["workloads"]]
    seconds = work.boundaries.parameters.policy.rollout_seconds
    backup.stop(work.boundaries, wanted, seconds=seconds, were=work.stopped)


def _back_up(work: Work, step: Step) -> None:
    boundaries = work.boundaries
    stored = boundaries.helm.status(boundaries.release)
    # A hook may be the only one that says which database it works in.
    hooks = hook_objects(work.proposed().rendered) if work.upgrades else []
    found = stores(boundaries, [*(objects_of(stored.manifest) if stored else ()), *hooks])
    wanted = [store for store in found if store.name in step.data["databases"]]
    made = backup.back_up(boundaries, wanted)
    work.copies = made.folder
    work.save("evidence/backup.json", made.model_dump_json(indent=1))


def _restore(work: Work, _: Step) -> None:
    boundaries = work.boundaries
    place, found = backup.read(boundaries.parameters.recover.restore)
    stored = boundaries.helm.status(boundaries.release)
    listed = stores(boundaries, objects_of(stored.manifest) if stored else ())
    backup.restore(boundaries, place, backup.pairs(listed, found))
    work.stored = stored


def _helm_rollback(work: Work, step: Step) -> None:
    boundaries, revision = work.boundaries, step.data["revision"]
    how: Json = {"seconds": boundaries.parameters.policy.command_seconds, "over_others": "flags" in step.data}
    boundaries.helm.rollback(boundaries.release, revision, **how)
    work.stored, wanted = (boundaries.helm.status(boundaries.release, revision=each) for each in (0, revision))
    prints = [fingerprint(boundaries, each) if each else "" for each in (work.stored, wanted)]
    if work.stored is None or prints[0] != prints[1]:
        raise refused("stored other", revision=work.stored.revision if work.stored else revision)


def _start_writers(work: Work, step: Step) -> None:
    boundaries = work.boundaries
    left = {ObjectKey("apps", kind, boundaries.namespace, name): had for kind, name, had in step.data.get("left", ())}
    backup.start(boundaries, left | work.stopped)
    work.stored = work.stored or boundaries.helm.status(boundaries.release)


def _create_secret(work: Work, step: Step) -> None:
    boundaries = work.boundaries
    name, keys = step.data["name"], step.data["keys"]
    # Rendered before the Secret exists: the only moment at which its other entries can be read off the chart.
    template = next(made.secret for made in work.proposed().generated if made.name == name)
    strong = {key: passwords.strong() for key in keys}
    for key, value in strong.items():
        boundaries.redactor.register(value, f"{name}#{key}")
    boundaries.cluster.create(passwords.owned_secret(boundaries, template, strong), boundaries.namespace)
    work.secrets[name] = strong


def _helm_change(work: Work, step: Step) -> None:
    boundaries, upgrade = work.boundaries, step.kind == "helm-upgrade"
    if work.secrets:
        # The chart must now take our passwords; a chart that does not would be planned with one and run with another.
        work.proposal = None
        _require_adopted(work)
    proposal = work.proposed()
    planned = work.plan.bindings["manifest"]
    if fingerprint(boundaries, proposal.rendered) != planned:
        raise refused("renders other")
    chart, values, seconds = proposal.chart, proposal.values, boundaries.parameters.policy.command_seconds
    with hook_logs(boundaries, hook_objects(proposal.rendered), work.old, work.save):
        work.stored = boundaries.helm.change(
            boundaries.release,
            chart,
            values,
            upgrade=upgrade,
            note=work.note,
            seconds=seconds,
            over_others="force-conflicts" in step.data.get("flags", ""),
        )
    if fingerprint(boundaries, work.stored) != planned:
        raise refused("stored other", revision=work.stored.revision)


def _put_back(work: Work, step: Step) -> None:
    """As the chart has it, or, where a revision is named, as that has it."""
    boundaries, revision = work.boundaries, step.data.get("revision")
    stored = boundaries.helm.status(boundaries.release, revision=revision) if revision else None
    restore(boundaries, stored or work.proposed().rendered, step)


def _forget_revisions(work: Work, step: Step) -> None:
    """Helm's Secrets of revisions that never were; what the newest would have been is kept, without its secrets."""
    boundaries = work.boundaries
    stored = boundaries.helm.status(boundaries.release)
    objects = boundaries.redactor.redact_data(all_objects(stored)) if stored else []
    work.save(f"evidence/revision-{step.data['revision']}.yaml", yaml.safe_dump_all(objects, sort_keys=False))
    removing.remove(boundaries, (["Secret", name, uid] for name, uid in step.data["secrets"]))


def _remove_objects(work: Work, step: Step) -> None:
    """Exactly these: one that was made anew meanwhile stays."""
    going: list[Json] = []
    for *what, uid in step.data["objects"]:
        if found := removing.remove_one(work.boundaries.cluster, *what, uid=uid):
            going.append({"apiVersion": what[0], "kind": what[1], **found})
    _gone(work, [*going, *({**pod, "apiVersion": "v1", "kind": "Pod"} for pod in work.boundaries.pods_of(going))])


def _require_adopted(work: Work) -> None:
    rendered = work.proposed().rendered
    values = {
        obj["metadata"]["name"]: dict(secret_values(obj))
        for obj in objects_of(rendered.manifest)
        if obj["kind"] == "Secret"
    }
    for name, strong in work.secrets.items():
        for key, value in strong.items():
            if values.get(name, {}).get(key) != value:
                raise refused("not adopted", name=name, key=key)


def _await_rollout(work: Work, _: Step) -> None:
    boundaries = work.boundaries
    wanted = workloads(work.stored.manifest) if work.stored else []
    budget = boundaries.parameters.policy.rollout_seconds
    begun = time.monotonic()
    found = await_rollout(boundaries, wanted, seconds=budget, old=work.old)
    late = [item for item in found if not item.done]
    if late:
        pods = boundaries.pods_of(wanted)
        troubles = {f"{pod['metadata']['name']}: {trouble}" for pod in pods if (trouble := trouble_of(pod))}
        # A pod's message may hold the last lines of its log, and a log a password.
        reasons = boundaries.redactor.redact("; ".join(sorted(troubles)[:5])) or "no pod says why"
        states = "; ".join(f"{item.name}: {item.says}" for item in late)
        # Ended before its time, where a pod says what no waiting mends.
        waited = min(float(budget), time.monotonic() - begun)
        raise refused("not rolled out", budget=waited, states=states, reasons=reasons)


def _helm_uninstall(work: Work, _: Step) -> None:
    boundaries = work.boundaries
    work.stored = boundaries.helm.status(boundaries.release)
    boundaries.helm.uninstall(boundaries.release, note=work.note, seconds=boundaries.parameters.policy.command_seconds)


def _remove_data(work: Work, step: Step) -> None:
    removing.remove(work.boundaries, step.data["objects"])
    named = ((removing.VERSIONS.get(kind, "v1"), kind, name) for kind, name, _ in step.data["objects"])
    _gone(work, [{"apiVersion": version, "kind": kind, "metadata": {"name": name}} for version, kind, name in named])


def _remove_jobs(work: Work, step: Step) -> None:
    # With them go their pods, which alone know why they failed.
    collect(work.boundaries, work.save)
    _remove_data(work, step)


def _create_definitions(work: Work, step: Step) -> None:
    boundaries, deadline = work.boundaries, time.monotonic() + _SERVED
    cluster, stored = boundaries.cluster, boundaries.helm.status(boundaries.release)
    for (group, kind), each in by_kind(boundaries.chart_source, stored.values if stored else {}).items():
        if each["metadata"]["name"] in step.data["names"]:
            cluster.create(each)
            version = f"{group}/{each['spec']['versions'][0]['name']}"
            while cluster.resource(version, kind) is None and time.monotonic() < deadline:
                time.sleep(0.2)


def _free_namespace(work: Work, step: Step) -> None:
    cluster, namespace = work.boundaries.cluster, work.boundaries.namespace
    for each in step.data["held"]:
        what = (each["version"], each["kind"], each["name"])
        metadata = (cluster.get(*what, namespace) or {"metadata": {}})["metadata"]
        if metadata.get("uid") == each["uid"]:
            rest = [one for one in metadata.get("finalizers") or () if one not in each["by"]]
            same = {key: metadata[key] for key in ("uid", "resourceVersion")}
            cluster.patch(*what, {"metadata": {**same, "finalizers": rest}}, namespace)
    _gone(work, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])


def _remove_namespace(work: Work, _: Step) -> None:
    namespace = work.boundaries.namespace
    work.boundaries.cluster.delete("v1", "Namespace", namespace)
    _gone(work, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])


def _gone(work: Work, objects: list[Json]) -> None:
    budget = work.boundaries.parameters.policy.rollout_seconds
    if still := await_absence(work.boundaries, objects, seconds=budget):
        raise refused("still there", budget=budget, names=", ".join(still[:10]))


def _await_absence(work: Work, _: Step) -> None:
    boundaries = work.boundaries
    gone = [obj for obj in objects_of(work.stored.manifest) if not kept(obj)] if work.stored else []
    pods = [{**pod, "apiVersion": "v1", "kind": "Pod"} for pod in boundaries.pods_of(gone)]
    _gone(work, [*gone, *pods])


STEPS: dict[str, Callable[[Work, Step], None]] = {
    "create-namespace": _create_namespace,
    "take-lease": _take_lease,
    "stop-writers": _stop_writers,
    "back-up": _back_up,
    "restore": _restore,
    "helm-rollback": _helm_rollback,
    "create-secret": _create_secret,
    "helm-install": _helm_change,
    "helm-upgrade": _helm_change,
    "put-back": _put_back,
    "forget-revisions": _forget_revisions,
    "remove-objects": _remove_objects,
    "start-writers": _start_writers,
    "await-rollout": _await_rollout,
    "helm-uninstall": _helm_uninstall,
    "await-absence": _await_absence,
    "remove-data": _remove_data,
    "remove-namespace": _remove_namespace,
    "remove-jobs": _remove_jobs,
    "create-definitions": _create_definitions,
    "free-namespace": _free_namespace,
}
