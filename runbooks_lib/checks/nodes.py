"""Is there a node for each rendered pod?"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.demand import Pods, asked, pods_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.quantities import Amounts, amounts, told
from runbooks_lib.checks.release import conditions
from runbooks_lib.checks.selectors import fulfils
from runbooks_lib.results import Json

#: What the chart's images are made for.
_ARCHITECTURES = frozenset({"amd64", "arm64"})
_CORDON = "node.kubernetes.io/unschedulable"
_ONE = 1000


class _Node(NamedTuple):
    """A node, and what of it is still free; pods are counted as a resource of it."""

    node: Json
    free: Amounts

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def architecture(self) -> str:
        labels = self.node["metadata"].get("labels") or {}
        info = (self.node.get("status") or {}).get("nodeInfo") or {}
        return str(info.get("architecture") or labels.get("kubernetes.io/arch") or "unknown")


def room(subject: Subject) -> Answer:
    """Whether each rendered pod finds a node that may take it and has enough left."""
    pods = [each for each in pods_of(subject.objects) if each.copies]
    if not pods:
        return Answer("skip", "the chart runs no pods")
    nodes = _nodes(subject)
    if not nodes:
        return Answer("fail", "the cluster has no nodes")
    homeless = [f"{each.name} fits no node: {why}" for each in pods if (why := _nowhere(nodes, each))]
    if homeless:
        return Answer("fail", "\n".join(dict.fromkeys(homeless)))
    usable = [node for node in nodes if any(not [*_obstacles(node, each)] for each in pods)]
    kinds = sorted({node.architecture for node in usable})
    mixed = ", mixed: each image must be there for all of them" if len(kinds) > 1 else ""
    seen = f"{len(usable)} of {len(nodes)} nodes take the pods ({', '.join(kinds)}{mixed})"
    seen += f"; {_modest(pods)}"
    if crowded := _crowded(nodes, pods):
        return Answer("warn", f"each workload fits a node, but not all at once: {', '.join(crowded)}; {seen}")
    return Answer("pass" if _ARCHITECTURES.issuperset(kinds) else "warn", seen)


def _nodes(subject: Subject) -> list[_Node]:
    """All nodes, and what is free on them without the pods of this release, which an upgrade replaces."""
    own = {pod["metadata"]["uid"] for pod in subject.boundaries.pods_of(subject.objects)}
    used: dict[str, Amounts] = defaultdict(Amounts)
    for pod in subject.boundaries.cluster.list("v1", "Pod"):
        ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        if not ended and pod["metadata"]["uid"] not in own:
            used[(pod.get("spec") or {}).get("nodeName") or ""] += asked(pod["spec"])[0] + Amounts(pods=_ONE)
    found = []
    for node in subject.nodes:
        free = amounts((node.get("status") or {}).get("allocatable"))
        free.subtract(used[node["metadata"]["name"]])
        found.append(_Node(node, free))
    return found


def _nowhere(nodes: list[_Node], pods: Pods) -> str:
    """Why no node takes one of these pods; empty where one does."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        why = ", ".join([*_obstacles(node, pods), *_lacks(node, pods)])
        if not why:
            return ""
        reasons[why].append(node.name)
    listed = (f"{', '.join(names[:5])}{' …' if len(names) > 5 else ''}: {why}" for why, names in reasons.items())
    return "; ".join(listed)


def _obstacles(node: _Node, pods: Pods) -> Iterator[str]:
    """What keeps a pod off a node however empty it is."""
    spec, meta, wanted = node.node.get("spec") or {}, node.node["metadata"], pods.spec
    if conditions((node.node.get("status") or {}).get("conditions")).get("Ready") != "True":
        yield "not Ready"
    taints = [taint for taint in spec.get("taints") or () if taint["key"] != _CORDON]
    if spec.get("unschedulable"):
        taints.insert(0, {"key": _CORDON, "effect": "NoSchedule"})
    for taint in taints:
        if taint.get("effect") in {"NoSchedule", "NoExecute"} and not _tolerated(taint, wanted):
            value = f"={taint['value']}" if taint.get("value") else ""
            yield "cordoned" if taint["key"] == _CORDON else f"taint {taint['key']}{value}:{taint['effect']}"
    labels = meta.get("labels") or {}
    yield from (
        f"no label {key}={value}"
        for key, value in (wanted.get("nodeSelector") or {}).items()
        if labels.get(key) != str(value)
    )
    affinity = ((wanted.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity and not any(
        fulfils(labels, term.get("matchExpressions") or ())
        and fulfils({"metadata.name": node.name}, term.get("matchFields") or ())
        for term in affinity["nodeSelectorTerms"]
    ):
        yield "not what the affinity asks for"


def _tolerated(taint: Json, spec: Json) -> bool:
    return any(
        each.get("key") in (None, "", taint["key"])
        and each.get("effect") in (None, "", taint["effect"])
        and (each.get("operator") == "Exists" or (each.get("value") or "") == (taint.get("value") or ""))
        for each in spec.get("tolerations") or ()
    )


def _lacks(node: _Node, pods: Pods) -> list[str]:
    return [
        f"{told(need, name)} {name} asked for, {told(node.free[name], name)} free"
        for name, need in _need(pods).items()
        if need > node.free[name]
    ]


def _need(pods: Pods) -> Amounts:
    return asked(pods.spec)[0] + Amounts(pods=_ONE)


def _crowded(nodes: list[_Node], pods: list[Pods]) -> list[str]:
    """The workloads that are left over when all pods are put on nodes, the largest first."""
    left = []
    spare = [_Node(node.node, node.free.copy()) for node in nodes]
    for each in sorted(pods, key=lambda pods: -_need(pods)["memory"]):
        for _ in range(each.copies):
            place = next((node for node in spare if not [*_obstacles(node, each), *_lacks(node, each)]), None)
            if place is None:
                left.append(each.name)
                break
            place.free.subtract(_need(each))
    return left


def _modest(pods: list[Pods]) -> str:
    """Who asks for nothing, and the sum of what the others ask for."""
    total = sum(
        (Amounts({name: need * each.copies for name, need in asked(each.spec)[0].items()}) for each in pods), Amounts()
    )
    if not total:
        return "no workload asks for resources: its pods are the first to be evicted"
    requests = ", ".join(f"{told(need, name)} {name}" for name, need in total.items())
    silent = [each.name for each in pods if not asked(each.spec)[0]]
    first = f"; {', '.join(silent)} ask for nothing: their pods are the first to be evicted" if silent else ""
    return f"{requests} asked for{first}"
