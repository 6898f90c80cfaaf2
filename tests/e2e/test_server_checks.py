"""The API server is asked beforehand what it would take, as this Helm would send it."""

from __future__ import annotations

import pytest
from releases import change
from runs import Open

from runbooks_lib.checks import server
from runbooks_lib.checks.catalogue import report
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Finding
from runbooks_lib.run import Run
from runbooks_lib.stages import install

QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "few"},
    "spec": {"hard": {"configmaps": "0"}},
}


def accepted(run: Run) -> Finding:
    (finding,) = report("t", "T", server.CHECKS, Subject(run.boundaries), observe=run.observe).findings
    return finding


def test_before_the_namespace_is_there_another_one_is_asked(opened: Open, target: dict[str, str]) -> None:
    found = accepted(opened("install"))
    assert found.status == "pass", found.observed
    assert "44 objects, asked as Helm v3." in found.observed
    assert f"in the namespace default, since {target['target.namespace']} is not there yet" in found.observed
    assert found.observed.endswith("all would be taken")


def test_objects_of_a_live_release_are_asked_as_patches_and_a_field_that_is_immutable_is_named(opened: Open) -> None:
    change(opened("install"), install)
    assert accepted(opened("upgrade")).status == "pass"
    found = accepted(opened("upgrade", dataflow__persistence__size="200Gi"))
    assert found.status == "fail"
    assert "StatefulSet" in found.observed
    assert "updates to statefulset spec for fields other than" in found.observed


def test_what_a_quota_forbids_is_named_before_anything_is_made(
    opened: Open, cluster: Cluster, target: dict[str, str]
) -> None:
    namespace = target["target.namespace"]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    cluster.create(QUOTA, namespace)
    found = accepted(opened("install"))
    assert found.status == "fail"
    assert "exceeded quota: few" in found.observed
    assert cluster.list("v1", "Service", namespace) == []


@pytest.mark.parametrize("there", [False, True])
def test_a_null_that_helm_4_cannot_apply_is_named(
    opened: Open, cluster: Cluster, target: dict[str, str], there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target["target.namespace"]}})
    run = opened("install")
    # Of a Helm 4 only its version matters here: how it would send them.
    run.boundaries.helm.__dict__["version"] = "v4.0.0"
    found = accepted(run)
    assert found.status == "fail"
    assert "EnvoyProxy" in found.observed
    assert "spec.provider.kubernetes" in found.observed
