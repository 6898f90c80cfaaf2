"""What a change means for what runs, what is stored and how it is reached: two manifests against each other, as sentences.

No component, chart or version is known here: everything is read off the objects.
"""

from collections.abc import Iterable, Iterator

from runbooks_lib.release.manifest import WORKLOAD_KINDS, ObjectKey, kept, key_of
from runbooks_lib.release.rendered import claims_of, mounted, pods_of, size_of
from runbooks_lib.results import Json

#: What a container has that others may miss: its list, and by which of its keys an item is known.
_PARTS = (("env", "name", "variable"), ("ports", "containerPort", "port"), ("volumeMounts", "mountPath", "mount"))


class Sides:
    """The objects that Helm stored, and those that it would store."""

    def __init__(self, old: Iterable[Json], new: Iterable[Json], namespace: str) -> None:
        self.namespace = namespace
        self.old = {key_of(obj, namespace): obj for obj in old}
        self.new = {key_of(obj, namespace): obj for obj in new}

    def gone(self, *kinds: str) -> dict[ObjectKey, Json]:
        """The objects of these kinds that go."""
        return {key: obj for key, obj in self.old.items() if key.kind in kinds and key not in self.new}

    def come(self, *kinds: str) -> dict[ObjectKey, Json]:
        """The objects of these kinds that are new."""
        return {key: obj for key, obj in self.new.items() if key.kind in kinds and key not in self.old}

    def both(self, *kinds: str) -> dict[ObjectKey, tuple[Json, Json]]:
        """The objects of these kinds that stay, as they were and as they would be."""
        return {key: (self.old[key], obj) for key, obj in self.new.items() if key.kind in kinds and key in self.old}


def workloads(sides: Sides) -> Iterator[str]:
    """What becomes of what runs."""
    gone, come = sides.gone(*WORKLOAD_KINDS), sides.come(*WORKLOAD_KINDS)
    replaced = {
        key: other for key in gone for other in come if (key.namespace, key.name) == (other.namespace, other.name)
    }
    for key, other in replaced.items():
        yield f"REPLACED: {key} goes, and {other} takes its place; nobody answers in between."
        yield from _missed(f"{other}", gone[key], come[other])
    yield from (f"Removed: {key}, with its pods." for key in gone if key not in replaced)
    yield from (f"Added: {key}." for key in come if key not in replaced.values())
    for key, (old, new) in sides.both(*WORKLOAD_KINDS).items():
        if _template(old) != _template(new):
            yield f"Restarted: {key}, {_away(key.kind, new)}."
        yield from _missed(f"{key}", old, new)


def settings(sides: Sides) -> Iterator[str]:
    """Which entries of ConfigMaps and Secrets go, that something may still read."""
    for key, (old, new) in sides.both("ConfigMap", "Secret").items():
        before, after = ({*(obj.get("data") or {}), *(obj.get("stringData") or {})} for obj in (old, new))
        if lost := sorted(map(str, before - after)):
            yield f"No longer in {key}: {', '.join(lost)}."


def kinds(sides: Sides) -> Iterator[str]:
    """Which kinds go with all that is of them."""
    for key in sides.gone("CustomResourceDefinition"):
        yield f"REMOVED, with all objects of its kind in all namespaces: {key}."


def _template(workload: Json) -> Json:
    return dict((workload.get("spec") or {}).get("template") or {})


def _away(kind: str, workload: Json) -> str:
    """What a restart is for those who use it."""
    spec = workload.get("spec") or {}
    replicas = 1 if spec.get("replicas") is None else int(spec["replicas"])
    if replicas == 0:
        return "which has no pods"
    strategy = (spec.get("strategy") or {}).get("type")
    seconds = spec.get("minReadySeconds")
    least = f", at least {seconds} s" if seconds else ""
    if kind == "Deployment" and strategy != "Recreate":
        return "new pods first, then the old ones go"
    if kind == "DaemonSet" or (kind == "StatefulSet" and replicas > 1):
        return "one pod after the other"
    return f"away until its new pod is ready{least}"


