"""What an uninstall removes besides the release, where the parameters ask for it: its data, or its whole namespace."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path as FilePath
from typing import NamedTuple

from runbooks_lib.cluster import Cluster
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.helm import Release
from runbooks_lib.release import backup
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.lease import name_of
from runbooks_lib.release.leftovers import Leftovers
from runbooks_lib.release.manifest import key_of, objects_of
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.rendered import size_of
from runbooks_lib.release.resuming import left_in
from runbooks_lib.release.stores import stores
from runbooks_lib.results import Json, ObjectChange, Plan, Step
from runbooks_lib.threads import at_once

_DATA = ("PersistentVolumeClaim", "Secret")
#: What is in every namespace, or is made and removed by controllers.
_EVERYWHERE = ("ServiceAccount default", "ConfigMap kube-root-ca.crt")
_DERIVED = frozenset({"Event", "Endpoints", "EndpointSlice", "ControllerRevision", "PodMetrics"})
#: The API of the kinds that are removed by name, where it is not the core's.
VERSIONS = {"Job": "batch/v1"}
#: Names of others that are told.
_TOLD = 10


class Removing(NamedTuple):
    """What becomes of each object, and the steps before and after the release goes."""

    left: Leftovers
    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    says: tuple[str, ...] = ()


def removing_of(boundaries: Boundaries, stored: Release, left: Leftovers) -> Removing:
    """What the policy of the parameters makes of what would stay.

    Raises CheckFailed: The release's name was not typed, nothing can be backed up and nobody has accepted that, or the
        namespace has objects of others.
    """
    settings, namespace = boundaries.parameters.uninstall, boundaries.namespace
    with_it = going_with_it(boundaries, left)
    if settings.policy == "keep-data":
        if with_it:
            raise refused("claims go", names=", ".join(with_it), release=boundaries.release)
        return Removing(left)
    if settings.confirm != boundaries.release:
        raise refused(
            "not typed", policy=settings.policy, release=boundaries.release, typed=settings.confirm or "nothing"
        )
    data = [each for each in left.changes if each.action == "keep" and each.name.startswith(_DATA)]
    around = backup.before_removal(
        boundaries, stores(boundaries, objects_of(stored.manifest)), any_data=bool(data or with_it)
    )
    found = {each.name: _live(boundaries, each.name) for each in data}
    gone = {
        name: ObjectChange(action="remove", name=name, detail=(_age(live),)) for name, live in found.items() if live
    }
    listed = [[*name.split(" ", 1), live["metadata"].get("uid", "")] for name, live in found.items() if live]
    step = Step(kind="remove-data", title=f"Remove {', '.join(gone)}, with the data", data={"objects": listed})
    after = [step] if gone else []
    says = [f"REMOVES DATA: {name} ({change.detail[0]})." for name, change in gone.items()]
    says += [f"REMOVES DATA: {name}, with the release that it belongs to." for name in with_it]
    if says and around.before:
        held = ", ".join(around.before[-1].data["databases"])
        says.append(f"The backup holds {held} alone: whatever else is on these volumes is gone for good.")
    if settings.policy == "remove-namespace":
        if (others := _others(boundaries, stored, left)) and not settings.others_too:
            raise refused("not alone", namespace=namespace, names=", ".join(others[:_TOLD]), number=len(others))
        says += [f"REMOVES what is not this release's: {', '.join(others)}."] if others else []
        spaced = {each.kind for each in boundaries.cluster.resources() if each.namespaced} | {"Namespace"}
        besides = (each.name for each in left.changes if each.action == "keep" and each.name.split()[0] in spaced)
        gone = {
            name: ObjectChange(action="remove", name=name, detail=("goes with the namespace",)) for name in besides
        } | gone
        after.append(Step(kind="remove-namespace", title=f"Remove namespace {namespace} with all that is in it"))
    changes = tuple(gone.get(each.name, each) for each in left.changes)
    return Removing(replace(left, changes=changes, split=()), around.before, tuple(after), tuple(says))


def removing_the_rest(boundaries: Boundaries, target: Json, stopped: FilePath | None, lease: Step, bound: Json) -> Plan:
    """What is left to do where the release is gone: of an uninstall that was stopped the data that it was to remove.

    Args:
        lease: The first step of every change.
        bound: What every plan binds.
    """
    plan = Plan(stage="uninstall", target=target, bindings=bound | {"staying": [], "passing": []})
    said = f"There is no release {boundaries.release} in namespace {boundaries.namespace}"
    first = left_in(stopped) if stopped else {"steps": (), "changes": (), "bindings": {}}
    steps: list[Step] = []
    for step in (Step.model_validate(each) for each in first["steps"]):
        if step.kind == "remove-data":
            live = ((each, _live(boundaries, " ".join(each[:2]))) for each in step.data["objects"])
            there = [each for each, found in live if found and found["metadata"].get("uid", "") == each[2]]
            steps += [step.model_copy(update={"data": {"objects": there}})] if there else []
        if step.kind == "remove-namespace" and boundaries.cluster.get("v1", "Namespace", boundaries.namespace):
            steps.append(step)
    if not steps:
        return plan.model_copy(
            update={"impact": (f"{said}: nothing is to be removed. If you meant another, correct target.",)}
        )
    names = [f"{kind} {name}" for step in steps for kind, name, _ in step.data.get("objects", ())]
    whole = any(step.kind == "remove-namespace" for step in steps)
    changes = tuple(ObjectChange.model_validate(each) for each in first["changes"] if whole or each["name"] in names)
    impact = (
        f"{said} any more; an uninstall of it was stopped before it had removed {', '.join(names) or 'its namespace'}.",
    )
    impact += tuple(
        line
        for line in first["impact"]
        if line.startswith("REMOVES") and (whole or any(name in line for name in names))
    )
    more: Json = {
        "steps": (lease, *steps),
        "changes": changes,
        "impact": impact,
        "bindings": first["bindings"] | bound | {"revision": 0},
    }
    return plan.model_copy(update=more)


def going_with_it(boundaries: Boundaries, left: Leftovers) -> list[str]:
    """The volume claims that belong to the release itself, so that Helm removes them with it, as ``Kind name (size)``."""
    names = (
        each.name for each in left.changes if each.action == "remove" and each.name.startswith("PersistentVolumeClaim ")
    )
    return [f"{name} ({_age(live)})" for name in names if (live := _live(boundaries, name))]


def remove(boundaries: Boundaries, objects: Iterable[list[str]]) -> None:
    """Remove exactly these objects, as kind, name and UID: one that was made anew meanwhile stays."""
    for kind, name, uid in objects:
        remove_one(boundaries.cluster, VERSIONS.get(kind, "v1"), kind, name, boundaries.namespace, uid=uid)


def remove_one(cluster: Cluster, *what: str, uid: str) -> Json | None:
    """Remove exactly one object, by API version, kind, name and namespace; what it was, or None: it is another one, or gone."""
    version, kind, name, namespace = what
    live = cluster.get(version, kind, name, namespace or None)
    if live is None or live["metadata"].get("uid", "") != uid:
        return None
    cluster.delete(version, kind, name, namespace or None)
    return live


def _live(boundaries: Boundaries, name: str) -> Json | None:
    kind, _, rest = name.partition(" ")
    return boundaries.cluster.get("v1", kind, rest, boundaries.namespace)


def _age(live: Json) -> str:
    size = size_of(live.get("spec") or {})
    made = str(live["metadata"].get("creationTimestamp") or "an unknown day")[:10]
    return f"{size}, made {made}" if size != "0" else f"made {made}"


def _others(boundaries: Boundaries, stored: Release, left: Leftovers) -> list[str]:
    """``Kind name`` of what is in the namespace and not this release's."""
    cluster, namespace = boundaries.cluster, boundaries.namespace
    ours = {*map(str, map(key_of, objects_of(stored.manifest))), *(each.name for each in left.changes)}
    ours |= {*_EVERYWHERE, f"Lease {name_of(boundaries.release)}"}

    def of_kind(resource: Resource) -> list[str]:
        found = cluster.list(resource.api_version, resource.kind, namespace)
        names = (f"{resource.kind} {obj['metadata']['name']}" for obj in found if not _derived(obj))
        return [
            name
            for name in names
            if name not in ours and not name.startswith(f"Secret sh.helm.release.v1.{boundaries.release}.")
        ]

    held = (each for each in cluster.resources() if each.namespaced and each.holds_objects)
    wanted = [each for each in held if each.kind not in _DERIVED]
    return sorted({name for names in at_once(of_kind, wanted) for name in names})


def _derived(obj: Json) -> bool:
    """Whether it goes with its owner, which is looked at itself."""
    return bool(obj["metadata"].get("ownerReferences"))
