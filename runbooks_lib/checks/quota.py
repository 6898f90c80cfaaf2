"""Do the namespace's quotas and limits leave room for what the chart would add?"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.demand import Claim, Pods, asked, bounds, claims_of, containers_of, pods_of, size_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.quantities import Amounts, amounts, thousandths, told
from runbooks_lib.checks.storage import class_of, default_classes
from runbooks_lib.release.manifest import key_of
from runbooks_lib.results import Json

#: What each container has to say once a quota counts it; ``cpu`` is another name of ``requests.cpu``.
_TO_BE_SAID = {f"{part}.{name}": (part, name) for part in ("requests", "limits") for name in ("cpu", "memory")}
_TO_BE_SAID |= {name: ("requests", name) for name in ("cpu", "memory")}
_ONE = 1000


class _Rules(NamedTuple):
    """What holds in the namespace: its quotas, and the items of its LimitRanges."""

    quotas: list[Json]
    limits: list[Json]

    @property
    def defaults(self) -> list[Json]:
        return [item for item in self.limits if item.get("type") == "Container"]


def quota(subject: Subject) -> Answer:
    """What would be added, against what each quota has left and each LimitRange lets through."""
    cluster, namespace = subject.boundaries.cluster, subject.boundaries.namespace
    if cluster.get("v1", "Namespace", namespace) is None:
        return Answer("skip", f"{namespace} is not there yet, and so has no quota")
    ranges = cluster.list("v1", "LimitRange", namespace)
    limits = [item for each in ranges for item in each["spec"].get("limits") or ()]
    rules = _Rules(cluster.list("v1", "ResourceQuota", namespace), limits)
    if not rules.quotas and not rules.limits:
        return Answer("skip", f"{namespace} has neither a ResourceQuota nor a LimitRange")
    pods, claims = pods_of(subject.objects), claims_of(subject.objects)
    fresh = set(_missing(subject, _claim_objects(claims)))
    new = [claim for claim in claims if f"PersistentVolumeClaim {claim.name}" in fresh]
    wrong, fits, unjudged = [*_outside(rules, pods, new)], [], []
    things = _things(subject, new)
    for each in rules.quotas:
        name, scopes = each["metadata"]["name"], each["spec"].get("scopes") or []
        if each["spec"].get("scopeSelector") or not _SCOPES.issuperset(scopes):
            unjudged.append(f"ResourceQuota {name} holds for some pods only, by a scope that is not judged here")
            continue
        meant = [one for one in pods if _in_scopes(one, scopes)]
        needs = _pod_needs(subject, meant, rules) + (Amounts() if scopes else things)
        wrong += _unsaid(each, meant, rules)
        over, within = _compared(each, needs)
        wrong += over
        fits += within
    if wrong:
        return Answer("fail", "\n".join(dict.fromkeys(wrong)))
    if any(obj["kind"] == "Gateway" for obj in subject.objects) and fits:
        fits.append("what the Gateway's controller makes comes on top")
    seen = "; ".join([*unjudged, *fits]) or "nothing of the chart is counted or limited here"
    return Answer("warn" if unjudged else "pass", seen)


def _compared(each: Json, needs: Amounts) -> tuple[list[str], list[str]]:
    """Of one quota what would exceed it, and what fits."""
    status, name = each.get("status") or {}, each["metadata"]["name"]
    over: list[str] = []
    fits: list[str] = []
    used = amounts(status.get("used"))
    for resource, hard in amounts(status.get("hard") or each["spec"].get("hard")).items():
        need, left = needs[resource], hard - used[resource]
        if need > 0:
            words = f"{resource} {told(need, resource)} needed, {told(left, resource)} left"
            (over if need > left else fits).append(f"ResourceQuota {name}: {words}")
    return over, fits


def _things(subject: Subject, claims: list[Claim]) -> Amounts:
    """How many of each thing that is no pod would be added, under all names that a quota may count it by."""
    cluster, namespace = subject.boundaries.cluster, subject.boundaries.namespace
    rendered = subject.objects
    fresh = set(_missing(subject, rendered))
    # Besides: Helm's own Secret of each revision, and our Lease.
    objects = [obj for obj in rendered if str(key_of(obj)) in fresh]
    objects = [obj for obj in objects if obj["kind"] != "PersistentVolumeClaim"]
    objects += [{"apiVersion": "v1", "kind": "Secret"}, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}]
    objects += [{"apiVersion": "apps/v1", "kind": "ReplicaSet"} for obj in objects if obj["kind"] == "Deployment"]
    needs = Amounts()
    for obj in [*objects, *_claim_objects(claims)]:
        what = cluster.resource(obj["apiVersion"], obj["kind"])
        if what is None or not what.namespaced or key_of(obj, namespace).namespace != namespace:
            continue
        needs[f"count/{what.plural}.{what.group}".removesuffix(".")] += _ONE
        needs += Amounts() if what.group else Amounts({what.plural: _ONE})
        needs += _service_needs(obj) if obj["kind"] == "Service" else Amounts()
    default = next(iter(default_classes(subject.classes)), "")
    for claim in claims:
        name, size = class_of(claim.spec), thousandths(size_of(claim.spec))
        prefix = f"{default if name is None else name}.storageclass.storage.k8s.io"
        needs += Amounts({"requests.storage": size, f"{prefix}/requests.storage": size})
        needs[f"{prefix}/persistentvolumeclaims"] += _ONE
    return needs


def _service_needs(service: Json) -> Amounts:
    spec = service.get("spec") or {}
    balancer = spec.get("type") == "LoadBalancer"
    opened = spec.get("type") == "NodePort" or (balancer and spec.get("allocateLoadBalancerNodePorts", True))
    ports = len(spec.get("ports") or ()) if opened else 0
    return Amounts({"services.loadbalancers": _ONE * balancer, "services.nodeports": _ONE * ports})


def _pod_needs(subject: Subject, pods: list[Pods], rules: _Rules) -> Amounts:
    """What these pods would add to what those of them that run already use."""
    needs = Amounts()
    for each in pods:
        # A Job's are made anew.
        live = subject.boundaries.pods_of([each.owner])
        spec, one = each.spec, Amounts({"pods": _ONE, "count/pods": _ONE})
        wanted = _named(spec, rules) + one
        added = Amounts({name: need * each.copies for name, need in wanted.items()})
        for pod in live:
            added.subtract(_named(pod["spec"], rules) + one)
        needs += added
    return needs


def _named(spec: Json, rules: _Rules) -> Amounts:
    """What a pod requests and is limited to, under the names that a quota has for it."""
    requests, limits = asked(spec, rules.defaults)
    named = Amounts(requests)
    named.update({f"requests.{name}": need for name, need in requests.items()})
    named.update({f"limits.{name}": need for name, need in limits.items()})
    return named


def _unsaid(each: Json, pods: list[Pods], rules: _Rules) -> Iterator[str]:
    """The pods that a quota refuses because a container does not say how much it wants."""
    hard = each["spec"].get("hard") or {}
    for resource, (part, name) in _TO_BE_SAID.items():
        if resource not in hard:
            continue
        silent = [
            one.name
            for one in pods
            for container in containers_of(one.spec)
            if name not in bounds(container, rules.defaults)[part == "limits"]
        ]
        if silent:
            listed = ", ".join(dict.fromkeys(silent))
            lacks = f"the containers of {listed} name none, and no LimitRange gives a default"
            yield f"ResourceQuota {each['metadata']['name']} counts {resource}: {lacks}, so that their pods are refused"


def _outside(rules: _Rules, pods: list[Pods], claims: list[Claim]) -> Iterator[str]:
    """What a LimitRange would refuse."""
    for item in rules.limits:
        kind = item.get("type")
        if kind == "PersistentVolumeClaim":
            sizes = [(f"claim {each.name}", amounts({"storage": size_of(each.spec)})) for each in claims]
            asked_for = [(who, size, size) for who, size in sizes]
        elif kind == "Pod":
            asked_for = [(each.name, *asked(each.spec, rules.defaults)) for each in pods]
        else:
            asked_for = [
                (f"{each.name}, container {container['name']}", *bounds(container, rules.defaults))
                for each in pods
                for container in containers_of(each.spec)
            ]
        for who, requests, limits in asked_for:
            for name, least in amounts(item.get("min")).items():
                if requests[name] < least:
                    yield f"LimitRange: {who} asks for {told(requests[name], name)} {name}, at least {told(least, name)} must be"
            for name, most in amounts(item.get("max")).items():
                if limits[name] > most or name not in limits:
                    limit = told(limits[name], name) if name in limits else "no limit of"
                    yield f"LimitRange: {who} has {limit} {name}, at most {told(most, name)} may be"


_SCOPES = frozenset({"BestEffort", "NotBestEffort", "Terminating", "NotTerminating"})


def _in_scopes(pods: Pods, scopes: list[str]) -> bool:
    ends = pods.spec.get("activeDeadlineSeconds") is not None
    modest = not any(any(bounds(each)) for each in containers_of(pods.spec))
    held = {"BestEffort" if modest else "NotBestEffort", "Terminating" if ends else "NotTerminating"}
    return held.issuperset(scopes)


def _claim_objects(claims: list[Claim]) -> list[Json]:
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    return [kind | {"metadata": {"name": claim.name}} for claim in claims]


def _missing(subject: Subject, objects: Iterable[Json]) -> list[str]:
    """``Kind name`` of those of these objects that are not in the cluster."""
    return [str(key_of(obj)) for obj in objects if subject.boundaries.live(obj) is None]
