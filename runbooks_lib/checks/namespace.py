"""What the namespace lets through: its Pod Security level, its quotas and its LimitRanges.

The API server itself is asked about one pod of each template; what many things need together is added up here.
"""

import re

from runbooks_lib.checks.additions import additions
from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.ports import service_of
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.checks.storage import class_of, default_classes
from runbooks_lib.cluster import Forbidden
from runbooks_lib.cluster.quantities import ONE, Amounts, amounts, thousandths, told
from runbooks_lib.release.manifest import key_of
from runbooks_lib.release.rendered import Claim, claims_of, size_of
from runbooks_lib.results import Json

_SURGE = "Leave room for one pod more, or set the strategy of that Deployment to Recreate where the chart has a value for it."
_CLAIM = "PersistentVolumeClaim"
_LABEL = "pod-security.kubernetes.io/"
#: How the server speaks of a quota, and of a LimitRange; a webhook or a policy may use the same words.
_LIMITED = re.compile(r"^(?!.*(admission webhook|ValidatingAdmissionPolicy) ).*( quota: | usage per | ratio per )")


def pod_security(subject: Subject) -> Answer:
    """The level that the namespace enforces, against each pod template."""
    subject.require_place()
    namespace, found = subject.boundaries.namespace, subject.namespace
    labels = {} if found is None else found["metadata"].get("labels") or {}
    levels = {mode: labels[_LABEL + mode] for mode in ("enforce", "warn", "audit") if labels.get(_LABEL + mode)}
    only = ", ".join(f"{mode}={level}" for mode, level in levels.items() if mode != "enforce")
    level = levels.get("enforce", "")
    seen = f"the level {level} is enforced in {namespace}" if level else "no level is enforced by a label"
    seen += f" ({only} only tell)" if only else ""
    if found is None:
        return Answer("pass", f"{seen}: {namespace} is not there yet")
    if not subject.may_try:
        why = "what the rendered pods would meet can't be tried without the right to create pods"
        return Answer("pass" if level in {"", "privileged"} else "unknown", f"{seen}; {why}")
    # Whoever refuses one is told with the pod: Pod Security, a webhook or a policy.
    refused = [each for each in subject.trials if each.said and not _LIMITED.search(each.said)]
    if lines := [Answer("fail", f"{each.pods.name}: {each.said}", each.remedy) for each in refused]:
        return together([*lines, Answer("pass", seen)])
    return Answer("pass", f"{seen}; the API server takes a pod of each of {len(subject.trials)} templates (dry run)")


def quota(subject: Subject) -> Answer:
    """What the server says to one pod of each template, and what all would add against what each quota has left."""
    subject.require_place()
    cluster, namespace = subject.boundaries.cluster, subject.boundaries.namespace
    if subject.namespace is None:
        return Answer("skip", f"{namespace} is not there yet, and so has no quota")
    quotas = cluster.list("v1", "ResourceQuota", namespace)
    if not quotas and not cluster.list("v1", "LimitRange", namespace):
        return Answer("skip", f"{namespace} has neither a ResourceQuota nor a LimitRange")
    added = additions(subject)
    lines = [Answer("fail", f"{each.pods.name}: {each.said}") for each in added.refused if _LIMITED.search(each.said)]
    claims = [one for one in claims_of(subject.objects) if not cluster.get("v1", _CLAIM, one.name, namespace)]
    lines += [Answer("fail", f"claim {one.name}: {why}") for one in claims if (why := _refused(subject, one))]
    needs = added.pods + _things(subject, claims)
    for each in quotas:
        name, spec, status = each["metadata"]["name"], each["spec"], each.get("status") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            lines.append(
                Answer("warn", f"ResourceQuota {name} holds for some pods only, by a scope: not added up here")
            )
            continue
        used = amounts(status.get("used"))
        for resource, hard in amounts(status.get("hard") or spec.get("hard")).items():
            need, peak, left = needs[resource], added.peak[resource], hard - used[resource]
            words = f"ResourceQuota {name}: {resource} {told(need, resource)} needed, {told(left, resource)} left"
            if need > 0:
                lines.append(Answer("fail" if need > left else "pass", words))
            if need <= left < peak:
                lines.append(
                    Answer("warn", f"{words}; {told(peak, resource)} while a Deployment replaces its pods", _SURGE)
                )
    if bad := [line for line in lines if line.status == "fail"]:
        return together(bad)
    if any(obj["kind"] == "Gateway" for obj in subject.objects) and lines:
        lines.append(Answer("pass", "what else the Gateway's controller makes comes on top"))
    return together(lines or [Answer("pass", "nothing of the chart is counted or limited here")])


def _refused(subject: Subject, claim: Claim) -> str:
    """Why the namespace would not take a claim, as far as a quota or a LimitRange is the reason."""
    try:
        subject.boundaries.cluster.dry_run("create", claim.made, subject.boundaries.namespace)
    except Forbidden as error:
        return error.summary if _LIMITED.search(error.summary) else ""
    return ""


def _things(subject: Subject, claims: list[Claim]) -> Amounts:
    """How much would be added of each thing that is no pod, under all names that a quota may count it by."""
    cluster, namespace = subject.boundaries.cluster, subject.boundaries.namespace
    fresh = [obj for obj in subject.objects if subject.live[key_of(obj, namespace)] is None]
    fresh = [obj for obj in fresh if obj["kind"] != _CLAIM]
    fresh += filter(None, (service_of(subject, obj) for obj in subject.objects))
    # Besides: Helm's own Secret of each revision, and our Lease.
    fresh += [{"apiVersion": "v1", "kind": "Secret"}, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}]
    fresh += [{"apiVersion": "apps/v1", "kind": "ReplicaSet"} for obj in fresh if obj["kind"] == "Deployment"]
    needs = Amounts()
    for obj in [*fresh, *({"apiVersion": "v1", "kind": _CLAIM} for _ in claims)]:
        what = cluster.resource(obj["apiVersion"], obj["kind"])
        if what and what.namespaced and key_of(obj, namespace).namespace == namespace:
            needs[f"count/{what.plural}.{what.group}".removesuffix(".")] += ONE
            needs[what.plural] += 0 if what.group else ONE
            needs += _of_service(obj) if obj["kind"] == "Service" else Amounts()
    default = next(iter(default_classes(subject.classes)), "")
    return sum((_of_claim(one, default) for one in claims), needs)


def _of_service(service: Json) -> Amounts:
    spec = service.get("spec") or {}
    balancer = spec.get("type") == "LoadBalancer"
    opened = spec.get("type") == "NodePort" or (balancer and spec.get("allocateLoadBalancerNodePorts", True))
    ports = len(spec.get("ports") or ()) if opened else 0
    return Amounts({"services.loadbalancers": ONE * balancer, "services.nodeports": ONE * ports})


def _of_claim(claim: Claim, default: str) -> Amounts:
    name, size = class_of(claim.spec), thousandths(size_of(claim.spec))
    prefix = f"{default if name is None else name}.storageclass.storage.k8s.io"
    storage = {"requests.storage": size, f"{prefix}/requests.storage": size}
    return Amounts({**storage, f"{prefix}/persistentvolumeclaims": ONE})
