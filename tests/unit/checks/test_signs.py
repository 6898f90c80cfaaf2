"""What is seen of a release that does not work, and that no secret is in it."""

from __future__ import annotations

import secrets
from types import SimpleNamespace
from typing import Any

import pytest

from runbooks_lib.checks.diagnosis import causes_of
from runbooks_lib.checks.release import Subject
from runbooks_lib.checks.signs import Sign, signs_of
from runbooks_lib.cluster import Forbidden
from runbooks_lib.results import Finding, Json, Report
from runbooks_lib.stages import diagnose
from runbooks_lib.tables import table

PASSWORD = secrets.token_urlsafe(24)
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {replicas: 1, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {}}}
"""


def crashed(image: str = "r/dataflow:1") -> Json:
    """A pod that is given its password by a value of the chart, in no Secret."""
    variable = {"name": "DATABASE_PASSWORD", "value": PASSWORD}
    status = {"name": "api", "restartCount": 3, "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api-1", "namespace": "csghub", "labels": {"app": "api"}},
        "spec": {"containers": [{"name": "api", "image": image, "env": [variable]}]},
        "status": {"containerStatuses": [status]},
    }


def logged(world: Any) -> list[Sign]:
    world.stored(MANIFEST)
    world.cluster.add(crashed())
    return [sign for sign in signs_of(Subject(world.boundaries), []) if sign.kind == "log"]


def test_a_log_is_told_without_a_password_that_stands_in_no_secret_also_where_a_line_is_cut(world: Any) -> None:
    world.cluster.texts["api-1/api", True] = f"using {PASSWORD}\n{'x' * 290} {PASSWORD}\n"
    told = [sign.text for sign in logged(world)]
    assert told[0].startswith("using «redacted:")
    assert not any(PASSWORD[:4] in text for text in told)


def test_where_secrets_can_not_be_read_no_log_is_told(world: Any) -> None:
    world.cluster.texts["api-1/api", True] = f"using {PASSWORD}\n"
    world.cluster.lists["Secret"] = Forbidden("May not.")
    assert logged(world) == []


@pytest.mark.parametrize(
    ("restarts", "ready", "reason", "seen"),
    [
        (1, "True", "Error", False),
        (1, "False", "Error", True),
        (3, "True", "Error", True),
        (1, "True", "OOMKilled", True),
    ],
)
def test_how_a_rough_start_ended_is_no_sign_of_a_pod_that_is_ready_by_now(
    world: Any, restarts: int, ready: str, reason: str, seen: bool
) -> None:
    pod = crashed()
    last = {"terminated": {"exitCode": 1, "reason": reason}}
    status = {
        "name": "api",
        "restartCount": restarts,
        "ready": ready == "True",
        "state": {"running": {}},
        "lastState": last,
    }
    pod["status"] = {"containerStatuses": [status], "conditions": [{"type": "Ready", "status": ready}]}
    world.stored(MANIFEST)
    world.cluster.add(pod)
    found = [sign.text for sign in signs_of(Subject(world.boundaries), []) if sign.kind == "exit"]
    assert found == [f"exit 1 {reason}"] * seen


def workload(**status: int) -> Json:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "api"}}}
    meta = {"name": "api", "namespace": "csghub"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec, "status": status}


def refused(name: str, kind: str = "ReplicaSet") -> Json:
    event = {"type": "Warning", "reason": "FailedCreate", "message": "exceeded quota: q, requested: pods=1"}
    return {
        "kind": "Event",
        "metadata": {"namespace": "csghub"},
        "involvedObject": {"kind": kind, "name": name},
        **event,
    }


def job(**status: int) -> Json:
    meta = {"name": "hook", "namespace": "csghub"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("live", "event", "seen"),
    [
        (workload(), refused("api-5d9"), True),
        # An old pod runs still, the new one is refused.
        (workload(replicas=1, updatedReplicas=0, availableReplicas=1), refused("api-5d9"), True),
        # It has its pod by now, which waits for something else.
        (workload(replicas=1, updatedReplicas=1), refused("api-5d9"), False),
        (workload(replicas=1, updatedReplicas=1, availableReplicas=1), refused("api-5d9"), False),
        (job(), refused("hook", "Job"), True),
        (job(active=1), refused("hook", "Job"), False),
        (job(succeeded=1), refused("hook", "Job"), False),
    ],
)
def test_that_pods_were_refused_is_a_sign_only_while_they_are_missing(
    world: Any, live: Json, event: Json, seen: bool
) -> None:
    hook = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: hook}\n"
    world.stored(MANIFEST if live["kind"] == "Deployment" else "", hooks=[{"manifest": hook}])
    world.cluster.add(live, event)
    found = [sign.text for sign in signs_of(Subject(world.boundaries), []) if sign.kind == "event"]
    assert found == ["FailedCreate: exceeded quota: q, requested: pods=1"] * seen


def test_a_deployment_says_itself_that_its_pods_are_refused(world: Any) -> None:
    world.stored(MANIFEST)
    said = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}
    live = workload()
    live["status"]["conditions"] = [said]
    world.cluster.add(live)
    found = [sign for sign in signs_of(Subject(world.boundaries), []) if sign.kind == "event"]
    assert found == [Sign("event", "Deployment api", "FailedCreate: exceeded quota: q")]


def test_a_quota_that_nobody_waits_for_is_no_cause() -> None:
    (cause,) = causes_of([Sign("namespace.quota", "Quotas", "ResourceQuota q: pods 1 needed, 0 left")])
    assert (cause.id, cause.ask(None).status) == ("cause.none", "pass")


def test_evidence_is_saved_when_every_check_has_told_the_redactor_what_it_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    def ask(title: str, *_: Any) -> Report:
        order.append(title)
        return Report(stage="diagnose", title=title)

    monkeypatch.setattr(diagnose, "collect", lambda *_: order.append("evidence"))
    monkeypatch.setattr(diagnose, "signs_of", lambda *_: [])
    run: Any = SimpleNamespace(ask=ask, boundaries=None, save=None)
    diagnose.look(run)
    assert order == ["Release", "Prerequisites", "evidence", "Causes"]


def test_of_a_finding_only_the_lines_that_are_amiss_are_signs(world: Any) -> None:
    bad = Finding(id="a.b", title="A", status="fail", observed="this is wrong\nthis is well", amiss=1)
    whole = Finding(id="c.d", title="C", status="fail", observed="one\ntwo")
    told = [sign.text for sign in signs_of(Subject(world.boundaries), [bad, whole])]
    assert told == ["this is wrong", "one", "two"]


@pytest.mark.parametrize(("pods", "told"), [(1, []), (0, ["no pods left"])])
def test_a_quota_is_a_sign_only_while_a_workload_lacks_a_pod(world: Any, pods: int, told: list[str]) -> None:
    world.stored(MANIFEST)
    world.lives(MANIFEST)
    world.cluster.objects[-1]["status"] = {"replicas": pods}
    quota = Finding(id="namespace.quota", title="Quotas", status="fail", observed="no pods left")
    assert [sign.text for sign in signs_of(Subject(world.boundaries), [quota]) if sign.kind == quota.id] == told


@pytest.mark.parametrize(
    ("kind", "line", "first"),
    [
        ("services.postgresql", "StatefulSet db: PostgreSQL refuses the password of u", "lost-secret"),
        (
            "services.postgresql",
            "Deployment api at StatefulSet db: PostgreSQL refuses the password of u",
            "client-password",
        ),
        ("services.mongodb", "Deployment api at h:1, outside of this release: MongoDB refuses the", "none"),
        ("external.postgresql", "Deployment api at h:1: PostgreSQL refuses the password of u", "client-password"),
        ("external.postgresql", "Deployment api at h:1: nothing listens", "external-store"),
        ("external.redis", "Redis at h:1 asks for a password, and URL of Deployment api holds none", "redis-password"),
        ("objects.present", "not in the cluster: Service redis", "objects-missing"),
        ("objects.present", "not in the cluster: Service redis, ConfigMap a", "configuration-missing"),
        ("log", "FATAL: password authentication failed for user u", "client-password"),
        ("release.status", "no release r in namespace n", "no-release"),
    ],
)
def test_the_first_cause_of_a_sign(kind: str, line: str, first: str) -> None:
    found = [check.id for check in causes_of([Sign(kind, "it", line)])]
    assert found == [f"cause.{first}"]


def test_a_volume_is_only_told_of_where_a_server_refuses_its_own_password() -> None:
    clauses = table("runbooks_lib.probes", "clauses.yaml")["services"]
    told = {row.get("client", row["next"]) for row in clauses.values()}
    assert not any("volume keeps" in step for step in told)


def by_hand(*fields: str) -> list[Sign]:
    """Fields of one object that somebody has added."""
    says = (f"Deployment worker: spec.template.spec.{field} was added, by kubectl-edit" for field in fields)
    return [Sign("objects.as-stored", "Objects as stored", line) for line in says]


PENDING = Sign("scheduling", "Pod worker-1", "0/3 nodes are available")
VARIABLES = [f"containers[worker].env[A{number}]" for number in range(8)]


def told_of(cause: str, *signs: Sign) -> list[str]:
    made = {check.id: check for check in causes_of(signs)}[f"cause.{cause}"]
    return made.ask(None).observed.splitlines()


def test_of_much_that_was_added_what_brings_about_another_cause_is_told_first() -> None:
    first, *others, more = told_of("added", *by_hand(*VARIABLES, "nodeSelector"), PENDING)
    assert first == f"{by_hand('nodeSelector')[0]}"
    assert others == [f"{each}" for each in by_hand(*VARIABLES[:4])]
    assert more == "… and 4 more of it in the journal"


def test_none_of_what_brings_about_another_cause_is_left_to_the_journal() -> None:
    init = Sign("init", "Pod worker-1", "wait: waits for db:5432")
    told = told_of("added", *by_hand("hostNetwork", *VARIABLES, "tolerations"), PENDING, init)
    assert told[:-1] == [f"{each}" for each in by_hand("tolerations", *VARIABLES)]
    assert told[-1] == "… and 1 more of it in the journal"


def test_where_it_brings_about_nothing_it_is_told_in_the_order_in_which_it_was_seen() -> None:
    told = told_of("added", *by_hand(*VARIABLES, "nodeSelector"))
    assert told == [*(f"{each}" for each in by_hand(*VARIABLES[:5])), "… and 4 more of it in the journal"]
