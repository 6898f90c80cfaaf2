"""Can the cluster give the volumes that the chart claims, and those that several pods share?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.containers import few
from runbooks_lib.cluster.quantities import thousandths
from runbooks_lib.release.manifest import annotation, key_of
from runbooks_lib.release.rendered import Claim, claims_of, mounted, pods_of, size_of
from runbooks_lib.results import Json
from runbooks_lib.tables import table

if TYPE_CHECKING:
    from runbooks_lib.checks.prerequisites import Subject

_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")

_KNOWN: dict[str, list[str]] = table(__package__, "provisioners.yaml")
_SHARED, _SINGLE = (re.compile("|".join(_KNOWN[mode]), re.IGNORECASE) for mode in ("ReadWriteMany", "ReadWriteOnce"))
#: What Kubernetes itself keeps a claim by, as long as a pod mounts it.
_WHILE_MOUNTED = "kubernetes.io/pvc-protection"
_GOING = (
    "Nothing takes the deletion of {name} back. Copy its data out first if they are still wanted; then {first}: once it is gone, an "
    "empty claim is made in its place."
)
_MODES = (
    "Copy the data of {name} out, delete that claim once nothing mounts it, let the change make it anew with {modes}, and copy the "
    "data back; if they may be lost, delete it alone."
)
_NO_DEFAULT = "no default StorageClass, and the chart names none"


def default_classes(classes: dict[str, Json]) -> list[str]:
    """The names of the classes that are marked as default; the first one is what Kubernetes takes, the newest."""
    marked = [
        name for name, item in classes.items() if any(annotation(item, mark) == "true" for mark in _DEFAULT_CLASS)
    ]
    made = {name: str(classes[name]["metadata"].get("creationTimestamp") or "") for name in sorted(marked)}
    return sorted(made, key=lambda name: made[name], reverse=True)


def class_of(claim: Json) -> str | None:
    """The class that a claim's specification names; None stands for the default one, empty for no class at all."""
    name = claim.get("storageClassName")
    return None if name is None else str(name)


def storage_classes(subject: Subject) -> Answer:
    """Whether each claim has a class, and each one that is there already is as it would be made."""
    cluster, namespace = subject.boundaries.cluster, subject.boundaries.namespace
    claims = claims_of(subject.objects)
    if not claims:
        return Answer("skip", "the chart asks for no claim")
    live = {item["metadata"]["name"]: item for item in cluster.list("v1", "PersistentVolumeClaim", namespace)}
    lines = []
    for claim in claims:
        there = live.get(claim.name)
        if there is None:
            lines.append(_as_to_be_made(subject, claim))
        elif going(there):
            lines.append(_going(subject, there))
        else:
            lines += [_as_it_is(subject, claim, there), *_modes(subject, claim, there)]
    return together([*lines, *(Answer("fail", says) for says in _changed_templates(subject))])


def _as_to_be_made(subject: Subject, claim: Claim) -> Answer:
    classes, name = subject.classes, class_of(claim.spec)
    says = f"claim {claim.name} ({size_of(claim.spec)})"
    if name == "":
        return Answer("warn", f"{says} names no class on purpose: only a volume made by hand fits it")
    defaults = default_classes(classes)
    chosen = classes.get(name or next(iter(defaults), ""))
    if chosen is None:
        return Answer("fail", f"{says}: StorageClass {name} does not exist" if name else f"{says}: {_NO_DEFAULT}")
    mode = chosen.get("volumeBindingMode") or "Immediate"
    provisioner = str(chosen.get("provisioner", ""))
    says += f": StorageClass {chosen['metadata']['name']} ({mode})"
    if "ReadWriteMany" in claim.spec.get("accessModes", ()) and _SINGLE.search(provisioner):
        return Answer("fail", f"{says}: {provisioner} gives ReadWriteOnce only, and ReadWriteMany is asked for")
    if "ReadWriteMany" in claim.spec.get("accessModes", ()) and not _SHARED.search(provisioner):
        return Answer("warn", f"{says}: not known whether {provisioner} can give ReadWriteMany")
    if name is None and len(defaults) > 1:
        return Answer("warn", f"{says}, the newest of the default ones {', '.join(defaults)}")
    return Answer("pass", says)


def going(claim: Json) -> str:
    """Of a claim that is being deleted since when, and by which finalizers it is kept; empty for any other."""
    since, kept = claim["metadata"].get("deletionTimestamp"), claim["metadata"].get("finalizers")
    return f"is being deleted since {since}, kept by {', '.join(kept or ['nothing'])}" if since else ""


