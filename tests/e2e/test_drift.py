"""What was changed by hand: 03_verify names each field, 04_upgrade plans to put it back, and does, with Helm 3 and Helm 4."""

from __future__ import annotations

import os
from typing import Any

import pytest
from other_helms import built
from releases import change
from runs import Open

from runbooks_lib import process
from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Finding
from runbooks_lib.stages import install, upgrade, verify

ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")
CHECKS = ("objects.as-stored", "workloads.available", "routes.accepted")


def asked(opened: Open, **how: Any) -> dict[str, Finding]:
    return {found.id: found for found in verify.there(opened("verify", **how)).findings}


@pytest.mark.parametrize(
    ("helm", "version"),
    [pytest.param("", "1.16.0", id="helm-3"), pytest.param("helm-4", "2.1.0", id="helm-4", marks=pytest.mark.faults)],
)
def test_what_was_changed_by_hand_is_named_and_put_back(
    opened: Open, cluster: Cluster, sandbox: Any, target: dict[str, str], helm: str, version: str
) -> None:
    if helm and os.environ.get("RUNBOOKS_TOOLCHAIN_BUILD") == "0":
        pytest.skip("Programs are not to be built.")
    how: dict[str, Any] = {"chart__version": version} | ({"helm__executable": str(built(helm))} if helm else {})
    namespace, release = target["target.namespace"], target["target.release"]
    change(opened("install", **how), install)
    healthy = asked(opened, **how)
    assert {name: healthy[name].status for name in CHECKS} == dict.fromkeys(CHECKS, "pass"), healthy
    assert upgrade.plan(opened("upgrade", **how)).empty

    def by_hand(*words: str) -> None:
        argv = ["kubectl", "--kubeconfig", str(sandbox.kubeconfig), "--namespace", namespace, *words]
        done = process.run(argv, timeout=60)
        assert done.ok, done.stderr

    worker, cache, store = f"deploy/{release}-celery-worker", f"sts/{release}-redis", f"sts/{release}-postgresql"
    by_hand("set", "image", worker, "celery-worker=docker.io/evil/dataflow:v0")
    by_hand("set", "env", cache, "FOO=bar")
    by_hand("set", "env", store, "PGDATA=/elsewhere")
    by_hand("scale", f"deploy/{release}-reloader", "--replicas=3")
    label = '{"spec":{"template":{"metadata":{"labels":{"app.kubernetes.io/x":%s}}}}}'
    by_hand("patch", worker, "-p", label % '"hand"')
    by_hand(
        "patch", "service", f"{release}-redis", "-p", '{"spec":{"selector":{"app.kubernetes.io/service":"nobody"}}}'
    )
    hostname = '{"spec":{"hostnames":["foo.example.org"]}}'
    by_hand("patch", "httproute", f"{release}-dataflow", "--type=merge", "-p", hostname)
    seen = asked(opened, **how)
    stored = seen["objects.as-stored"]
    container = "spec.template.spec.containers"
    for says in (
        f"Deployment {release}-celery-worker: {container}[celery-worker].image is docker.io/evil/dataflow:v0, by kubectl-set",
        f"; stored is docker.io/opencsghq/dataflow:v{version}",
        f"StatefulSet {release}-redis: {container}[redis].env[FOO] was added, by kubectl-set",
        f"Deployment {release}-celery-worker: spec.template.metadata.labels.app.kubernetes.io/x was added, by kubectl-patch",
        f"StatefulSet {release}-postgresql: {container}[postgresql].env[PGDATA].value is /elsewhere, by kubectl-set",
        f"Service {release}-redis: spec.selector.app.kubernetes.io/service is nobody, by kubectl-patch",
        f"HTTPRoute {release}-dataflow: spec.hostnames is foo.example.org, by kubectl-patch",
    ):
        assert says in stored.observed
    assert (stored.status, "04_upgrade puts it back" in stored.remedy) == ("fail", True)
    assert f"Deployment {release}-reloader: scaled to 3, the release has 1" in seen["workloads.available"].observed
    assert "foo.example.org" in seen["routes.accepted"].observed

    run = opened("upgrade", **how)
    plan = upgrade.plan(run)
    drifts = [line for line in plan.impact if line.startswith("Drift: ")]
    assert any(f"HTTPRoute {release}-dataflow spec.hostnames is foo.example.org" in line for line in drifts)
    assert any(line.endswith("; the upgrade puts back dataflow.example.com.") for line in drifts), drifts
    assert sum(line.startswith("Stays: ") for line in plan.impact) == 2
    assert ("put-back" in {step.kind for step in plan.steps}) is not bool(helm)
    assert "--force-conflicts" in "".join(plan.commands) or not helm
    change(run, upgrade)
    by_hand("set", "env", cache, "FOO-")
    by_hand("patch", worker, "-p", label % "null")
    after = asked(opened, **how)
    assert after["objects.as-stored"].status == "pass", after["objects.as-stored"].observed
    route = cluster.get(*ROUTE, f"{release}-dataflow", namespace)
    assert route is not None
    assert route["spec"]["hostnames"] != ["foo.example.org"]
    assert upgrade.plan(opened("upgrade", **how)).empty
