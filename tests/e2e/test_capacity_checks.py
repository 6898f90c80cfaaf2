"""What the cluster can carry, asked of a real API server in which what is wrong has been planted."""

from __future__ import annotations

import base64
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from releases import change
from runs import Open

from runbooks_lib.checks import release_size
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Finding, Json, unobserved
from runbooks_lib.stages import diagnose, install

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
        chosen = [check for check in FAMILIES["prerequisites"] if check.id == ident]
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
    expected = {
        "storage.classes": "pass",
        "nodes.room": "pass",
        "namespace.quota": "skip",
        "namespace.pod-security": "pass",
        "ports.free": "warn",  # no load balancer was asked for yet
        "apis.available": "pass",
        "clock.skew": "pass",
        "release.size": "pass",
        "version.skew": "skip",  # its kubelets are simulated
    }
    found = {ident: ask(ident) for ident in expected}
    assert {ident: answer.status for ident, answer in found.items()} == expected
    assert "(Immediate)" in found["storage.classes"].observed
    assert found["nodes.room"].observed == "3 of 3 nodes take pods of the chart (amd64)"


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


@contextmanager
def all_nodes(cluster: Cluster, **spec: object) -> Iterator[None]:
    names = [node["metadata"]["name"] for node in cluster.list("v1", "Node")]
    try:
        for name in names:
            cluster.patch("v1", "Node", name, {"spec": spec})
        yield
    finally:
        for name in names:
            cluster.patch("v1", "Node", name, {"spec": dict.fromkeys([*spec, "taints"])})


def test_nodes_that_take_nobody_are_told_with_the_reason(ask: Ask, cluster: Cluster) -> None:
    with all_nodes(cluster, unschedulable=True):
        until(lambda: all(node["spec"].get("taints") for node in cluster.list("v1", "Node")))
        answer = ask("nodes.room")
    cordoned = "fits no node: sandbox-1, sandbox-2, sandbox-3: taint node.kubernetes.io/unschedulable:NoSchedule"
    assert (answer.status, cordoned in answer.observed) == ("fail", True), answer.observed
    with all_nodes(cluster, taints=[{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]):
        answer = ask("nodes.room")
    assert (answer.status, "taint dedicated=x:NoSchedule" in answer.observed) == ("fail", True)
    assert ask("nodes.room").status == "pass"


def test_a_kubelet_that_is_newer_than_the_server_is_told(ask: Ask, plant: Plant, namespace: str) -> None:
    status = {"nodeInfo": dict.fromkeys(_NODE_INFO, "") | {"kubeletVersion": "v9.9.9"}}
    plant("v1", "Node", f"newer-{namespace}", spec={"unschedulable": True}, status=status)
    answer = ask("version.skew")
    assert answer.status == "fail"
    assert f"kubelet v9.9.9 of newer-{namespace} is newer than the API server v1." in answer.observed


def test_a_quota_that_is_too_small_is_told_before_the_server_refuses(
    ask: Ask, plant: Plant, cluster: Cluster, namespace: str
) -> None:
    hard = {"pods": "2", "persistentvolumeclaims": "5", "requests.cpu": "1"}
    plant("v1", "ResourceQuota", "small", namespace, spec={"hard": hard})
    until(lambda: (cluster.get("v1", "ResourceQuota", "small", namespace) or {})["status"].get("used"))
    answer = ask("namespace.quota")
    assert answer.status == "fail"
    # The pod of the hook's Job has ended when those of the workloads start.
    assert "ResourceQuota small: pods 8 needed, 2 left" in answer.observed
    assert "failed quota: small: must specify requests.cpu for: " in answer.observed
    # What fits is not told among what does not.
    assert "persistentvolumeclaims" not in answer.observed
    assert cluster.list("v1", "Pod", namespace) == []


def test_a_quota_that_fits_exactly_lets_the_release_in_and_is_no_fault_afterwards(
    opened: Open, ask: Ask, plant: Plant, cluster: Cluster, namespace: str
) -> None:
    plant("v1", "ResourceQuota", "exact", namespace, spec={"hard": {"pods": "8"}})

    def used() -> str:
        return str((cluster.get("v1", "ResourceQuota", "exact", namespace) or {})["status"].get("used", {}).get("pods"))

    until(lambda: used() == "0")
    answer = ask("namespace.quota")
    assert (answer.status, "pods 8 needed, 8 left" in answer.observed) == ("pass", True)
    change(opened("install"), install)
    until(lambda: used() == "8")
    # Nothing is told of the pods that run; the hook's really would not fit.
    answer = ask("namespace.quota")
    job, row = answer.observed.splitlines()
    assert (answer.status, row) == ("fail", "ResourceQuota exact: pods 1 needed, 0 left")
    assert (job.startswith("Job "), "exceeded quota: exact" in job) == (True, True)
    (none,) = diagnose.look(opened("diagnose")).findings
    assert (none.id, none.status) == ("cause.none", "pass"), none.observed
    cluster.patch("v1", "ResourceQuota", "exact", {"spec": {"hard": {"pods": "9"}}}, namespace)
    until(lambda: ask("namespace.quota").status == "pass")


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_the_service_that_a_gateways_controller_will_make_is_counted(
    ask: Ask, plant: Plant, cluster: Cluster, namespace: str, kind: str
) -> None:
    counted = {"LoadBalancer": "services.loadbalancers", "NodePort": "services.nodeports"}[kind]
    plant("v1", "ResourceQuota", "none", namespace, spec={"hard": {counted: "0"}})
    until(lambda: (cluster.get("v1", "ResourceQuota", "none", namespace) or {})["status"].get("used"))
    answer = ask("namespace.quota", gateway__service_type=kind)
    assert (answer.status, answer.observed) == ("fail", f"ResourceQuota none: {counted} 1 needed, 0 left")
    spec = {"type": kind, "selector": {"a": "b"}, "ports": [{"port": 80}]}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "made"}, "spec": spec}
    with pytest.raises(RunbookError, match="exceeded quota: none"):
        cluster.dry_run("create", made, namespace)


