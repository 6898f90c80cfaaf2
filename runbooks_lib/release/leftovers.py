"""What an uninstall leaves behind, and why: claims, kept Secrets, definitions, the namespace."""

from dataclasses import dataclass

from runbooks_lib.helm import Release
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import (
    annotation,
    claim_names,
    hook_objects,
    kept,
    key_of,
    objects_of,
    secret_values,
    workloads,
)
from runbooks_lib.release.owners import carries_name, other_owner
from runbooks_lib.release.passwords import HELMS_OWN, PASSWORD_KEYS
from runbooks_lib.results import Json, ObjectChange
from runbooks_lib.tables import table

#: Why something stays.
_WHY: dict[str, str] = table(__package__, "leftovers.yaml")


@dataclass(frozen=True)
class Leftovers:
    """What becomes of each object.

    Attributes:
        cluster_scoped: Those of the removed that belong to the whole cluster, and who else would miss them.
        passing: Names of those that stay for a while and then remove themselves.
        gone: Names of those that should stay and are not there any more.
        split: Names of the Secrets that go although a volume that they open may stay.
    """

    changes: tuple[ObjectChange, ...]
    cluster_scoped: tuple[str, ...]
    passing: tuple[str, ...]
    gone: tuple[str, ...] = ()
    split: tuple[str, ...] = ()

    @property
    def staying(self) -> tuple[str, ...]:
        """Names of those that are there until somebody removes them."""
        return tuple(each.name for each in self.changes if each.action == "keep" and each.name not in self.passing)


def leftovers_of(boundaries: Boundaries, stored: Release) -> Leftovers:
    """What goes and what stays when this release is removed."""
    objects = objects_of(stored.manifest)
    changes: list[ObjectChange] = []
    cluster_scoped: list[str] = []
    gone: list[str] = []
    passwords: list[str] = []
    for obj in objects:
        name = str(key_of(obj))
        if kept(obj) and boundaries.live(obj) is None:
            gone.append(name)
            continue
        if kept(obj):
            changes.append(ObjectChange(action="keep", name=name, detail=(_WHY["policy"],)))
            continue
        scoped = boundaries.cluster.resource(obj["apiVersion"], obj["kind"])
        detail: tuple[str, ...] = ()
        if scoped is not None and not scoped.namespaced:
            detail = _shared(boundaries, obj)
            cluster_scoped.append(name + (f" — {'; '.join(detail)}" if detail else ""))
        if obj["kind"] == "Secret" and PASSWORD_KEYS & {*dict(secret_values(obj))}:
            detail = (_WHY["pair"],)
            passwords.append(name)
        changes.append(ObjectChange(action="remove", name=name, detail=detail))
    besides = _kept_besides(boundaries, stored).items()
    changes += [ObjectChange(action="keep", name=name, detail=(why,)) for name, why in besides]
    # Whether such a Job is still there depends on the minute: a plan that looked would not keep its digest.
    passing = tuple(str(key_of(obj)) for obj in hook_objects(stored) if _removes_itself(obj))
    changes += [ObjectChange(action="keep", name=name, detail=(_WHY["passing"],)) for name in passing]
    volumes = [each for each in changes if each.action == "keep" and each.name.startswith("PersistentVolumeClaim ")]
    split = tuple(passwords) if volumes else ()
    return Leftovers(tuple(changes), tuple(cluster_scoped), passing, tuple(gone), split)


def _removes_itself(obj: Json) -> bool:
    ours = "-delete" in annotation(obj, "helm.sh/hook") and "succeeded" in annotation(obj, "helm.sh/hook-delete-policy")
    return ours or "ttlSecondsAfterFinished" in (obj.get("spec") or {})


def _kept_besides(boundaries: Boundaries, stored: Release) -> dict[str, str]:
    """What stays although the manifest does not name it, as name and reason."""
    cluster, namespace = boundaries.cluster, boundaries.namespace
    known = {str(key_of(obj)) for obj in [*objects_of(stored.manifest), *hook_objects(stored)]}
    found: dict[str, str] = {}
    for workload in workloads(stored.manifest):
        for claim in claim_names(workload):
            if cluster.get("v1", "PersistentVolumeClaim", claim, namespace) is not None:
                found[f"PersistentVolumeClaim {claim}"] = _WHY["claim"]
    for obj in hook_objects(stored):
        if _removes_itself(obj):
            continue
        if boundaries.live(obj) is not None:
            found[str(key_of(obj))] = _WHY["hook"]
    for kind in ("PersistentVolumeClaim", "Secret"):
        for obj in cluster.list("v1", kind, namespace):
            name = f"{kind} {obj['metadata']['name']}"
            if name not in known and obj.get("type") != HELMS_OWN and carries_name(boundaries, obj):
                found.setdefault(name, _WHY["earlier"])
    for definition in sorted(_definitions(boundaries, stored)):
        found[f"CustomResourceDefinition {definition}"] = _WHY["definition"]
    found[f"Namespace {namespace}"] = _WHY["namespace"]
    return found


def _definitions(boundaries: Boundaries, stored: Release) -> set[str]:
    names = set()
    for obj in objects_of(stored.manifest):
        resource = boundaries.cluster.resource(obj["apiVersion"], obj["kind"])
        # A definition's group always has a dot; most of Kubernetes' own have none.
        if resource is not None and "." in resource.group and boundaries.cluster.definition(resource) is not None:
            names.add(f"{resource.plural}.{resource.group}")
    return names


def _shared(boundaries: Boundaries, obj: Json) -> tuple[str, ...]:
    """Who else would miss a cluster-scoped object."""
    key = key_of(obj)
    live = boundaries.live(obj)
    if live is None:
        return ("is gone already",)
    shared = []
    if owner := other_owner(boundaries, live):
        shared.append(f"belongs to {owner}, and Helm would remove it all the same")
    if key.kind == "GatewayClass":
        for gateway in boundaries.cluster.list(obj["apiVersion"], "Gateway"):
            metadata = gateway["metadata"]
            used = gateway.get("spec", {}).get("gatewayClassName") == key.name
            # One that is being deleted misses nothing, and would be gone from the plan that is made before the change.
            if used and "deletionTimestamp" not in metadata and metadata.get("namespace") != boundaries.namespace:
                shared.append(f"used by Gateway {metadata['namespace']}/{metadata['name']}")
    return tuple(shared)