def _missed(name: str, old: Json, new: Json) -> Iterator[str]:
    """What the pods had and have no more, which others may rely on."""
    before, after = (dict(_containers(obj)) for obj in (old, new))
    lost = [f"container {each}" for each in before if each not in after]
    for container in (each for each in before if each in after):
        for part, key, word in _PARTS:
            items = [[str(item.get(key)) for item in side[container].get(part) or ()] for side in (before, after)]
            lost += [f"{word} {each} of {container}" for each in items[0] if each not in items[1]]
    if lost:
        yield f"No longer in {name}: {', '.join(lost)}."


def _containers(workload: Json) -> Iterator[tuple[str, Json]]:
    spec = _template(workload).get("spec") or {}
    for kind in ("initContainers", "containers"):
        yield from ((str(each.get("name")), each) for each in spec.get(kind) or ())


def volumes(sides: Sides, live: dict[str, Json]) -> Iterator[str]:
    """What becomes of what is stored.

    Args:
        live: The claims that are there, by their names.
    """
    old, new = ({claim.name: claim for claim in claims_of(side.values())} for side in (sides.old, sides.new))
    running = (pods for pods in pods_of(sides.new.values()) if pods.owner["kind"] in WORKLOAD_KINDS)
    used = {*new, *(name for pods in running for name in mounted(pods.spec))}
    # Of a StatefulSet that was larger once there are more than it has pods now.
    stems = {name.rpartition("-")[0]: claim for name, claim in old.items() if claim.owner and name not in new}
    more = {
        name: stems[stem]
        for name in live
        if name.rpartition("-")[2].isdecimal() and (stem := name.rpartition("-")[0]) in stems
    }
    old = old | {name: claim for name, claim in sorted(more.items()) if name not in new}
    for name in (each for each in old if each not in new):
        if (old[name].owner or kept(live.get(name) or {})) and name in live:
            still = "still mounted" if name in used else "with its data, and nothing uses it any more"
            yield f"{'Stays' if name in used else 'ORPHANED'}: volume claim {name}{_size(live[name])} stays, {still}."
        elif not old[name].owner:
            yield f"VOLUME REMOVED, with its data: claim {name}{_size(live.get(name) or {})}."
    for name in (each for each in new if each not in old):
        there = name in live
        spec = new[name].spec
        empty = f"is made, empty ({size_of(spec)}, {spec.get('storageClassName') or 'the default class'})"
        told = "is there already, with its data" if there else empty
        yield f"Volume claim {name} {told}."


def _size(claim: Json) -> str:
    asked, made = (
        size_of(claim.get("spec") or {}),
        str((claim.get("metadata") or {}).get("creationTimestamp") or "")[:10],
    )
    return f" ({asked}{f', made {made}' if made else ''})" if claim else ""


def ways(sides: Sides) -> Iterator[str]:
    """What can no longer be reached, or under another name or port."""
    for key in sides.gone("Service", "HTTPRoute", "Gateway", "Ingress", "GatewayClass"):
        yield f"Gone: {key}; whoever calls it is refused."
    for key, (old, new) in sides.both("Service").items():
        before, after = ({_port(each) for each in (obj.get("spec") or {}).get("ports") or ()} for obj in (old, new))
        if lost := sorted(before - after):
            yield f"Gone: port {', '.join(lost)} of {key}."
    before, after = _hosts(sides.old.values()), _hosts(sides.new.values())
    yield from (
        f"Gone: host {host}; links and certificates for it mean nothing any more." for host in sorted(before - after)
    )
    yield from (f"New host: {host}; its name must lead to the gateway." for host in sorted(after - before) if before)


def _port(port: Json) -> str:
    return f"{port.get('port')}/{port.get('protocol') or 'TCP'}"


def _hosts(objects: Iterable[Json]) -> set[str]:
    hosts = set()
    for obj in objects:
        spec = obj.get("spec") or {}
        if obj["kind"] == "HTTPRoute":
            hosts |= {str(host) for host in spec.get("hostnames") or ()}
        elif obj["kind"] == "Ingress":
            hosts |= {str(rule["host"]) for rule in spec.get("rules") or () if rule.get("host")}
    return hosts
