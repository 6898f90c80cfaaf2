"""A release that was broken on purpose: the cause that was planted is named first, and a healthy one has none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from releases import change
from runs import Open

from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import ChangeFailed
from runbooks_lib.results import Json, Report
from runbooks_lib.stages import diagnose, install, upgrade
from sandbox.nodes import PREFIX

WORKER = ("apps/v1", "Deployment", "celery-worker")
GATEWAY = ("gateway.networking.k8s.io/v1", "Gateway", "gateway")


class Broken(NamedTuple):
    """The release of one test, and how to break it."""

    opened: Open
    cluster: Cluster
    namespace: str
    release: str

    def causes(self, **overrides: Any) -> Report:
        return diagnose.look(self.opened("diagnose", **overrides))

    def comes_first(self, cause: str, says: str, **overrides: Any) -> None:
        """Ask until it is so: a cluster takes its time to show what is wrong."""
        deadline = time.monotonic() + 40
        while True:
            first = self.causes(**overrides).findings[0]
            if first.id == f"cause.{cause}" and says in first.observed:
                assert first.status == "fail"
                assert first.remedy
                return
            assert time.monotonic() < deadline, f"{first.id}: {first.observed}"
            time.sleep(0.5)

    @contextmanager
    def patched(self, where: tuple[str, str, str], body: Json, back: Json) -> Iterator[None]:
        version, kind, service = where
        name = f"{self.release}-{service}"
        self.cluster.patch(version, kind, name, body, self.namespace)
        yield
        self.cluster.patch(version, kind, name, back, self.namespace)

    def template(self, where: tuple[str, str, str], fault: str) -> Any:
        """A fault of the pods of a workload, asked for in its template."""

        def of(value: str | None) -> Json:
            return {"spec": {"template": {"metadata": {"annotations": {f"{PREFIX}fault": value}}}}}

        return self.patched(where, of(fault), of(None))


@pytest.fixture
def broken(opened: Open, cluster: Cluster, target: dict[str, str]) -> Broken:
    return Broken(opened, cluster, target["target.namespace"], target["target.release"])


def test_a_healthy_release_has_no_cause_and_each_planted_one_comes_first(broken: Broken) -> None:
    change(broken.opened("install"), install)
    run = broken.opened("diagnose")
    (none,) = diagnose.look(run).findings
    assert (none.id, none.status, none.observed) == ("cause.none", "pass", "nothing that is out of order")
    assert run.folder is not None
    assert (run.folder / "evidence" / "pods.json").exists()

    with broken.template(WORKER, "image-not-found"):
        broken.comes_first("image-not-found", "not found")
    with broken.template(WORKER, "image-unauthorized"):
        broken.comes_first("image-refused", "authorization failed")
    with broken.template(WORKER, "crash-loop"):
        broken.comes_first("crash-loop", "CrashLoopBackOff")
    with broken.template(WORKER, "stuck-init"):
        broken.comes_first("waiting-init", "has not ended")
    selector = "nodeSelector"
    with broken.patched(WORKER, spec_of(**{selector: {"disk": "ssd"}}), spec_of(**{selector: None})):
        broken.comes_first("unschedulable", "node")
    annotated: Json = {"metadata": {"annotations": {f"{PREFIX}fault": "not-programmed"}}}
    cleared: Json = {"metadata": {"annotations": {f"{PREFIX}fault": None}}}
    with broken.patched(GATEWAY, annotated, cleared):
        broken.comes_first("gateway", "Programmed=False")
    broken.comes_first("external-url", "127.0.0.1:9", csghub__external_url="http://127.0.0.1:9")

    # What goes wrong here stays so.
    quota: Json = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    broken.cluster.create(quota, broken.namespace)
    broken.cluster.delete("v1", "Pod", f"{broken.release}-dataflow-0", broken.namespace)
    broken.comes_first("quota", "exceeded quota")


def test_a_secret_that_is_not_the_volumes_is_the_cause_of_all_that_follows(broken: Broken) -> None:
    change(broken.opened("install"), install)
    secret = f"{broken.release}-postgresql"
    broken.cluster.patch("v1", "Secret", secret, {"stringData": {"POSTGRES_PASSWORD": "x" * 20}}, broken.namespace)
    broken.cluster.delete("v1", "Pod", f"{broken.release}-postgresql-0", broken.namespace)
    broken.comes_first("lost-secret", "refuses the password")


def test_a_claim_that_no_volume_fits_is_the_cause_of_pods_that_wait(broken: Broken) -> None:
    settings = {"dataflow__persistence__storage_class": "unbound", "policy__rollout_seconds": 3}
    with pytest.raises(ChangeFailed):
        change(broken.opened("install", **settings), install)
    broken.comes_first("claim-pending", "Pending, class unbound", **settings)
    assert "warn" in {finding.status for finding in broken.causes(**settings).findings[1:]}


def test_values_that_an_upgrade_dropped_are_the_cause_of_what_waits_for_their_database(broken: Broken) -> None:
    change(broken.opened("install"), install)
    settings = {"dataflow__postgresql__database": "", "policy__rollout_seconds": 3}
    with pytest.raises(ChangeFailed):
        change(broken.opened("upgrade", **settings), upgrade)
    broken.comes_first("values-dropped", "dataflow.postgresql.database was set before and is no longer", **settings)


def spec_of(**pod: Any) -> Json:
    return {"spec": {"template": {"spec": pod}}}