def test_a_namespace_that_is_being_removed_is_told_once(ask: Ask, cluster: Cluster, namespace: str) -> None:
    kept = {"name": "kept", "finalizers": ["example.com/held"]}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept}, namespace)
    cluster.delete("v1", "Namespace", namespace)
    try:
        told = ("namespace", "objects.accepted", "namespace.pod-security", "namespace.quota")
        assert [ask(ident).status for ident in told] == ["fail", "skip", "skip", "skip"]
    finally:
        cluster.patch("v1", "ConfigMap", "kept", {"metadata": {"finalizers": None}}, namespace)


def test_a_policy_that_refuses_pods_is_a_failure_with_its_name(ask: Ask, plant: Plant, namespace: str) -> None:
    admission = "admissionregistration.k8s.io/v1"
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    name = f"no-pods-{namespace}"
    rules = {"validations": [{"expression": "false", "message": "no pods here"}], "failurePolicy": "Fail"}
    constraints = {"resourceRules": [rule], **here}
    plant(admission, "ValidatingAdmissionPolicy", name, spec={**rules, "matchConstraints": constraints})
    spec = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    plant(admission, "ValidatingAdmissionPolicyBinding", name, spec=spec)
    until(lambda: ask("namespace.pod-security").status != "pass")
    answer = ask("namespace.pod-security")
    assert answer.status == "fail"
    first = answer.observed.splitlines()[0]
    assert f"The ValidatingAdmissionPolicy {name} does not let" in first
    assert "no pods here" in first
    assert f"the owner of the policy {name}" in answer.remedy


def test_what_a_limit_range_gives_by_default_counts_and_what_it_forbids_is_told(
    ask: Ask, plant: Plant, cluster: Cluster, namespace: str
) -> None:
    plant("v1", "ResourceQuota", "small", namespace, spec={"hard": {"requests.cpu": "1"}})
    until(lambda: (cluster.get("v1", "ResourceQuota", "small", namespace) or {})["status"].get("used"))
    default = {"type": "Container", "defaultRequest": {"cpu": "500m"}}
    plant("v1", "LimitRange", "defaults", namespace, spec={"limits": [default]})
    until(lambda: "requests.cpu 4 needed, 1 left" in ask("namespace.quota").observed)
    plant("v1", "LimitRange", "forbids", namespace, spec={"limits": [{"type": "Pod", "max": {"memory": "1Gi"}}]})
    until(lambda: "maximum memory usage per Pod is 1Gi" in ask("namespace.quota").observed)
    small = {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}
    plant("v1", "LimitRange", "small", namespace, spec={"limits": [small]})
    said = "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 50Gi"
    until(lambda: said in ask("namespace.quota").observed)


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


