"""07's plans: each state that a release can be left in is recognised and has one way out, which names all that it touches."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import runbooks_lib.release.recovery as recovery_module
from runbooks_lib.release.by_hand import commands_of
from runbooks_lib.release.recovery import plan_recover
from runbooks_lib.release.states import STATES, Left
from runbooks_lib.results import Plan

OWNED = {"meta.helm.sh/release-name": "dataflow", "meta.helm.sh/release-namespace": "csghub"}
MANIFEST = f"""
apiVersion: v1
kind: Secret
metadata: {{name: db, annotations: {{helm.sh/resource-policy: keep}}}}
data: {{POSTGRES_PASSWORD: {base64.b64encode(b"6fa1b2c3d4").decode()}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  selector: {{matchLabels: {{app: db}}}}
  template: {{metadata: {{labels: {{app: db}}}}, spec: {{containers: [{{name: db, image: "postgres:16"}}]}}}}
  volumeClaimTemplates: [{{metadata: {{name: data}}, spec: {{resources: {{requests: {{storage: 5Gi}}}}}}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: api}}}}
  template: {{metadata: {{labels: {{app: api}}}}, spec: {{containers: [{{name: api, image: "dataflow:1"}}]}}}}
"""
ROUTE = "---\napiVersion: harbour.example/v1\nkind: Berth\nmetadata: {name: berth}\n"
HOOK = """
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
  annotations: {helm.sh/hook: pre-upgrade, helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded"}
spec: {template: {spec: {containers: [{name: m, image: "tiny:1"}]}}}
"""
WAYS: dict[str, dict[str, str]] = yaml.safe_load(
    (Path(recovery_module.__file__).parent / "recovery.yaml").read_text(encoding="utf-8")
)


def live(kind: str, name: str, api: str = "v1", **metadata: Any) -> dict[str, Any]:
    there = {"name": name, "namespace": "csghub", "uid": f"uid of {name}", "resourceVersion": "1"}
    return {"apiVersion": api, "kind": kind, "metadata": there | metadata, "spec": {}}


def job(**status: Any) -> dict[str, Any]:
    made = live("Job", "migrate", "batch/v1", annotations={"helm.sh/hook": "pre-upgrade"})
    return {**made, "spec": {}, "status": status}


def ending(since: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    said = [{"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": "metrics does not answer"}]
    metadata = {"name": "csghub", "deletionTimestamp": since}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "status": {"conditions": said}}


def running(world: Any) -> None:
    """The Deployment and the StatefulSet are rolled out."""
    for obj in world.cluster.objects:
        if obj["kind"] in {"Deployment", "StatefulSet"}:
            obj["metadata"]["generation"] = 1
            counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "observedGeneration"), 1)
            obj["status"] = counts


def stored(world: Any, *lines: tuple[str, str], manifest: str = MANIFEST, **besides: Any) -> None:
    """A history of revisions by status and chart; the last one is what Helm has."""
    status = lines[-1][0]
    world.stored(manifest, revision=len(lines), info={"status": status, "description": "it said so"}, **besides)
    history = [{"revision": n, "status": one, "chart": chart} for n, (one, chart) in enumerate(lines, start=1)]
    world.program.answer("history", stdout=history)


DEPLOYED = ("deployed", "dataflow-1.16.0")
OLDER = ("superseded", "dataflow-1.15.0")


def there(world: Any) -> None:
    """The namespace, and the chart."""
    world.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}})
    world.renders(MANIFEST)


def held(world: Any) -> None:
    world.cluster.add(ending())
    guard = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["harbour.example/pilot", "kubernetes.io/own"]}
    world.cluster.add(live("ConfigMap", "moored", **guard))
    world.cluster.add(live("PersistentVolumeClaim", "own", **guard | {"finalizers": ["kubernetes.io/pvc-protection"]}))


def just_going(world: Any) -> None:
    held(world)
    world.cluster.get("v1", "Namespace", "csghub")["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
    world.settings["policy"]["rollout_seconds"] = 600


def only_of_the_cluster(world: Any) -> None:
    """What stays when somebody deletes the namespace."""
    world.renders(MANIFEST)
    role = live("ClusterRole", "dataflow", "rbac.authorization.k8s.io/v1", annotations=OWNED)
    del role["metadata"]["namespace"]
    world.cluster.add(role)


def going(world: Any) -> None:
    world.cluster.add(ending())


def absent(world: Any) -> None:
    world.program.answer("repo", "add", returncode=1, stderr="Error: looks like it is not a valid chart repository")


def lost(world: Any) -> None:
    there(world)
    world.lives(MANIFEST)
    for obj in world.cluster.objects:
        obj["metadata"].setdefault("annotations", {}).update(OWNED)
    world.cluster.add(live("Service", "old", annotations=OWNED), live("Service", "of-another"))
    world.cluster.add(live("PersistentVolumeClaim", "data-db-0", annotations=OWNED))


def claim_alone(world: Any) -> None:
    world.renders(MANIFEST)
    world.cluster.add(live("PersistentVolumeClaim", "data-db-0"))


def secret_alone(world: Any) -> None:
    world.renders(MANIFEST)
    world.cluster.add(live("Secret", "db"))


def cut(status: str, *before: tuple[str, str]) -> Callable[[Any], None]:
    def left(world: Any) -> None:
        stored(world, *before, (status, "dataflow-1.16.0"), hooks=[{"manifest": HOOK}])
        world.lives(MANIFEST)

    return left


def newest_lost(world: Any) -> None:
    stored(world, OLDER)
    there(world)
    world.lives(MANIFEST)


def kinds_unknown(world: Any) -> None:
    stored(world, DEPLOYED, manifest=MANIFEST + ROUTE)
    world.renders(MANIFEST, version="1.17.0")
    world.lives(MANIFEST)


def objects_gone(world: Any) -> None:
    stored(world, OLDER, DEPLOYED)
    world.lives(MANIFEST)
    world.cluster.delete("v1", "Secret", "db", "csghub")


def writers_stopped(world: Any) -> None:
    stored(world, OLDER, DEPLOYED)
    world.lives(MANIFEST)
    api = world.cluster.get("apps/v1", "Deployment", "api", "csghub")
    api["spec"]["replicas"], api["metadata"]["annotations"] = 0, {"runbooks/replicas": "3"}


def jobs_left(world: Any) -> None:
    stored(world, DEPLOYED, hooks=[{"manifest": HOOK}])
    world.lives(MANIFEST)
    world.cluster.add(job(failed=1), live("Job", "of-another", "batch/v1"))


def dropped(world: Any) -> None:
    stored(world, OLDER, DEPLOYED)
    world.program.answer("values", stdout={"dataflow": {"database": "csghub"}})
    world.lives(MANIFEST)


def whole(world: Any) -> None:
    stored(world, OLDER, DEPLOYED)
    world.program.answer("values", stdout={"dataflow": {"database": "csghub"}})
    world.lives(MANIFEST)
    running(world)


#: How it was left · its state · what is said of it · the kinds of the plan's steps, without the Lease's.
LEFT: list[tuple[Callable[[Any], None], str, str, list[str]]] = [
    (held, "namespace held", "ConfigMap moored (by harbour.example/pilot)", ["free-namespace"]),
    (just_going, "namespace going", "ConfigMap moored (by harbour.example/pilot)", []),
    (going, "namespace going", "since 2026-01-01T00:00:00Z, metrics does not answer", []),
    (
        lost,
        "release lost",
        "belong to it: Deployment api, Service old, StatefulSet db.",
        ["helm-install", "await-rollout"],
    ),
    (claim_alone, "claim without Secret", "claim data-db-0 is there, Secret db is not", []),
    (secret_alone, "Secret without claim", "Secret db is there, claim data-db-0 is not", []),
    (only_of_the_cluster, "absent", "There is no release dataflow in namespace csghub", []),
    (absent, "absent", "There is no release dataflow", []),
    (cut("uninstalling"), "cut off in an uninstall", "Revision 1 is uninstalling", ["helm-uninstall", "await-absence"]),
    (cut("failed"), "no good revision", "no revision before it was ever whole", ["helm-uninstall", "await-absence"]),
    (cut("pending-install"), "no good revision", "is pending-install", ["helm-uninstall", "await-absence"]),
    (cut("failed", OLDER), "back to a good revision", "Revision 2 is failed", ["helm-rollback", "await-rollout"]),
    (cut("pending-upgrade", DEPLOYED), "back to a good revision", "to revision 1", ["helm-rollback", "await-rollout"]),
    (
        cut("pending-rollback", OLDER, OLDER),
        "back to a good revision",
        "to revision 2",
        ["helm-rollback", "await-rollout"],
    ),
    (newest_lost, "newest revision lost", "Revision 1 is superseded", ["helm-upgrade", "await-rollout"]),
    (kinds_unknown, "kinds unknown", "any more: Berth (harbour.example).", []),
    (objects_gone, "objects gone", "not in the cluster: Secret db.", ["helm-rollback", "await-rollout"]),
    (
        writers_stopped,
        "writers stopped",
        "into its databases: Deployment api (had 3).",
        ["start-writers", "await-rollout"],
    ),
    (jobs_left, "hook Jobs left", "no longer: Job migrate.", ["remove-jobs"]),
    (dropped, "values dropped", "it was not: dataflow.database.", ["helm-rollback", "await-rollout"]),
    (whole, "deployed", "nothing has to be recovered.", []),
]


@pytest.mark.parametrize(("left", "state", "says", "steps"), LEFT, ids=[row[2][:30] for row in LEFT])
def test_each_state_is_explained_and_has_one_way_out(
    world: Any, left: Callable[[Any], None], state: str, says: str, steps: list[str]
) -> None:
    left(world)
    plan = plan_recover(world.boundaries)
    told = "\n".join(plan.impact)
    assert says in told
    assert [step.kind for step in plan.steps if step.kind != "take-lease"] == steps
    # What is proposed is proposed with its commands.
    assert bool(commands_of(plan, world.boundaries.parameters, None)) == bool(steps)
    # In a namespace that is going nothing can be made, not even a Lease.
    assert ("take-lease" in {step.kind for step in plan.steps}) == bool(steps and steps != ["free-namespace"])
    assert (plan.stage, plan.impact[-1][:6]) == ("recover", "Next: ")
    assert ("Costs: " in told) == bool(steps) == ("way" in WAYS[state])
    beginning, _, _ = WAYS[state]["says"].partition("{")
    assert plan.impact[0].startswith(beginning)
    assert "{" not in told
    assert plan_recover(world.boundaries).digest == plan.digest


def test_every_state_of_the_table_is_one_of_these() -> None:
    assert {state for _, state, _, _ in LEFT} | {"definitions gone"} == {*WAYS} == {*STATES, "deployed"}


def planned(world: Any, left: Callable[[Any], None]) -> Plan:
    left(world)
    return plan_recover(world.boundaries)


def test_only_what_others_have_set_is_taken_off_and_only_of_named_objects(world: Any) -> None:
    (step,) = planned(world, held).steps
    (named,) = step.data["held"]
    assert named == {
        "version": "v1",
        "kind": "ConfigMap",
        "name": "moored",
        "uid": "uid of moored",
        "by": ["harbour.example/pilot"],
    }


def test_of_a_lost_release_is_said_what_is_taken_over_and_what_is_left_alone(world: Any) -> None:
    plan = planned(world, lost)
    changed = {each.name for each in plan.changes if each.action == "change"}
    assert changed == {"Deployment api", "StatefulSet db"}
    assert any("since this chart has no such object: Service old." in line for line in plan.impact)


def test_what_is_put_back_is_named_and_goes_to_the_revision_that_is_there(world: Any) -> None:
    plan = planned(world, objects_gone)
    assert [(each.action, each.name) for each in plan.changes] == [("add", "Secret db")]
    assert plan.steps[1].data == {"revision": 2}


def test_values_that_were_dropped_come_back_with_the_revision_that_had_them(world: Any) -> None:
    assert planned(world, dropped).steps[1].data == {"revision": 1}


@pytest.mark.parametrize("status", ["failed", "pending-upgrade"])
def test_what_hooks_have_left_goes_first_whether_it_has_ended_or_not(world: Any, status: str) -> None:
    cut(status, OLDER)(world)
    world.cluster.add(job(active=1))
    plan = plan_recover(world.boundaries)
    kinds = [step.kind for step in plan.steps]
    assert kinds == ["take-lease", "remove-jobs", "helm-rollback", "await-rollout"]
    assert plan.steps[1].data == {"objects": [["Job", "migrate", "uid of migrate"]]}
    world.cluster.get("batch/v1", "Job", "migrate", "csghub")["status"] = {"completionTime": "2026-01-01T00:00:00Z"}
    assert plan_recover(world.boundaries).digest == plan.digest


ENDED = {"type": "Complete", "status": "True"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"status": {"completionTime": "2026-01-01T00:00:00Z"}}, False),
        ({"spec": {"ttlSecondsAfterFinished": 60}, "status": {"conditions": [ENDED]}}, False),
        # As long as it runs it may still empty what was mended.
        ({"spec": {"ttlSecondsAfterFinished": 60}, "status": {"active": 1}}, True),
        ({"annotations": {"helm.sh/hook": "test"}}, False),
        ({"status": {"active": 1}}, True),
    ],
)
def test_a_job_that_ended_well_removes_itself_or_is_no_hooks_is_left_alone(
    world: Any, change: Any, named: bool
) -> None:
    jobs_left(world)
    there = world.cluster.get("batch/v1", "Job", "migrate", "csghub")
    there["metadata"]["annotations"] = change.pop("annotations", there["metadata"]["annotations"])
    there.update(change)
    assert [step.kind for step in plan_recover(world.boundaries).steps][1:] == ["remove-jobs"] * named


@pytest.mark.parametrize(
    ("lines", "good"),
    [
        ([("deployed", "Upgrade complete"), ("superseded", "Preparing upgrade"), ("failed", "Rollback to 1")], 1),
        ([("superseded", "run a plan b"), ("superseded", 'Upgrade "r" failed: no'), ("failed", "x")], 1),
        ([("superseded", "run a plan b"), ("superseded", "run c plan d"), ("pending-rollback", "Rollback to 1")], 2),
        ([("superseded", "Initial install underway"), ("failed", "Rollback to 1")], None),
    ],
)
def test_a_revision_that_never_became_whole_is_no_good_one(
    world: Any, lines: list[tuple[str, str]], good: int | None
) -> None:
    """Helm calls superseded what was cut off, once a rollback from it has failed."""
    world.stored(MANIFEST, revision=len(lines), info={"status": lines[-1][0]})
    told = [
        {"revision": number, "status": status, "description": said, "chart": "dataflow-1.16.0"}
        for number, (status, said) in enumerate(lines, start=1)
    ]
    world.program.answer("history", stdout=told)
    left = Left(world.boundaries, world.boundaries.helm.status("dataflow"))
    assert (left.good.revision if left.good else None) == good
