"""Users with few rights on a real API server: what 01 tells them, and whether the roles that it prints are enough."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from releases import change
from runs import Open

from runbooks_lib.checks.catalogue import unmet
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import TargetRefused
from runbooks_lib.release.manifest import secret_values
from runbooks_lib.results import Finding, Json, Report
from runbooks_lib.run import Run
from runbooks_lib.stages import install, prerequisites, uninstall, upgrade, verify

RBAC = "rbac.authorization.k8s.io/v1"
CLASS = ("gateway.networking.k8s.io/v1", "GatewayClass")


def answers(report: Report) -> dict[str, Finding]:
    return {found.id: found for found in report.findings}


@pytest.fixture
def account(cluster: Cluster, sandbox: Any, target: dict[str, str], tmp_path: Path) -> str:
    """The kubeconfig of a ServiceAccount ``dev`` in the target's namespace, without any right."""
    namespace = target["target.namespace"]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dev"}}, namespace)
    meta = {"name": "dev-token", "annotations": {"kubernetes.io/service-account.name": "dev"}}
    kind = "kubernetes.io/service-account-token"
    cluster.create({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": meta}, namespace)
    deadline = time.monotonic() + 30
    while "token" not in (keys := dict(secret_values(cluster.get("v1", "Secret", "dev-token", namespace) or {}))):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    config = yaml.safe_load(Path(sandbox.kubeconfig).read_text())
    for user in config["users"]:
        user["user"] = {"token": keys["token"]}
    path = tmp_path / "dev.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.fixture
def bind(cluster: Cluster, target: dict[str, str], request: Any) -> Callable[[Json], None]:
    """Gives ``dev`` a role, as an administrator does."""
    subject = {"kind": "ServiceAccount", "name": "dev", "namespace": target["target.namespace"]}

    def bound(role: Json, namespace: str | None = None) -> None:
        place = namespace or role["metadata"].get("namespace")
        kind = "RoleBinding" if place else "ClusterRoleBinding"
        reference = {"apiGroup": RBAC.partition("/")[0], "kind": role["kind"], "name": role["metadata"]["name"]}
        name = f"{target['target.release']}-{role['metadata']['name']}"
        meta = {"name": name} | ({"namespace": place} if place else {})
        cluster.create(
            {"apiVersion": RBAC, "kind": kind, "metadata": meta, "subjects": [subject], "roleRef": reference}
        )
        if not place:
            request.addfinalizer(lambda: cluster.delete(RBAC, kind, name))

    return bound


@pytest.fixture
def administrator_of_the_namespace(account: str, bind: Any, target: dict[str, str]) -> str:
    bind({"kind": "ClusterRole", "metadata": {"name": "admin"}}, target["target.namespace"])
    return account


def test_who_has_rights_in_the_namespace_only_is_told_all_that_is_missing_at_once(
    opened: Open, administrator_of_the_namespace: str
) -> None:
    run = opened("prerequisites", target__kubeconfig=administrator_of_the_namespace)
    found = answers(prerequisites.look(run))
    assert found["target.pin"].status == "unknown"
    assert "may not get namespaces/kube-system" in found["target.pin"].observed
    assert "Ask the cluster's administrator" in found["target.pin"].remedy
    assert found["chart.render"].status == "fail"
    assert "`helm template`" in found["chart.render"].observed
    lacks = found["permissions"]
    assert lacks.status == "fail"
    assert "create namespaces" not in lacks.observed
    assert (
        "create/update/patch/delete/escalate/bind clusterroles.rbac.authorization.k8s.io (who makes" in lacks.observed
    )
    assert "escalate" in lacks.evidence
    assert "gatewayclasses" in lacks.evidence
    for name in ("images.mirror", "namespace.pod-security", "release.size", "claims.secrets", "tls.secret"):
        assert found[name].status in {"pass", "skip"}, found[name].observed
    with pytest.raises(Exception, match="01_prerequisites lists all that is needed"):
        opened("install", target__kubeconfig=administrator_of_the_namespace)


def whole(run: Run, report: Report) -> None:
    """Nothing failed, and nothing could not be asked."""
    bad = {found.id: found.observed for found in report.with_status("fail", "unknown")}
    refused = {found.id: found.observed for found in report.findings if " may not " in found.observed}
    assert (bad, refused) == ({}, {})
    run.require(report)


def test_the_roles_as_they_are_printed_are_enough_for_all_stages(
    opened: Open, cluster: Cluster, administrator_of_the_namespace: str, bind: Any, target: dict[str, str], request: Any
) -> None:
    def of_dev(stage: str, **sets: Any) -> Run:
        return opened(stage, target__kubeconfig=administrator_of_the_namespace, **sets)

    printed = answers(prerequisites.look(of_dev("prerequisites")))["permissions"].evidence
    # Nothing but the printed roles.
    cluster.delete(RBAC, "RoleBinding", f"{target['target.release']}-admin", target["target.namespace"])
    for role in yaml.safe_load_all(printed):
        cluster.create(role)
        if role["kind"] == "ClusterRole":
            request.addfinalizer(lambda name=role["metadata"]["name"]: cluster.delete(RBAC, "ClusterRole", name))
        bind(role)
    first = of_dev("prerequisites")
    whole(first, prerequisites.look(first))
    run = of_dev("install")
    whole(run, install.look(run))
    change(run, install)
    whole(run, install.confirm(run))
    seen = of_dev("verify")
    whole(seen, verify.look(seen))
    later = of_dev("upgrade", gateway__domain="other.example.com")
    whole(later, upgrade.look(later))
    change(later, upgrade)
    last = of_dev("uninstall")
    whole(last, uninstall.look(last))
    plan = uninstall.plan(last)
    last.approve(plan.digest)
    uninstall.apply(last, plan, last.approval(plan))
    gone = uninstall.confirm(last, plan)
    last.require(gone)
    # What no release of this chart has need not be seen, and it is told that it was not.
    assert "not looked at, since this account may not: " in answers(gone)["objects.absent"].observed


# ---- one fault does not hide the others


def restrict(cluster: Cluster, namespace: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})


def test_an_object_of_another_release_does_not_hide_what_else_is_wrong(
    opened: Open, cluster: Cluster, target: dict[str, str], request: Any
) -> None:
    restrict(cluster, target["target.namespace"])
    run = opened("prerequisites")
    name, spec = next(
        (obj["metadata"]["name"], obj["spec"])
        for obj in prerequisites.prerequisites.Subject(run.boundaries).objects
        if obj["kind"] == "GatewayClass"
    )
    if cluster.get(*CLASS, name) is None:
        owner = {"meta.helm.sh/release-name": "other", "meta.helm.sh/release-namespace": "elsewhere"}
        body = {"metadata": {"name": name, "annotations": owner}, "spec": spec}
        cluster.create({"apiVersion": CLASS[0], "kind": CLASS[1], **body})
        request.addfinalizer(lambda: cluster.delete(*CLASS, name))
    found = answers(prerequisites.look(opened("prerequisites")))
    assert "does not belong to this release" in found["chart.render"].observed
    assert 'violates PodSecurity "restricted:latest"' in found["namespace.pod-security"].observed
    assert {one.id for one in found.values() if one.status == "fail"} == {
        *("chart.render", "namespace.pod-security", "objects.owned")
    }
    assert {one.id for one in found.values() if one.status == "unknown"} == set()


def test_a_stuck_release_does_not_hide_what_else_is_wrong(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    namespace, release = target["target.namespace"], target["target.release"]
    restrict(cluster, namespace)
    helm = opened("verify").boundaries.helm
    labels = {"owner": "helm", "name": release, "status": "pending-install", "version": "1"}
    stored = {
        "name": release,
        "namespace": namespace,
        "version": 1,
        "manifest": "",
        "info": {"status": "pending-install"},
    }
    stored["chart"] = {"metadata": {"name": "dataflow", "version": "1.16.0"}}
    packed = base64.b64encode(gzip.compress(json.dumps(stored).encode())).decode()
    meta = {"name": f"sh.helm.release.v1.{release}.v1", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": meta}
    cluster.create(secret | {"stringData": {"release": packed}}, namespace)
    assert helm.status(release).pending
    found = answers(prerequisites.look(opened("prerequisites")))
    assert "pending-install" in found["chart.render"].observed
    assert 'violates PodSecurity "restricted:latest"' in found["namespace.pod-security"].observed
    assert {one.id for one in found.values() if one.status == "unknown"} == set()
    with pytest.raises(TargetRefused):
        upgrade.look(opened("upgrade"))


# ---- a claim without its Secret


def test_a_claim_without_its_secret_is_found_by_01_after_an_uninstall_and_on_a_live_release(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    namespace, name = target["target.namespace"], f"{target['target.release']}-postgresql"
    change(opened("install"), install)
    assert cluster.delete("v1", "Secret", name, namespace)

    def lost(report: Report) -> None:
        ids = [found.id for found in report.findings]
        assert ids.count("claims.secrets") == 1
        found = answers(report)["claims.secrets"]
        assert (found.status, found.observed.count(f"Secret {name} is not")) == ("fail", 1)
        error = unmet(report, changing=False)
        assert error is not None
        assert error.exit_code == 3

    lost(prerequisites.look(opened("prerequisites")))
    lost(upgrade.look(opened("upgrade")))
    last = opened("uninstall")
    change(last, uninstall)
    lost(prerequisites.look(opened("prerequisites")))
    lost(install.look(opened("install")))
