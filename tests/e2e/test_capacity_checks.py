"""What the cluster can carry, asked of a real API server in which what is wrong has been planted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from runs import Open

from runbooks_lib.checks.capacity import CHECKS
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Finding, Json, unobserved

pytestmark = pytest.mark.xdist_group("capacity")

#: Whose an object is, so that Helm renders over it.
_OWNER = {"name": "release", "namespace": "namespace"}

#: What a node's status must name.
_NODE_INFO = (
    *("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"),
    *("kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture"),
)

Ask = Callable[..., Finding]
Plant = Callable[..., Json]


@pytest.fixture
def ask(opened: Open) -> Ask:
    """Puts one question about this test's target."""

    def put(ident: str, **overrides: object) -> Finding:
        chosen = [check for check in CHECKS if check.id == ident]
        subject = Subject(opened("prerequisites", **overrides).boundaries)
        return report("prerequisites", "P", chosen, subject, observe=unobserved).findings[0]

    return put


@pytest.fixture
def namespace(cluster: Cluster, target: dict[str, str]) -> str:
    """This test's namespace, which its target removes."""
    name = target["target.namespace"]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest.fixture
def plant(cluster: Cluster) -> Iterator[Plant]:
    """Creates an object, which is gone when the test has ended."""
    with ExitStack() as planted:

        def put(api_version: str, kind: str, name: str, namespace: str | None = None, **body: object) -> Json:
            obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **body}
            obj["metadata"] = {"name": name} | (body.get("metadata") or {})  # type: ignore[operator]
            made = cluster.create(obj, namespace)
            planted.callback(cluster.delete, api_version, kind, name, namespace)
            return made

        yield put


def until(look: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_fresh_sandbox_carries_the_chart(ask: Ask) -> None:
    found = {check.id: ask(check.id) for check in CHECKS}
    assert {ident: answer.status for ident, answer in found.items()} == {
        "storage.classes": "pass",
        "namespace.pod-security": "pass",
        "clock.skew": "pass",
        "version.skew": "skip",  # its kubelets are simulated
    }
    assert "(Immediate)" in found["storage.classes"].observed


def test_a_second_default_class_and_one_that_is_not_there_are_told(ask: Ask, plant: Plant) -> None:
    marks = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    plant("storage.k8s.io/v1", "StorageClass", "second", provisioner="example.com/none", metadata=marks)
    answer = ask("storage.classes")
    assert answer.status == "warn"
    assert "StorageClass second (Immediate), the newest of the default ones second, standard" in answer.observed
    answer = ask("storage.classes", persistence__storage_class="gone")
    assert (answer.status, "StorageClass gone does not exist" in answer.observed) == ("fail", True)


def test_a_claim_that_is_there_is_compared_and_a_changed_template_is_what_the_server_refuses(
    ask: Ask, plant: Plant, cluster: Cluster, namespace: str, target: dict[str, str]
) -> None:
    name = f"data-{target['target.release']}-redis-0"
    size = {"resources": {"requests": {"storage": "20Gi"}}, "accessModes": ["ReadWriteOnce"]}
    plant("v1", "PersistentVolumeClaim", name, namespace, spec=size)
    answer = ask("storage.classes")
    assert (answer.status, f"claim {name} is there with 20Gi, 10Gi is rendered" in answer.observed) == ("warn", True)
    store = f"{target['target.release']}-redis"
    labels = {"app": "x"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    claims = [{"metadata": {"name": "data"}, "spec": size}]
    spec = {"selector": {"matchLabels": labels}, "template": template, "volumeClaimTemplates": claims, "replicas": 0}
    owner = {f"meta.helm.sh/release-{part}": target[f"target.{key}"] for part, key in _OWNER.items()}
    meta = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": owner}
    made = plant("apps/v1", "StatefulSet", store, namespace, spec={"serviceName": "x", **spec}, metadata=meta)
    answer = ask("storage.classes")
    assert (answer.status, f"StatefulSet {store} can't get other claim templates" in answer.observed) == ("fail", True)
    made["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "10Gi"
    with pytest.raises(RunbookError, match="updates to statefulset spec for fields other than"):
        cluster.patch("apps/v1", "StatefulSet", store, {"spec": made["spec"]}, namespace)


def test_a_kubelet_that_is_newer_than_the_server_is_told(ask: Ask, plant: Plant, namespace: str) -> None:
    status = {"nodeInfo": dict.fromkeys(_NODE_INFO, "") | {"kubeletVersion": "v9.9.9"}}
    plant("v1", "Node", f"newer-{namespace}", spec={"unschedulable": True}, status=status)
    answer = ask("version.skew")
    assert answer.status == "fail"
    assert f"kubelet v9.9.9 of newer-{namespace} is newer than the API server v1." in answer.observed


def test_pod_security_is_answered_by_the_server_itself_and_nothing_is_left(
    ask: Ask, cluster: Cluster, namespace: str, target: dict[str, str]
) -> None:
    answer = ask("namespace.pod-security")
    assert (answer.status, "no level is enforced by a label; the API server takes" in answer.observed) == ("pass", True)
    level = "pod-security.kubernetes.io"
    cluster.patch("v1", "Namespace", namespace, {"metadata": {"labels": {f"{level}/enforce": "restricted"}}})
    answer = ask("namespace.pod-security")
    assert answer.status == "fail"
    assert f"StatefulSet {target['target.release']}-redis: " in answer.observed
    assert 'violates PodSecurity "restricted:latest"' in answer.observed
    assert "runAsNonRoot" in answer.observed
    labels = {f"{level}/enforce": "privileged", f"{level}/warn": "baseline"}
    cluster.patch("v1", "Namespace", namespace, {"metadata": {"labels": labels}})
    answer = ask("namespace.pod-security")
    assert (answer.status, "(warn=baseline only tell)" in answer.observed) == ("pass", True)
    assert cluster.list("v1", "Pod", namespace) == []
