"""Is there a node for each rendered pod?"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.demand import asked
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster.quantities import ONE, Amounts, amounts, told
from runbooks_lib.results import Json

#: What the chart's images are made for.
_ARCHITECTURES = frozenset({"amd64", "arm64"})
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class _Node(NamedTuple):
    """A node, and what of it is still free; pods are counted as a resource of it."""

    node: Json
    free: Amounts

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        return self.node["metadata"].get("labels") or {}


def room(subject: Subject) -> Answer:
    """Whether each rendered pod finds a node that may take it and has enough left, and all of them together."""
    pods = [(each.pods, each.spec, _need(each.spec)) for each in subject.trials if each.pods.copies]
    nodes = _nodes(subject)
    if not pods or not nodes:
        return Answer("fail", "the cluster has no nodes") if pods else Answer("skip", "the chart runs no pods")
    lines: list[Answer] = []
    usable: dict[str, _Node] = {}
    spare = {node.name: node.free.copy() for node in nodes}
    # The largest first, as whoever packs a suitcase.
    for each, spec, need in sorted(pods, key=lambda one: -one[2]["memory"]):
        why = {node.name: [*_obstacles(node, spec), *_lacks(node.free, need)] for node in nodes}
        fits = [node for node in nodes if not why[node.name]]
        usable |= {node.name: node for node in fits}
        if not fits:
            lines.append(Answer("fail", f"{each.name} fits no node: {_grouped(why)}"))
        for _ in range(each.copies if fits else 0):
            place = next((node.name for node in fits if not _lacks(spare[node.name], need)), None)
            if place is None:
                lines.append(Answer("warn", f"{each.name} fits a node, but not all pods fit at once"))
                break
            spare[place].subtract(need)
    kinds = sorted({node.labels.get("kubernetes.io/arch", "unknown") for node in usable.values()})
    mixed = ", mixed: each image must be there for all of them" if len(kinds) > 1 else ""
    seen = f"{len(usable)} of {len(nodes)} nodes take pods of the chart ({', '.join(kinds) or 'none'}{mixed})"
    return together([*lines, Answer("pass" if _ARCHITECTURES.issuperset(kinds) else "warn", seen)])


def _nodes(subject: Subject) -> list[_Node]:
    """All nodes, and what is free on them without the pods of this release, which an upgrade replaces."""
    own = {pod["metadata"]["uid"] for pod in subject.boundaries.pods_of(subject.objects)}
    used: dict[str, Amounts] = defaultdict(Amounts)
    for pod in subject.boundaries.cluster.list("v1", "Pod"):
        ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        if not ended and pod["metadata"]["uid"] not in own:
            used[pod["spec"].get("nodeName") or ""] += _need(pod["spec"])
    found = []
    for node in subject.nodes:
        free = amounts((node.get("status") or {}).get("allocatable"))
        free.subtract(used[node["metadata"]["name"]])
        found.append(_Node(node, free))
    return found


def _need(spec: Json) -> Amounts:
    return asked(spec, "requests") + Amounts(pods=ONE)


def _grouped(why: dict[str, list[str]]) -> str:
    """The reasons, each with the first nodes that it holds for."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, obstacles in why.items():
        reasons[", ".join(obstacles)].append(name)
    listed = (f"{', '.join(names[:5])}{' …' if names[5:] else ''}: {reason}" for reason, names in reasons.items())
    return "; ".join(listed)


def _obstacles(node: _Node, spec: Json) -> Iterator[str]:
    """What keeps a pod off a node however empty it is; one that is cordoned or not ready has a taint that says so."""
    for taint in (node.node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") in {"NoSchedule", "NoExecute"} and not _tolerated(taint, spec):
            value = f"={taint['value']}" if taint.get("value") else ""
            yield f"taint {taint['key']}{value}:{taint['effect']}"
    selector = (spec.get("nodeSelector") or {}).items()
    yield from (f"no label {key}={value}" for key, value in selector if node.labels.get(key) != str(value))
    terms = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED, {}).get("nodeSelectorTerms")
    if terms and not any(_fulfils(node, term) for term in terms):
        yield "not what the affinity asks for"


def _tolerated(taint: Json, spec: Json) -> bool:
    return any(
        each.get("key") in (None, "", taint["key"])
        and each.get("effect") in (None, "", taint["effect"])
        and (each.get("operator") == "Exists" or (each.get("value") or "") == (taint.get("value") or ""))
        for each in spec.get("tolerations") or ()
    )


def _fulfils(node: _Node, term: Json) -> bool:
    """Whether a node is what a term of an affinity asks for; comparisons of numbers are taken to be fulfilled."""
    listed = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
    labels = {**node.labels, "metadata.name": node.name}
    for one in listed:
        has, values = labels.get(one["key"]), one.get("values") or ()
        answers = {
            "In": has in values,
            "NotIn": has not in values,
            "Exists": has is not None,
            "DoesNotExist": has is None,
        }
        if not answers.get(one["operator"], True):
            return False
    return True


def _lacks(free: Amounts, need: Amounts) -> list[str]:
    short = (name for name in need if need[name] > free[name])
    return [f"{told(need[name], name)} {name} asked for, {told(free[name], name)} free" for name in short]
