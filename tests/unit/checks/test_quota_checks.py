"""Do the namespace's quotas and limits leave room for what the chart would add?"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from runbooks_lib.cluster import Forbidden
from runbooks_lib.results import Json

HERE: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}}


def quota(hard: Json, used: Json | None = None, **spec: Any) -> Json:
    status = {"hard": hard, "used": dict.fromkeys(hard, "0") | (used or {})}
    meta = {"name": "q", "namespace": "csghub"}
    return {"kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard, **spec}, "status": status}


def limits(kind: str = "Container", **item: Any) -> Json:
    meta = {"name": "l", "namespace": "csghub"}
    return {"kind": "LimitRange", "metadata": meta, "spec": {"limits": [{"type": kind, **item}]}}


def workload(*, replicas: int = 2, resources: Json | None = None) -> Json:
    template = {
        "spec": {"containers": [{"name": "c", "resources": resources or {}}]},
        "metadata": {"labels": {"a": "b"}},
    }
    spec = {"replicas": replicas, "template": template, "selector": {"matchLabels": {"a": "b"}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def service(kind: str, **spec: Any) -> Json:
    body = {"type": kind, "ports": [{"port": 80}, {"port": 443}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": body}


def claim(size: str = "10Gi", **spec: Any) -> Json:
    body = {"resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": body}


SECRET: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
BOTH = {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}
DEFAULT_CLASS = {"name": "gold", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}


def asked(world: Any, ask: Any, rendered: Json, *there: Json) -> Any:
    world.renders(yaml.safe_dump(rendered))
    world.cluster.add(*there, {"kind": "StorageClass", "metadata": DEFAULT_CLASS})
    return ask("namespace.quota")


@pytest.mark.parametrize(
    ("there", "observed"),
    [
        ([], "csghub is not there yet, and so has no quota"),
        ([HERE], "csghub has neither a ResourceQuota nor a LimitRange"),
    ],
)
def test_without_a_namespace_or_any_limit_there_is_nothing_to_ask(
    world: Any, ask: Any, there: list[Json], observed: str
) -> None:
    answer = asked(world, ask, SECRET, *there)
    assert (answer.status, answer.observed) == ("skip", observed)


@pytest.mark.parametrize(
    ("rendered", "resource", "needed"),
    [
        (workload(), "pods", "2"),
        (workload(), "count/pods", "2"),
        (workload(), "count/deployments.apps", "1"),
        (workload(), "count/replicasets.apps", "1"),
        (SECRET, "secrets", "2"),  # and Helm's own
        (SECRET, "count/secrets", "2"),
        (SECRET, "count/leases.coordination.k8s.io", "1"),
        (service("ClusterIP"), "services", "1"),
        (service("NodePort"), "services.nodeports", "2"),
        (service("LoadBalancer"), "services.nodeports", "2"),
        (service("LoadBalancer"), "services.loadbalancers", "1"),
        (claim(), "persistentvolumeclaims", "1"),
        (claim(), "requests.storage", "10Gi"),
        (claim(), "gold.storageclass.storage.k8s.io/requests.storage", "10Gi"),
        (claim(storageClassName="tin"), "tin.storageclass.storage.k8s.io/persistentvolumeclaims", "1"),
        (workload(resources=BOTH), "cpu", "2"),
        (workload(resources=BOTH), "requests.cpu", "2"),
        (workload(resources=BOTH), "requests.memory", "2Gi"),
        (workload(resources=BOTH), "limits.memory", "2Gi"),
    ],
)
def test_what_fits_exactly_passes_and_one_less_fails(
    world: Any, ask: Any, rendered: Json, resource: str, needed: str
) -> None:
    answer = asked(world, ask, rendered, HERE, quota({resource: needed}))
    told = f"ResourceQuota q: {resource} {needed} needed, {needed} left"
    assert (answer.status, answer.observed) == ("pass", told)
    world.cluster.objects = []
    answer = asked(world, ask, rendered, HERE, quota({resource: needed}, {resource: "1m"}))
    assert (answer.status, f"ResourceQuota q: {resource} {needed} needed" in answer.observed) == ("fail", True)


@pytest.mark.parametrize(
    ("rendered", "resource"),
    [
        (service("ClusterIP"), "services.nodeports"),
        (service("LoadBalancer", allocateLoadBalancerNodePorts=False), "services.nodeports"),
        (claim(storageClassName="tin"), "gold.storageclass.storage.k8s.io/requests.storage"),
        (SECRET, "pods"),
    ],
)
def test_what_is_not_needed_is_not_counted(world: Any, ask: Any, rendered: Json, resource: str) -> None:
    answer = asked(world, ask, rendered, HERE, quota({resource: "0"}))
    assert (answer.status, answer.observed) == ("pass", "nothing of the chart is counted or limited here")


def test_what_is_there_already_is_not_added_again(world: Any, ask: Any) -> None:
    here = {"namespace": "csghub"}
    pods = [
        {"kind": "Pod", "metadata": {"name": f"w{number}", "labels": {"a": "b"}, **here}, "spec": spec}
        for number, spec in enumerate([workload()["spec"]["template"]["spec"]] * 2)
    ]
    rendered = {"apiVersion": "v1", "kind": "List", "items": [workload(), claim(), SECRET]}
    live = [obj | {"metadata": obj["metadata"] | here} for obj in (workload(), claim(), SECRET)]
    full = {"pods": "2", "persistentvolumeclaims": "1", "requests.storage": "10Gi", "count/deployments.apps": "1"}
    answer = asked(world, ask, rendered, HERE, *pods, *live, quota(full, full))
    assert (answer.status, answer.observed) == ("pass", "nothing of the chart is counted or limited here")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("forbidden: failed quota: q: must specify requests.cpu for: c", "fail"),
        ("forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1", "fail"),
        ("forbidden: maximum memory usage per Container is 512Mi, but limit is 1Gi", "fail"),
        ("forbidden: cpu max limit to request ratio per Container is 1, but provided ratio is 2.0", "fail"),
        ('violates PodSecurity "restricted:latest"', "pass"),
    ],
)
def test_what_the_server_says_of_one_pod_counts(world: Any, ask: Any, said: str, status: str) -> None:
    world.cluster.rejected = {"web-dry-run": Forbidden(said)}
    answer = asked(world, ask, workload(), HERE, quota({"pods": "5"}), limits())
    assert (answer.status, said in answer.observed) == (status, status == "fail")


def test_a_container_counts_with_what_the_server_gives_it_by_default(world: Any, ask: Any) -> None:
    answer = asked(world, ask, workload(), HERE, quota({"requests.cpu": "3"}), limits())
    assert answer.observed == "nothing of the chart is counted or limited here"
    world.cluster.defaults = {"resources": {"requests": {"cpu": "2"}}}
    assert ask("namespace.quota").observed == "ResourceQuota q: requests.cpu 4 needed, 3 left"


@pytest.mark.parametrize(
    "scope",
    [
        {"scopes": ["BestEffort"]},
        {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}},
    ],
)
def test_a_quota_with_a_scope_is_told_not_to_be_added_up(world: Any, ask: Any, scope: Json) -> None:
    answer = asked(world, ask, workload(), HERE, quota({"pods": "0"}, **scope))
    assert (answer.status, "by a scope: not added up here" in answer.observed) == ("warn", True)


def test_what_a_gateways_controller_makes_is_told_to_come_on_top(world: Any, ask: Any) -> None:
    gateway = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"}}
    answer = asked(world, ask, gateway, HERE, quota({"secrets": "5"}))
    assert (
        answer.observed == "ResourceQuota q: secrets 1 needed, 5 left\nwhat the Gateway's controller makes comes on top"
    )
