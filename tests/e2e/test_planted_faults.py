"""01_prerequisites on a cluster in which much is wrong at once: all of it is named in one run, and nothing is changed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from servers import Address, Postgres

from runbooks_lib import headless, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Json
from sandbox.ports import free_port

#: What changes by itself: heartbeats, and volumes that tests before this one have left to the controllers.
_RESTLESS = {"Event", "Lease", "Node", "PersistentVolume", "IPAddress", "ServiceCIDR"}

_ADMISSION = "admissionregistration.k8s.io/v1"


def versions(cluster: Cluster, ours: str) -> dict[tuple[str, str, str], str]:
    """The resourceVersion of every object of every kind; but those of tests before this one, which may still be going."""
    found = {}
    for resource in cluster.resources():
        if "list" in resource.verbs and "/" not in resource.plural and resource.kind not in _RESTLESS:
            for item in cluster.list(resource.api_version, resource.kind):
                meta = item["metadata"]
                place = meta["name"] if resource.kind == "Namespace" else meta.get("namespace", "")
                if place.startswith("test-") and place != ours:
                    continue
                found[resource.kind, meta.get("namespace", ""), meta["name"]] = meta.get("resourceVersion", "")
    return found


@pytest.fixture
def planted(cluster: Cluster, target: dict[str, str]) -> Iterator[str]:
    """The faults of the cluster itself; the namespace, which its target removes."""
    namespace = target["target.namespace"]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    nodes = [node["metadata"]["name"] for node in cluster.list("v1", "Node")]
    with ExitStack() as undo:

        def plant(api_version: str, kind: str, name: str, where: str | None = None, **body: Any) -> None:
            obj: Json = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **body}
            obj["metadata"] = {"name": name} | (body.get("metadata") or {})
            cluster.create(obj, where)
            undo.callback(cluster.delete, api_version, kind, name, where)

        plant("v1", "Namespace", namespace, metadata={"labels": labels})
        plant("v1", "ResourceQuota", "small", namespace, spec={"hard": {"persistentvolumeclaims": "1"}})
        port = {"port": 80, "nodePort": 31888}
        plant("v1", "Service", "holder", namespace, spec={"type": "NodePort", "selector": {"a": "b"}, "ports": [port]})
        plant("v1", "Secret", "no-certificate", namespace, stringData={"tls.crt": "none"})
        rule = {"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["statefulsets"]}
        webhook = {
            "name": "dead.example.com",
            "clientConfig": {"service": {"namespace": namespace, "name": "gone"}},
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1,
        }
        plant(_ADMISSION, "ValidatingWebhookConfiguration", f"dead-{namespace}", webhooks=[webhook])
        for name in nodes:
            cluster.patch("v1", "Node", name, {"spec": {"unschedulable": True}})
            undo.callback(cluster.patch, "v1", "Node", name, {"spec": {"unschedulable": None, "taints": None}})
        yield namespace


def test_ten_planted_faults_are_all_named_in_one_run_that_changes_nothing(
    sandbox: Any,
    cluster: Cluster,
    planted: str,
    target: dict[str, str],
    tmp_path: Path,
    postgres: Postgres,
    redis_with_password: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PG_OUTSIDE", secrets.token_urlsafe(12))
    address = {"host": postgres.address[0], "port": postgres.address[1], "user": "owner"}
    faults: dict[str, Any] = {
        "persistence.storage_class": "gone",
        "gateway.tls": {"enabled": True, "secret_name": "no-certificate"},
        "gateway.service_type": "NodePort",
        "gateway.node_ports": {"http": 31888},
        "csghub.external_url": f"http://127.0.0.1:{free_port()}",
        "csghub.release": "nobody",
        "images.pull_secrets": ["nobody"],
        "postgresql.external": address | {"password": {"from": "env:PG_OUTSIDE"}},
        "redis.external": {"host": redis_with_password[0], "port": redis_with_password[1]},
        "mirror": "mainland-china",
        "values.dataflow.image.registry": "registry.example.com",
    }
    before = versions(cluster, planted)
    done = headless.run_stage(
        "prerequisites", sandbox.parameters_file, overrides=target | faults, output_directory=str(tmp_path)
    )
    after = versions(cluster, planted)
    answers = [each["data"] for each in records.read_events(Path(done.folder)) if each["kind"] == "check.answered"]
    failed = {each["id"]: each["observed"] for each in answers if each["status"] == "fail"}
    expected = {
        "namespace.pod-security": 'violates PodSecurity "restricted:latest"',
        "namespace.quota": "ResourceQuota small: persistentvolumeclaims",
        "ports.free": f"node port 31888 of EnvoyProxy {target['target.release']}-envoy-proxy-custom is taken",
        "tls.secret": f"Secret no-certificate in namespace {planted} is of type Opaque, not kubernetes.io/tls",
        "objects.accepted": "since its admission webhook dead.example.com does not answer (500)",
        "nodes.room": "taint node.kubernetes.io/unschedulable:NoSchedule",
        "storage.classes": "StorageClass gone does not exist",
        "csghub.external-url": "connection refused",
        "csghub.notes": "there is no release nobody",
        "images.pull-secrets": f"Secret nobody is not in namespace {planted}",
        "external.postgresql": "refuses the password of owner",
        "external.redis": "asks for a password",
        "images.mirror": "registry.example.com",
    }
    assert set(failed) == set(expected), {name: failed.get(name) for name in set(failed) ^ set(expected)}
    for name, words in expected.items():
        assert words in failed[name], failed[name]
    assert (done.exit_code, done.outcome) == (3, "failed")
    assert done.summary.startswith("13 checks failed")
    assert after == before
