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
        answer.observed
        == "ResourceQuota q: secrets 1 needed, 5 left\nwhat else the Gateway's controller makes comes on top"
    )


def runs(world: Any, *, kind: str = "Deployment", **spec: Any) -> Json:
    """A release that is there, of one workload with its two pods, and with the quota that these use up."""
    web = workload() | {"kind": kind}
    web["spec"] |= spec
    world.stored(yaml.safe_dump(web))
    world.lives(yaml.safe_dump(web))
    meta = {"namespace": "csghub", "labels": {"a": "b"}}
    pods = (
        {"kind": "Pod", "metadata": {"name": f"w{n}", **meta}, "spec": web["spec"]["template"]["spec"]} for n in (0, 1)
    )
    full = {"pods": "2"}
    world.cluster.add(*pods, quota(full, full))
    world.cluster.rejected = {"web-dry-run": Forbidden("forbidden: exceeded quota: q, requested: pods=1, used: pods=2")}
    return web


def test_a_quota_that_the_release_itself_uses_up_is_no_failure(world: Any, ask: Any) -> None:
    web = runs(world, kind="StatefulSet")
    answer = asked(world, ask, web, HERE)
    assert (answer.status, answer.observed) == ("pass", "nothing of the chart is counted or limited here")


@pytest.mark.parametrize(
    ("strategy", "status"),
    [
        ({}, "warn"),
        ({"rollingUpdate": {"maxSurge": 0}}, "pass"),
        ({"rollingUpdate": {"maxSurge": "0%"}}, "pass"),
        ({"type": "Recreate"}, "pass"),
    ],
)
def test_that_a_deployment_needs_room_for_one_pod_more_is_a_warning(
    world: Any, ask: Any, strategy: Json, status: str
) -> None:
    web = runs(world, strategy=strategy)
    answer = asked(world, ask, web, HERE)
    told = "ResourceQuota q: pods 0 needed, 0 left; 1 while a Deployment replaces its pods"
    assert (answer.status, answer.observed == told) == (status, status == "warn"), answer.observed


def test_what_an_upgrade_adds_to_a_full_quota_is_a_failure(world: Any, ask: Any) -> None:
    web = runs(world)
    web["spec"]["replicas"] = 3
    answer = asked(world, ask, web, HERE)
    assert answer.status == "fail"
    assert "ResourceQuota q: pods 1 needed, 0 left" in answer.observed
    assert "Deployment web: forbidden: exceeded quota: q" in answer.observed


def test_pods_that_have_ended_use_nothing_of_a_quota(world: Any, ask: Any) -> None:
    web = runs(world)
    for pod in world.cluster.list("v1", "Pod"):
        pod["status"] = {"phase": "Failed"}
    assert "pods 2 needed, 0 left" in asked(world, ask, web, HERE).observed


def hook(event: str, parallelism: int = 1) -> str:
    template = {"spec": {"containers": [{"name": "c"}]}}
    meta = {"name": "prepare", "annotations": {"helm.sh/hook": event, "helm.sh/hook-delete-policy": "hook-succeeded"}}
    spec = {"template": template, "parallelism": parallelism}
    return yaml.safe_dump({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec})


@pytest.mark.parametrize(
    ("event", "parallelism", "needed"),
    [
        ("pre-install,pre-upgrade", 1, "2"),
        ("pre-install", 4, "4"),
        ("post-install", 1, "3"),
        ("pre-upgrade", 4, "2"),
        ("test", 4, "2"),
        ("pre-delete", 4, "2"),
    ],
)
def test_the_pods_of_hooks_are_not_there_at_the_same_time_as_what_comes_after_them(
    world: Any, ask: Any, event: str, parallelism: int, needed: str
) -> None:
    world.cluster.add(HERE, quota({"pods": needed, "count/pods": needed}))
    manifest = hook(event, parallelism)
    world.renders(
        yaml.safe_dump(workload()),
        hooks=[{"events": event.split(","), "manifest": manifest, "path": "h", "name": "prepare"}],
    )
    answer = ask("namespace.quota")
    assert answer.status == "pass"
    assert f"pods {needed} needed, {needed} left" in answer.observed


def test_the_pods_of_a_hook_that_stay_are_counted_as_objects(world: Any, ask: Any) -> None:
    world.cluster.add(HERE, quota({"pods": "2", "count/pods": "2"}))
    manifest = hook("pre-install").replace("hook-succeeded", "before-hook-creation")
    world.renders(yaml.safe_dump(workload()), hooks=[{"manifest": manifest}])
    assert ask("namespace.quota").observed == "ResourceQuota q: count/pods 3 needed, 2 left"


def test_only_the_rows_that_do_not_fit_are_told_of_a_failure(world: Any, ask: Any) -> None:
    answer = asked(world, ask, workload(), HERE, quota({"pods": "20", "count/deployments.apps": "0"}))
    told = "ResourceQuota q: count/deployments.apps 1 needed, 0 left"
    assert (answer.status, answer.observed) == ("fail", told)


@pytest.mark.parametrize(
    ("service_type", "resource", "needed"),
    [
        ("LoadBalancer", "services", "1"),
        ("LoadBalancer", "services.loadbalancers", "1"),
        ("LoadBalancer", "services.nodeports", "2"),
        ("NodePort", "services.nodeports", "2"),
    ],
)
def test_the_service_that_is_made_for_a_gateway_counts_until_it_is_there(
    world: Any, ask: Any, service_type: str, resource: str, needed: str
) -> None:
    world.settings["gateway"]["service_type"] = service_type
    listeners = [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}, {"port": 443, "name": "c"}]
    gateway = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"}}
    gateway["spec"] = {"listeners": listeners}
    answer = asked(world, ask, gateway, HERE, quota({resource: "0"}))
    assert (answer.status, answer.observed) == ("fail", f"ResourceQuota q: {resource} {needed} needed, 0 left")
    world.lives(yaml.safe_dump(gateway))
    assert ask("namespace.quota").status == "fail"
    world.cluster.get(gateway["apiVersion"], "Gateway", "g")["status"] = {"addresses": [{"value": "192.0.2.1"}]}
    assert ask("namespace.quota").status == "pass"


def test_a_namespace_that_is_being_removed_has_no_quota_to_be_asked(world: Any, ask: Any) -> None:
    answer = asked(world, ask, workload(), HERE | {"status": {"phase": "Terminating"}}, quota({"pods": "0"}))
    assert (answer.status, answer.observed) == ("skip", "csghub is being removed and takes nothing")
