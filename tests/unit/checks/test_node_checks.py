"""Is there a node for each rendered pod?"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from runbooks_lib.results import Json

_uids = itertools.count()


def node(name: str = "n1", *, arch: str = "amd64", labels: Json | None = None, **spec: Any) -> Json:
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "10"} | spec.pop("has", {})
    labels = {"kubernetes.io/arch": arch} | (labels or {})
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": allocatable},
    }


def workload(name: str = "web", *, replicas: int = 1, requests: Json | None = None, **spec: Any) -> Json:
    pod = {"containers": [{"name": "c", "resources": {"requests": requests or {}}}], **spec}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    selector = {"matchLabels": {"app": name}}
    body = {"replicas": replicas, "selector": selector, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def pod(app: str, on: str, requests: Json, *, phase: str = "Running", namespace: str = "csghub") -> Json:
    meta = {"name": app, "namespace": namespace, "uid": f"u{next(_uids)}", "labels": {"app": app}}
    spec = {"nodeName": on, "containers": [{"name": "c", "resources": {"requests": requests}}]}
    return {"kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": phase}}


def affinity(operator: str, values: list[str], where: str = "matchExpressions", key: str = "disk") -> Json:
    term = {where: [{"key": key, "operator": operator, "values": values}]}
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": wanted}}


CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("rendered", "nodes", "status", "observed"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, [], "skip", "the chart runs no pods"),
        (workload(replicas=0), [], "skip", "the chart runs no pods"),
        (workload(), [], "fail", "the cluster has no nodes"),
        (workload(), [node()], "pass", "1 of 1 nodes take pods of the chart (amd64)"),
        (workload(), [node(taints=[NOT_READY])], "fail", "fits no node: n1: taint node.kubernetes.io/not-ready:NoSch"),
        (workload(), [node(), node("n2", taints=[NOT_READY])], "pass", "1 of 2 nodes take pods of the chart"),
        (
            workload(),
            [node(unschedulable=True, taints=[CORDON])],
            "fail",
            "n1: taint node.kubernetes.io/unschedulable:",
        ),
        (workload(tolerations=[CORDON]), [node(unschedulable=True)], "pass", "1 of 1"),
        (workload(), [node(taints=[GPU])], "fail", "n1: taint gpu=yes:NoSchedule"),
        (workload(), [node(taints=[GPU | {"effect": "NoExecute"}])], "fail", "n1: taint gpu=yes:NoExecute"),
        (workload(), [node(taints=[GPU | {"effect": "PreferNoSchedule"}])], "pass", "1 of 1"),
        (workload(tolerations=[GPU]), [node(taints=[GPU])], "pass", "1 of 1"),
        (workload(tolerations=[{"operator": "Exists"}]), [node(taints=[GPU])], "pass", "1 of 1"),
        (workload(tolerations=[{"key": "gpu", "operator": "Exists"}]), [node(taints=[GPU])], "pass", "1 of 1"),
        (workload(tolerations=[GPU | {"value": "no"}]), [node(taints=[GPU])], "fail", "taint gpu=yes"),
        (workload(tolerations=[GPU | {"effect": "NoExecute"}]), [node(taints=[GPU])], "fail", "taint gpu=yes"),
        (workload(nodeSelector={"disk": "ssd"}), [node()], "fail", "n1: no label disk=ssd"),
        (workload(nodeSelector={"disk": "ssd"}), [node(labels={"disk": "ssd"})], "pass", "1 of 1"),
        (workload(**affinity("In", ["ssd"])), [node()], "fail", "n1: not what the affinity asks for"),
        (workload(**affinity("In", ["ssd"])), [node(labels={"disk": "ssd"})], "pass", "1 of 1"),
        (workload(**affinity("In", ["n2"], "matchFields", "metadata.name")), [node(), node("n2")], "pass", "1 of 2"),
        (workload(requests={"cpu": "5"}), [node()], "fail", "n1: 5 cpu asked for, 4 free"),
        (workload(requests={"memory": "9Gi"}), [node()], "fail", "n1: 9Gi memory asked for, 8Gi free"),
        (workload(requests={"example.com/gpu": 1}), [node()], "fail", "1 example.com/gpu asked for, 0 free"),
        (workload(requests={"cpu": "3"}, replicas=2), [node(), node("n2")], "pass", "2 of 2"),
        (
            workload(requests={"cpu": "3"}, replicas=2),
            [node()],
            "warn",
            "Deployment web fits a node, but not all pods fit at once",
        ),
        (workload(), [node(has={"pods": "0"})], "fail", "n1: 1 pods asked for, 0 free"),
        (workload(), [node(), node("n2", arch="arm64")], "pass", "(amd64, arm64, mixed: each image must be there"),
        (workload(), [node(arch="s390x")], "warn", "(s390x)"),
        (
            workload(),
            [node(f"n{number}", taints=[GPU]) for number in range(7)],
            "fail",
            "n0, n1, n2, n3, n4 …: taint gpu",
        ),
    ],
)
def test_each_pod_needs_a_node_that_takes_it(
    world: Any, ask: Any, rendered: Json, nodes: list[Json], status: str, observed: str
) -> None:
    world.renders(yaml.safe_dump(rendered))
    world.cluster.add(*nodes)
    answer = ask("nodes.room")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


@pytest.mark.parametrize(
    ("running", "status", "observed"),
    [
        (pod("other", "n1", {"cpu": "3"}, namespace="elsewhere"), "fail", "n1: 2 cpu asked for, 1 free"),
        (pod("other", "n2", {"cpu": "3"}), "pass", "1 of 1"),
        (pod("other", "n1", {"cpu": "3"}, phase="Succeeded"), "pass", "1 of 1"),
        (pod("web", "n1", {"cpu": "3"}), "pass", "1 of 1"),
        (pod("web", "n1", {"cpu": "3"}, namespace="elsewhere"), "fail", "1 free"),
    ],
    ids=["of others", "on another node", "ended", "to be replaced", "of the same labels elsewhere"],
)
def test_what_runs_already_takes_room(world: Any, ask: Any, running: Json, status: str, observed: str) -> None:
    world.renders(yaml.safe_dump(workload(requests={"cpu": "2"})))
    world.cluster.add(node(), running)
    answer = ask("nodes.room")
    assert (answer.status, observed in answer.observed) == (status, True), answer.observed


def test_the_job_of_a_hook_needs_a_node_too(world: Any, ask: Any) -> None:
    job = workload("hook", nodeSelector={"disk": "ssd"}) | {"kind": "Job", "apiVersion": "batch/v1"}
    world.renders(yaml.safe_dump(workload()), hooks=[{"manifest": yaml.safe_dump(job)}])
    world.cluster.add(node())
    assert "Job hook fits no node: n1: no label disk=ssd" in ask("nodes.room").observed


@pytest.mark.parametrize(
    ("operator", "values", "there", "absent"),
    [
        ("In", ["7"], "pass", "fail"),
        ("NotIn", ["7"], "fail", "pass"),
        ("Exists", [], "pass", "fail"),
        ("DoesNotExist", [], "fail", "pass"),
        ("Gt", ["6"], "pass", "pass"),  # not judged
    ],
)
def test_expressions_are_read_as_kubernetes_reads_them(
    world: Any, ask: Any, operator: str, values: list[str], there: str, absent: str
) -> None:
    world.renders(yaml.safe_dump(workload(**affinity(operator, values))))
    for labels, status in (({"disk": "7"}, there), ({}, absent)):
        world.cluster.objects = [node(labels=labels)]
        assert ask("nodes.room").status == status


def test_what_needs_most_memory_is_put_on_a_node_first(world: Any, ask: Any) -> None:
    small, large = workload("small", requests={"memory": "4Gi"}), workload("large", requests={"memory": "6Gi"})
    world.renders(yaml.safe_dump_all([small, large]))
    world.cluster.add(node(), node("n2", has={"memory": "5Gi"}))
    assert ask("nodes.room").status == "pass"


def test_a_pod_asks_for_the_more_of_its_start_and_its_life(world: Any, ask: Any) -> None:
    start = {"name": "i", "resources": {"limits": {"cpu": "5"}}}
    world.renders(yaml.safe_dump(workload(requests={"cpu": "1"}, initContainers=[start])))
    world.cluster.add(node())
    assert "5 cpu asked for, 4 free" in ask("nodes.room").observed