def test_a_node_port_that_is_taken_is_told_before_the_server_refuses(
    ask: Ask, plant: Plant, cluster: Cluster, namespace: str
) -> None:
    how = {"gateway__service_type": "NodePort", "gateway__node_ports": {"http": 31777}}
    assert ask("ports.free", **how).status == "pass"
    spec = {"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 80, "nodePort": 31777}]}
    plant("v1", "Service", "holder", namespace, spec=spec)
    answer = ask("ports.free", **how)
    assert (answer.status, f"is taken by Service {namespace}/holder" in answer.observed) == ("fail", True)
    other = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"}, "spec": spec}
    with pytest.raises(RunbookError, match="already allocated"):
        cluster.dry_run("create", other, namespace)


def test_a_dead_aggregated_api_and_a_dead_webhook_are_told(
    ask: Ask, plant: Plant, cluster: Cluster, namespace: str
) -> None:
    service = {"namespace": namespace, "name": "gone"}
    spec = {"group": "dead.example.com", "version": "v1", "groupPriorityMinimum": 10, "versionPriority": 10}
    named = ("apiregistration.k8s.io/v1", "APIService", "v1.dead.example.com")
    plant(*named, spec={**spec, "service": service, "insecureSkipTLSVerify": True})
    until(lambda: '"False"' in str((cluster.get(*named) or {}).get("status")).replace("'", '"'))
    answer = ask("apis.available")
    assert (answer.status, "APIService v1.dead.example.com: Available=False (ServiceNotFound" in answer.observed) == (
        "warn",
        True,
    )
    rule = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["statefulsets"]}
    webhook = {
        "name": "judge.example.com",
        "clientConfig": {"service": service},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        # The sandbox is for other tests, too.
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "timeoutSeconds": 1,
    }
    admission = "admissionregistration.k8s.io/v1"
    plant(admission, "ValidatingWebhookConfiguration", f"judge-{namespace}", webhooks=[webhook])
    dead = "since its admission webhook judge.example.com does not answer (500)"
    bring_back = "Bring back the Service behind the webhook, or remove its configuration"

    def told(ident: str) -> None:
        until(lambda: dead in ask(ident).observed.splitlines()[0])
        answer = ask(ident)
        assert (answer.status, answer.remedy.startswith(bring_back)) == ("fail", True), answer.remedy

    told("objects.accepted")
    pods = webhook | {"rules": [rule | {"apiGroups": [""], "resources": ["pods"]}]}
    plant(admission, "ValidatingWebhookConfiguration", f"pods-{namespace}", webhooks=[pods])
    told("namespace.pod-security")


def test_a_dead_webhook_on_the_claims_of_statefulsets_is_told(
    ask: Ask, plant: Plant, namespace: str, target: dict[str, str]
) -> None:
    claims = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["persistentvolumeclaims"]}
    webhook = {
        "name": "claims.example.com",
        "clientConfig": {"service": {"namespace": namespace, "name": "gone"}},
        "rules": [claims | {"operations": ["CREATE"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "timeoutSeconds": 1,
    }
    kind = "ValidatingWebhookConfiguration"
    plant("admissionregistration.k8s.io/v1", kind, f"claims-{namespace}", webhooks=[webhook])
    dead = "since its admission webhook claims.example.com does not answer (500)"
    until(lambda: ask("objects.accepted").status == "fail")
    observed = ask("objects.accepted").observed
    assert f"PersistentVolumeClaim data-{target['target.release']}-redis-0: " in observed
    assert dead in observed


def test_the_estimate_is_what_helm_puts_into_its_secret(opened: Open, cluster: Cluster, namespace: str) -> None:
    boundaries = opened("prerequisites").boundaries
    subject = Subject(boundaries)
    expected = release_size.estimate(subject)
    proposal = subject.proposal
    boundaries.helm.change(
        boundaries.release, proposal.chart, proposal.values, upgrade=False, note="run abc", seconds=60
    )
    secret = cluster.get("v1", "Secret", f"sh.helm.release.v1.{boundaries.release}.v1", namespace)
    assert secret is not None
    actual = len(base64.b64decode(secret["data"]["release"]))
    assert 0.8 < expected / actual < 1.2, (expected, actual)


def test_a_chart_that_is_too_large_is_told_before_helm_fails(
    opened: Open, ask: Ask, namespace: str, tmp_path: Path
) -> None:
    fetched = opened("prerequisites").boundaries.chart
    with tarfile.open(fetched.path) as archive:
        archive.extractall(tmp_path / "large", filter="data")
    folder = tmp_path / "large" / fetched.name
    (folder / "noise.bin").write_bytes(os.urandom(900_000))
    source = {"chart__path": str(folder), "chart__repository": "", "chart__version": ""}
    answer = ask("release.size", **source)
    assert (answer.status, "of 1024 KiB" in answer.observed) == ("fail", True), answer.observed
    boundaries = opened("prerequisites", **source).boundaries
    proposal = Subject(boundaries).proposal
    with pytest.raises(RunbookError, match=r"Too long|must have at most 1048576"):
        boundaries.helm.change(
            boundaries.release, proposal.chart, proposal.values, upgrade=False, note="run abc", seconds=60
        )