def _going(subject: Subject, live: Json) -> Answer:
    boundaries, name = subject.boundaries, live["metadata"]["name"]
    pods = [pod for pod in boundaries.cluster.list("v1", "Pod", boundaries.namespace) if name in mounted(pod["spec"])]
    by = few(pod["metadata"]["name"] for pod in pods)
    told = f"; mounted by Pod {by}" if pods else "; no pod mounts it"
    others = ", ".join(one for one in live["metadata"].get("finalizers") or () if one != _WHILE_MOUNTED)
    first = [f"stop {by}"] * bool(pods) + [f"ask whoever set {others} to finish and take it out"] * bool(others)
    remedy = _GOING.format(name=name, first=" and ".join(first) or "wait")
    return Answer("fail", f"claim {name} {going(live)}{told}", remedy)


def _modes(subject: Subject, claim: Claim, live: Json) -> Iterator[Answer]:
    """The access modes that are asked for and that a claim that is there does not have."""
    # What a StatefulSet finds is kept as it is: of a bound one the modes of its volume count. What stands alone is sent as rendered.
    parts = ("status", "spec") if claim.owner else ("spec",)
    has: list[str] = next(filter(None, ((live.get(part) or {}).get("accessModes") for part in parts)), [])
    lacks = [mode for mode in claim.spec.get("accessModes") or () if mode not in has]
    if not lacks or "ReadWriteMany" in has:
        return
    users = [pods.owner for pods in pods_of(subject.objects) if claim.name in mounted(pods.spec)]
    names = dict.fromkeys(str(key_of(owner)) for owner in ([claim.owner] if claim.owner else []) + users)
    says = f"claim {claim.name} is there with {', '.join(has)}, {', '.join(lacks)} is asked for"
    says += f"; {'a StatefulSet keeps the claim that it finds' if claim.owner else 'no change of a claim changes its access modes'}"
    if len(names) > 1:
        says += f"; {few(names)} mount it, and those on another node than the first wait for ever"
    bad = len(names) > 1 or claim.owner is None
    yield Answer("fail" if bad else "warn", says, _MODES.format(name=claim.name, modes=", ".join(lacks)))


def _as_it_is(subject: Subject, claim: Claim, live: Json) -> Answer:
    spec, wanted = live.get("spec") or {}, class_of(claim.spec)
    here, there = size_of(spec), size_of(claim.spec)
    says, own = f"claim {claim.name} is there", spec.get("storageClassName") or ""
    template = claim.owner is not None
    if wanted is not None and wanted != own:
        never = "it keeps it: a StatefulSet never changes a claim" if template else "a claim's class can't be changed"
        return Answer("warn" if template else "fail", f"{says} with StorageClass {own}, not {wanted}; {never}")
    grows = thousandths(there) - thousandths(here)
    if grows < 0:
        stays = "it stays so" if template else "a claim can't shrink, so that the change would be refused"
        return Answer("warn" if template else "fail", f"{says} with {here}, {there} is rendered; {stays}")
    if grows == 0:
        return Answer("pass", f"{says} with {here} of StorageClass {own}")
    able = bool((subject.classes.get(own) or {}).get("allowVolumeExpansion"))
    says += f" with {here}, {there} is rendered; StorageClass {own} {'can' if able else 'can not'} grow it"
    if not template:
        return Answer("pass" if able else "fail", says)
    return Answer("warn", f"{says}, and Helm never does for a StatefulSet's claim")


def _changed_templates(subject: Subject) -> list[str]:
    """The StatefulSets whose claim templates would be others than those that they live with."""
    owners = {id(claim.owner): claim.owner for claim in claims_of(subject.objects) if claim.owner}
    changed = []
    for owner in owners.values():
        live = subject.live[key_of(owner, subject.boundaries.namespace)]
        if live and (wanted := _templates(owner)) != (there := _templates(live)):
            told = "; ".join(
                f"{name}: {there.get(name, 'none')} is there, {what} is rendered" for name, what in wanted.items()
            )
            changed.append(f"{key_of(owner)} can't get other claim templates, so that an upgrade is refused ({told})")
    return changed


def _templates(owner: Json) -> dict[str, str]:
    """Of each claim template its size and class."""
    templates = (owner.get("spec") or {}).get("volumeClaimTemplates") or ()
    return {
        each["metadata"]["name"]: f"{size_of(each['spec'])} {class_of(each['spec']) or ''}".strip()
        for each in templates
    }
