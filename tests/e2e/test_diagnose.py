"""A release that was broken on purpose: the cause that was planted is named first, and a healthy one has none."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import unseen_chart
from faults import until
from releases import Live, change
from runs import Open
from servers import Address, Postgres

from runbooks_lib import parameters, process
from runbooks_lib.checks import diagnosis
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import ChangeFailed
from runbooks_lib.results import Json, Report
from runbooks_lib.stages import diagnose, install, prerequisites, upgrade, verify
from sandbox.nodes import PREFIX

WORKER = ("apps/v1", "Deployment", "celery-worker")
DATAFLOW = ("apps/v1", "StatefulSet", "dataflow")
REDIS = ("apps/v1", "StatefulSet", "redis")
GATEWAY = ("gateway.networking.k8s.io/v1", "Gateway", "gateway")
#: Faults of a pod that the sandbox has on demand: the cause that each stands for, and what of it is seen.
POD_FAULTS = {
    "image-not-found": ("image-not-found", "not found"),
    "image-unauthorized": ("image-refused", "authorization failed"),
    "crash-loop": ("crash-loop", "CrashLoopBackOff"),
    "stuck-init": ("waiting-init", "has not ended"),
    "image-rate-limit": ("image-rate-limit", "429 Too Many Requests"),
    "image-no-platform": ("image-architecture", "no match for platform"),
    "image-unreachable": ("image-unreachable", "i/o timeout"),
    "out-of-memory": ("out-of-memory", "OOMKilled"),
}


class Broken(NamedTuple):
    """The release of one test, and how to break it."""

    opened: Open
    cluster: Cluster
    namespace: str
    release: str

    def causes(self, **overrides: Any) -> Report:
        run = self.opened("diagnose", **overrides)
        # Dozens of them, each with sockets of its own, would be too many for one process.
        with run.boundaries.cluster:
            return diagnose.look(run)

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

    def until_none(self, **overrides: Any) -> None:
        deadline = time.monotonic() + 40
        while ((found := self.causes(**overrides).findings[0]).id, found.status) != ("cause.none", "pass"):
            assert time.monotonic() < deadline, f"{found.id}: {found.observed}"
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


@contextmanager
def dead_webhook(broken: Broken) -> Iterator[None]:
    """Nobody answers whether a pod may be made in the namespace."""
    admission, kind = "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    webhook = {
        "name": "dead.example.com",
        "clientConfig": {"service": {"namespace": broken.namespace, "name": "gone"}},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": broken.namespace}},
        "timeoutSeconds": 1,
    }
    name = f"dead-{broken.namespace}"
    broken.cluster.create({"apiVersion": admission, "kind": kind, "metadata": {"name": name}, "webhooks": [webhook]})
    yield
    broken.cluster.delete(admission, kind, name)


@pytest.fixture
def broken(opened: Open, cluster: Cluster, target: dict[str, str]) -> Broken:
    return Broken(opened, cluster, target["target.namespace"], target["target.release"])


@pytest.mark.faults
def test_a_healthy_release_has_no_cause_and_each_planted_one_comes_first(broken: Broken) -> None:
    change(broken.opened("install"), install)
    run = broken.opened("diagnose")
    (none,) = diagnose.look(run).findings
    assert (none.id, none.status, none.observed) == ("cause.none", "pass", "nothing that is out of order")
    assert run.folder is not None
    assert (run.folder / "evidence" / "pods.json").exists()

    for fault, (cause, says) in POD_FAULTS.items():
        with broken.template(WORKER, fault):
            broken.comes_first(cause, says)
    selector = "nodeSelector"
    with broken.patched(WORKER, spec_of(**{selector: {"disk": "ssd"}}), spec_of(**{selector: None})):
        broken.comes_first("added", "spec.template.spec.nodeSelector was added, by ")
        follows = broken.causes().findings[1]
        assert (follows.id, follows.status) == ("cause.unschedulable", "warn")
    # What somebody has added elsewhere, and what is not in the way there, is told last.
    linux = {"kubernetes.io/os": "linux"}
    with broken.patched(REDIS, spec_of(**{selector: linux}), spec_of(**{selector: None})):
        broken.comes_first("changed-and-works", "nodeSelector was added")
        with broken.patched(WORKER, spec_of(**{selector: {"disk": "ssd"}}), spec_of(**{selector: None})):
            broken.comes_first("added", "nodeSelector was added")
            assert "cause.changed-and-works" in {each.id for each in broken.causes().findings[1:]}
    annotated: Json = {"metadata": {"annotations": {f"{PREFIX}fault": "not-programmed"}}}
    cleared: Json = {"metadata": {"annotations": {f"{PREFIX}fault": None}}}
    with broken.patched(GATEWAY, annotated, cleared):
        broken.comes_first("gateway", "Programmed=False")
    broken.comes_first("external-url", "127.0.0.1:9", csghub__external_url="http://127.0.0.1:9")
    with dead_webhook(broken):
        broken.comes_first("admission", "its admission webhook dead.example.com does not answer")

    with broken.template(WORKER, "evicted"):
        broken.comes_first("evicted", "The node was low on resource")
    # Pods that were evicted stay for people to see, long after others have taken their place.
    broken.until_none()

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


@pytest.mark.faults
def test_a_claim_that_no_volume_fits_is_the_cause_of_pods_that_wait(broken: Broken) -> None:
    settings = {"dataflow__persistence__storage_class": "unbound", "policy__rollout_seconds": 3}
    with pytest.raises(ChangeFailed):
        change(broken.opened("install", **settings), install)
    broken.comes_first("claim-pending", "Pending, class unbound", **settings)
    causes = broken.causes(**settings).findings
    assert "warn" in {finding.status for finding in causes[1:]}

    # The remedy, followed to the letter.
    assert "delete that StatefulSet (kubectl delete statefulset NAME) and then the pending claim" in causes[0].remedy
    name = f"{broken.release}-dataflow"
    broken.cluster.delete("apps/v1", "StatefulSet", name, broken.namespace)
    live = Live(broken.cluster, {"target.namespace": broken.namespace, "target.release": broken.release})
    live.gone("Pod", f"{name}-0")
    for claim in broken.cluster.list("v1", "PersistentVolumeClaim", broken.namespace):
        if (claim.get("status") or {}).get("phase") != "Bound":
            broken.cluster.delete("v1", "PersistentVolumeClaim", claim["metadata"]["name"], broken.namespace)
            live.gone("PersistentVolumeClaim", claim["metadata"]["name"])
    mended = {"dataflow__persistence__storage_class": "standard"}
    run = broken.opened("upgrade", **mended)
    run.require(upgrade.look(run))
    change(run, upgrade)
    broken.until_none(**mended)


def test_a_claim_that_is_being_deleted_is_the_cause_of_a_pod_that_can_not_be_made(
    broken: Broken, request: pytest.FixtureRequest
) -> None:
    change(broken.opened("install"), install)
    claim, pod = f"data-{broken.release}-redis-0", f"{broken.release}-redis-0"
    where = ("v1", "PersistentVolumeClaim", claim)

    def keep(*finalizers: str) -> None:
        broken.cluster.patch(*where, {"metadata": {"finalizers": list(finalizers)}}, broken.namespace)

    keep("example.com/kept")
    request.addfinalizer(keep)
    broken.cluster.delete(*where, broken.namespace)
    broken.cluster.delete("v1", "Pod", pod, broken.namespace)
    broken.comes_first("claim-deleting", f"pvc {claim} is being deleted")
    found = {each.id: each for each in prerequisites.look(broken.opened("prerequisites")).findings}
    first = found["storage.classes"].observed.splitlines()[0]
    assert (found["storage.classes"].status, first.startswith(f"claim {claim} is being deleted since ")) == (
        "fail",
        True,
    )
    assert first.endswith(", kept by example.com/kept; no pod mounts it")


@pytest.mark.faults
def test_everyday_breakage_is_named_and_mended_by_an_upgrade_with_the_same_parameters(broken: Broken) -> None:
    broken.comes_first("no-release", f"no release {broken.release} in namespace")
    assert "02_install" in broken.causes().findings[0].remedy
    change(broken.opened("install"), install)
    redis = f"{broken.release}-redis"

    def mended() -> None:
        run = broken.opened("upgrade")
        assert "04_upgrade" in broken.causes().findings[0].remedy
        change(run, upgrade)
        broken.until_none()

    broken.cluster.patch("apps/v1", "StatefulSet", redis, {"spec": {"replicas": 0}}, broken.namespace)
    broken.comes_first("scaled-down", "scaled to 0, the release has 1")
    mended()
    broken.cluster.delete("v1", "Service", redis, broken.namespace)
    broken.comes_first("objects-missing", f"not in the cluster: Service {redis}")
    mended()
    nobody = {"spec": {"selector": {"app.kubernetes.io/service": "nobody"}}}
    broken.cluster.patch("v1", "Service", redis, nobody, broken.namespace)
    broken.comes_first("drift", "spec.selector.app.kubernetes.io/service is nobody")
    mended()
    settings = f"{broken.release}-dataflow"
    broken.cluster.patch("v1", "ConfigMap", settings, {"data": {"DATABASE_PASSWORD": "another"}}, broken.namespace)
    broken.comes_first("drift", "data.DATABASE_PASSWORD is not as it was stored")
    assert "cause.lost-secret" not in {each.id for each in broken.causes().findings}
    mended()
    broken.cluster.delete("gateway.networking.k8s.io/v1", "GatewayClass", "csghub-gateway")
    broken.comes_first("objects-missing", "GatewayClass csghub-gateway")
    mended()

    # Exactly used up, and nobody lacks a pod.
    pods = len(broken.cluster.list("v1", "Pod", broken.namespace))
    full: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}}
    broken.cluster.create(full | {"spec": {"hard": {"pods": str(pods)}}}, broken.namespace)
    broken.until_none()


def test_a_gateway_that_no_controller_takes_is_the_cause_of_routes_that_are_not_taken(broken: Broken) -> None:
    settings = {"values__envoy": {"enabled": False}}
    change(broken.opened("install", **settings), install)
    broken.comes_first("gateway-class", "Waiting for controller", **settings)


@pytest.mark.faults
def test_values_that_an_upgrade_dropped_are_the_cause_of_what_waits_for_their_database(broken: Broken) -> None:
    change(broken.opened("install"), install)
    settings = {"dataflow__postgresql__database": "", "policy__rollout_seconds": 3}
    with pytest.raises(ChangeFailed):
        change(broken.opened("upgrade", **settings), upgrade)
    broken.comes_first("values-dropped", "dataflow.postgresql.database was set before and is no longer", **settings)


@pytest.mark.faults
def test_a_value_that_was_dropped_on_purpose_is_no_cause_on_a_release_that_works(broken: Broken) -> None:
    chosen = {"label_studio__security_context__run_as_user": 1000}
    change(broken.opened("install", **chosen), install)
    change(broken.opened("upgrade"), upgrade)
    broken.until_none()
    # A Service that leads to nobody since somebody has narrowed what it selects.
    narrow, wide = ({"spec": {"selector": {"app.kubernetes.io/more": more}}} for more in ("bar", None))
    with broken.patched(("v1", "Service", "postgresql"), narrow, wide):
        broken.comes_first("added", "spec.selector.app.kubernetes.io/more was added")
    broken.until_none()


@pytest.mark.faults
def test_a_stateful_set_that_waits_for_a_pod_that_was_never_ready_says_so_after_the_cause_is_mended(
    broken: Broken,
) -> None:
    change(broken.opened("install"), install)
    with broken.template(DATAFLOW, "image-not-found"):
        broken.comes_first("image-not-found", "not found")
    broken.comes_first("stale-pod", f" delete pod {broken.release}-dataflow-0 --namespace {broken.namespace}")
    broken.cluster.delete("v1", "Pod", f"{broken.release}-dataflow-0", broken.namespace)
    broken.until_none()


def spec_of(**pod: Any) -> Json:
    return {"spec": {"template": {"spec": pod}}}


@pytest.mark.faults
def test_faults_of_the_release_and_of_what_it_is_told_come_first(
    broken: Broken, postgres: Postgres, redis_with_password: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(broken.opened("install"), install)
    monkeypatch.setenv("PG_OUTSIDE", "w" * 12)
    outside = {"host": postgres.address[0], "port": postgres.address[1], "user": "owner"}
    outside["password"] = {"from": "env:PG_OUTSIDE"}
    broken.comes_first("client-password", "refuses the password of owner", postgresql__external=outside)
    nowhere = outside | {"port": 1}
    broken.comes_first("external-store", "nothing listens where PostgreSQL should", postgresql__external=nowhere)
    redis = {"host": redis_with_password[0], "port": redis_with_password[1]}
    broken.comes_first("redis-password", "asks for a password", redis__external=redis)
    assert "cause.external-store" not in {each.id for each in broken.causes(redis__external=redis).findings}
    said = {"postgresql__image": {"tag": "15.10"}, "values__postgresql": {"image": {"tag": "15.17"}}}
    broken.comes_first("contradiction", "postgresql.image.tag", **said)
    broken.comes_first("certificate", "nobody", gateway__tls={"enabled": True, "secret_name": "nobody"})
    with broken.patched(GATEWAY, *({"spec": {"gatewayClassName": name}} for name in ("nobody", "csghub-gateway"))):
        broken.comes_first("drift", "spec.gatewayClassName is nobody")
        assert "cause.gateway-class" in {each.id for each in broken.causes().findings}
    route = ("gateway.networking.k8s.io/v1", "HTTPRoute", "dataflow")
    gateway = f"{broken.release}-gateway"
    with broken.patched(
        route, *({"spec": {"parentRefs": [{"name": gateway} | where]}} for where in ({"namespace": "nobody"}, {}))
    ):
        broken.comes_first("route", "no parent has taken it")
    broken.until_none()

    settings = broken.cluster.get("v1", "ConfigMap", f"{broken.release}-label-studio", broken.namespace)
    assert settings is not None
    broken.cluster.delete("v1", "ConfigMap", f"{broken.release}-label-studio", broken.namespace)
    broken.cluster.delete("v1", "Pod", f"{broken.release}-label-studio-0", broken.namespace)
    broken.comes_first("configuration-missing", "ConfigMap")
    kept = {key: settings["metadata"][key] for key in ("name", "labels", "annotations")}
    broken.cluster.create(settings | {"metadata": kept}, broken.namespace)
    broken.until_none()

    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    broken.cluster.patch("v1", "Namespace", broken.namespace, {"metadata": {"labels": labels}})
    broken.cluster.delete("v1", "Pod", f"{broken.release}-label-studio-0", broken.namespace)
    broken.comes_first("pod-security", "violates PodSecurity")
    broken.cluster.patch("v1", "Namespace", broken.namespace, {"metadata": {"labels": dict.fromkeys(labels)}})

    live = Live(broken.cluster, {"target.namespace": broken.namespace, "target.release": broken.release})
    with live.postgresql() as connection:
        connection.execute("DROP DATABASE csghub_label_studio WITH (FORCE)")
    broken.comes_first("missing-database", "has no database csghub_label_studio")


def test_a_release_that_was_cut_off_and_a_failed_hook_come_first(broken: Broken, tmp_path: Path) -> None:
    sets = unseen_chart.overrides(unseen_chart.write(tmp_path), tide={"enabled": True, "fails": True})
    with pytest.raises(ChangeFailed):
        change(broken.opened("install", **sets), install)
    broken.comes_first("failed-hook", "BackoffLimitExceeded", **sets)

    (secret,) = [
        item
        for item in broken.cluster.list("v1", "Secret", broken.namespace)
        if item["metadata"]["name"].startswith("sh.helm.release.v1.")
    ]
    stored = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    stored["info"]["status"] = "pending-upgrade"
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(stored).encode()))).decode()
    body = {"data": {"release": packed}, "metadata": {"labels": {"status": "pending-upgrade"}}}
    broken.cluster.patch("v1", "Secret", secret["metadata"]["name"], body, broken.namespace)
    broken.comes_first("stuck-release", "pending-upgrade", **sets)
    # What can't be asked of an external store is no word about one.
    causes = {found.id: found.status for found in broken.causes(**sets).findings}
    assert causes == {"cause.stuck-release": "fail", "cause.configuration-missing": "warn"}


def test_an_upgrade_that_was_stopped_comes_before_what_it_left_out(
    broken: Broken, sandbox: Any, tmp_path: Path
) -> None:
    chart = unseen_chart.write(tmp_path)
    sets = unseen_chart.overrides(chart)
    change(broken.opened("install", **sets), install)
    settings = broken.opened("verify").parameters
    argv = [str(parameters.resolve_path(settings.helm.executable)), "upgrade", broken.release, str(chart)]
    argv += ["--namespace", broken.namespace, "--kubeconfig", str(sandbox.kubeconfig), "--set", "tide.waitsFor=nobody"]
    helm = process.start(argv, log=tmp_path / "helm.log")
    until(lambda: broken.opened("verify").boundaries.helm.status(broken.release).pending or None)
    process.stop(helm, grace=20)
    broken.comes_first("stopped-operation", "context canceled", **sets)
    status = next(
        found for found in verify.there(broken.opened("verify", **sets)).findings if found.id == "release.status"
    )
    assert (status.status, status.symptom) == ("fail", False)


def test_every_known_cause_is_provoked_here() -> None:
    source = Path(__file__).read_text()
    of_pods = {cause for cause, _ in POD_FAULTS.values()}
    unprovoked = [name for name in diagnosis._CAUSES if f'comes_first("{name}"' not in source]
    # Nobody but what was added by hand keeps a pod off the nodes of the sandbox; it is seen to follow from that.
    assert [name for name in unprovoked if name not in {*of_pods, "unschedulable"}] == []
