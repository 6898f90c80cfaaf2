"""A change is exactly the approved plan; when a step fails, evidence is saved before anything else."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest

from runbooks_lib.errors import (
    ApprovalError,
    ChangeFailed,
    CheckFailed,
    Interrupted,
    OutcomeUnknown,
    TargetRefused,
    Unreachable,
)
from runbooks_lib.helm import Helm
from runbooks_lib.process import Completed
from runbooks_lib.release.change import carry_out
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.plan import plan_install, plan_uninstall
from runbooks_lib.release.shown import differing
from runbooks_lib.release.steps import STEPS, Work
from runbooks_lib.results import Approval, ChangeResult, ObjectChange, Plan, Step


def manifest(password: str = "6fa1b2c3d4", replicas: int = 1) -> str:
    return f"""
apiVersion: v1
kind: Secret
metadata: {{name: db}}
data: {{POSTGRES_PASSWORD: {base64.b64encode(password.encode()).decode()}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: api}}}}
"""


class Records:
    """Where evidence goes."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def __call__(self, name: str, text: str) -> None:
        self.files[name] = text


@pytest.fixture
def records() -> Records:
    return Records()


def approved(plan: Plan) -> Approval:
    return Approval(digest=plan.digest, by="tester", how="parameter")


def rolled_out() -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "csghub", "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    }


def adopting(world: Any, *, adopts: bool = True, stores: str | None = None) -> None:
    """A chart that looks its Secret up, as the real one does; Helm stores what it renders."""
    world.renders(manifest())
    ask = world.program

    def run(argv: Any, **how: Any) -> Completed:
        ended = ask(argv, **how)
        if argv[1] not in {"install", "upgrade"}:
            return ended
        found = world.cluster.get("v1", "Secret", "db", "csghub")
        password = found["stringData"]["POSTGRES_PASSWORD"] if found and adopts else "another-made-up"
        text = manifest(password)
        dry = "--dry-run=server" in argv
        release = {"name": "dataflow", "namespace": "csghub", "version": 1, "info": {"status": "deployed"}}
        made = release | {"manifest": text if dry or stores is None else stores}
        return Completed(tuple(argv), 0, json.dumps(made), "", 0.1)

    world.boundaries_with = lambda: _with(world, run)


def _with(world: Any, run: Any) -> Any:

    before = world.boundaries
    helm: Helm = dataclasses.replace(before.helm, run=run)
    return dataclasses.replace(before, helm=helm)


def carried_out(world: Any, records: Records) -> ChangeResult:
    boundaries = world.boundaries_with()
    plan = plan_install(boundaries)
    return carry_out(boundaries, plan, approved(plan), replan=lambda: plan_install(boundaries), save=records)


# ---- the approved plan


def test_another_plan_than_the_approved_one_changes_nothing(world: Any, records: Records) -> None:
    plan = Plan(stage="install", target={}, steps=(Step(kind="helm-install", title="Install"),))
    other = plan.model_copy(update={"impact": ("Something else.",)})
    with pytest.raises(ApprovalError, match="is not what was approved") as caught:
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: other, save=records)
    assert plan.digest in caught.value.summary
    assert "changed: new: Something else." in caught.value.summary
    assert other.digest in caught.value.summary
    assert (world.program.calls, world.told, records.files) == ([], [], {})


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"bindings": {"stored_manifest": "sha256:2", "revision": 1}}, "another stored manifest"),
        ({"steps": ()}, "no longer: Install"),
        ({"changes": (ObjectChange(action="add", name="Service db", detail=("x",)),)}, "new: add Service db — x"),
        ({"impact": ("Two.",)}, "no longer: One.; new: Two."),
        ({}, ""),
    ],
)
def test_what_a_plan_made_anew_has_otherwise_is_named(now: Any, told: str) -> None:
    plan = Plan(
        stage="install",
        target={},
        steps=(Step(kind="helm-install", title="Install"),),
        impact=("One.",),
        bindings={"stored_manifest": "sha256:1", "revision": 1},
    )
    assert differing(plan, plan.model_copy(update=now)) == told


def test_an_empty_plan_changes_nothing(world: Any, records: Records) -> None:
    plan = Plan(stage="upgrade", target={})
    result = carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    assert not result.changed
    assert (world.program.calls, world.told, records.files) == ([], [], {})


def test_every_step_that_a_plan_can_have_can_be_carried_out() -> None:
    kinds = {"create-namespace", "create-secret", "helm-install", "helm-upgrade", "put-back", "await-rollout"}
    assert set(STEPS) == kinds | {
        "take-lease",
        "stop-writers",
        "back-up",
        "restore",
        "helm-rollback",
        "start-writers",
        "helm-uninstall",
        "remove-data",
        "remove-namespace",
        "remove-jobs",
        "create-definitions",
        "free-namespace",
        "await-absence",
        "forget-revisions",
        "remove-objects",
    }


# ---- install


def test_an_install_goes_step_by_step_and_tells_each(world: Any, records: Records) -> None:
    adopting(world)
    world.cluster.add(rolled_out())
    result = carried_out(world, records)
    assert result.done == (
        "Create namespace csghub",
        "Hold the Lease runbooks-dataflow: no other run may change it now",
        "Create Secret db with a strong POSTGRES_PASSWORD",
        "Install dataflow 1.16.0 with Helm",
        "Wait until 1 workloads are rolled out",
    )
    assert (result.stage, result.revision) == ("install", 1)
    assert [kind for kind in world.kinds() if kind.startswith("change.")] == [
        "change.started",
        *["change.step"] * 5,
        "change.progress",
        "change.ended",
    ]
    assert records.files == {}


def test_the_strong_password_stands_in_the_cluster_and_nowhere_else(world: Any, records: Records) -> None:
    adopting(world)
    world.cluster.add(rolled_out())
    result = carried_out(world, records)
    password = world.cluster.get("v1", "Secret", "db", "csghub")["stringData"]["POSTGRES_PASSWORD"]
    assert len(password) == 32
    told = "".join(event.model_dump_json() for event in world.told) + result.model_dump_json()
    assert password not in told
    assert world.redactor.hits(password) == ("db#POSTGRES_PASSWORD",)


def test_helms_own_history_names_run_and_plan(world: Any, records: Records) -> None:
    adopting(world)
    world.cluster.add(rolled_out())
    result = carried_out(world, records)
    (call,) = [call for call in world.program.calls if "--description" in call.argv]
    assert call.argv[call.argv.index("--description") + 1] == f"run abc plan {result.plan_digest}"


def test_a_chart_that_does_not_take_the_password_is_not_installed(world: Any, records: Records) -> None:
    adopting(world, adopts=False)
    with pytest.raises(ChangeFailed, match="does not adopt the password in Secret db; Helm was not called"):
        carried_out(world, records)
    assert not any("--description" in call.argv for call in world.program.calls)


def test_helm_storing_other_objects_than_planned_is_a_failure(world: Any, records: Records) -> None:
    adopting(world, stores=manifest(replicas=7))
    with pytest.raises(ChangeFailed, match="Helm stored other objects in revision 1 than the plan names"):
        carried_out(world, records)


def test_a_workload_that_does_not_come_up_is_named_with_its_pods_trouble(world: Any, records: Records) -> None:
    adopting(world)
    late = rolled_out() | {"status": {"observedGeneration": 1}}
    waiting = {"name": "api", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "api-1", "namespace": "csghub", "labels": {"app": "api"}},
        "status": {"containerStatuses": [waiting]},
    }
    world.cluster.add(late, pod)
    with pytest.raises(ChangeFailed) as caught:
        carried_out(world, records)
    assert caught.value.summary == (
        "Step 5 of 5 (Wait until 1 workloads are rolled out) failed: Not rolled out within 1 s: "
        "Deployment api: 0 of 1 available, 0 updated. api-1: api: ImagePullBackOff."
    )
    assert "04_upgrade" in caught.value.next_step


# ---- failures


@pytest.mark.parametrize(
    ("error", "kind", "code", "words"),
    [
        (ChangeFailed("It broke.", next_step="Mend."), ChangeFailed, 5, "failed: It broke."),
        (TargetRefused("Busy."), ChangeFailed, 5, "failed: Busy."),
        (KeyError("name"), ChangeFailed, 5, "failed: KeyError: 'name'"),
        (OutcomeUnknown("Lost."), OutcomeUnknown, 6, "failed: Lost."),
        (Unreachable("No answer."), OutcomeUnknown, 6, "failed: No answer."),
        (KeyboardInterrupt(), OutcomeUnknown, 6, "was interrupted."),
        (SystemExit(0), OutcomeUnknown, 6, "was interrupted."),
        (Interrupted("Stopped."), OutcomeUnknown, 6, "was interrupted."),
    ],
)
def test_a_step_that_fails_ends_the_change_with_its_place_and_evidence(
    world: Any,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    kind: type[Exception],
    code: int,
    words: str,
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setitem(STEPS, "helm-upgrade", broken)
    steps = (
        Step(kind="create-namespace", title="Make it", data={"namespace": "csghub"}),
        Step(kind="helm-upgrade", title="Upgrade it"),
        Step(kind="await-rollout", title="Wait"),
    )
    plan = Plan(stage="upgrade", target={}, steps=steps)
    with pytest.raises(kind) as caught:
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    assert type(caught.value) is kind
    assert caught.value.exit_code == code  # type: ignore[attr-defined]
    assert str(caught.value).startswith(f"Step 2 of 3 (Upgrade it) {words}")
    assert caught.value.__cause__ is error
    assert f"{len(records.files)} files under evidence/" in str(caught.value)
    assert world.kinds() == ["change.started", "change.step", "change.step", "change.failed", "evidence.saved"]
    told = world.told[3].data
    assert (told["step"], told["done"], told["exit_code"]) == ("Upgrade it", ["Make it"], code)


@pytest.mark.parametrize("error", [Unreachable("No answer."), KeyError("name"), OSError("disk full")])
def test_evidence_that_can_not_be_saved_does_not_hide_the_failure(
    world: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any) -> None:
        raise ChangeFailed("It broke.")

    def full(*_: Any) -> None:
        raise error

    monkeypatch.setitem(STEPS, "helm-upgrade", broken)
    plan = Plan(stage="upgrade", target={}, steps=(Step(kind="helm-upgrade", title="Upgrade it"),))
    with pytest.raises(ChangeFailed, match="It broke") as caught:
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=full)
    assert caught.value.evidence.startswith("could not be saved: ")


# ---- uninstall


def test_an_uninstall_waits_for_what_goes_and_not_for_what_stays(world: Any, records: Records) -> None:
    kept = manifest().replace(
        "metadata: {name: db}", "metadata: {name: db, annotations: {helm.sh/resource-policy: keep}}"
    )
    world.stored(kept)
    world.cluster.add({"kind": "Secret", "metadata": {"name": "db", "namespace": "csghub"}})
    plan = plan_uninstall(world.boundaries)
    result = carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    assert result.done[1:] == ("Remove the release and its 1 objects", "Wait until they are gone")


def test_an_uninstall_that_leaves_a_pod_behind_names_it(world: Any, records: Records) -> None:
    world.stored(manifest())
    pod = {"kind": "Pod", "metadata": {"name": "api-1", "namespace": "csghub", "labels": {"app": "api", "hash": "1"}}}
    other = {"kind": "Pod", "metadata": {"name": "other-1", "namespace": "csghub", "labels": {"app": "other"}}}
    world.cluster.add(pod, other)
    plan = plan_uninstall(world.boundaries)
    with pytest.raises(ChangeFailed, match=r"Still there 1 s after the uninstall: Pod api-1\.") as caught:
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    assert "finalizers" in caught.value.next_step


# ---- one at a time


def test_a_release_that_another_run_holds_is_left_alone(world: Any, records: Records) -> None:
    world.stored(manifest())
    plan = plan_uninstall(world.boundaries)
    other = Lease(dataclasses.replace(world.boundaries, note="run 5ca1ab1e"), stage="upgrade")
    other.take()
    with pytest.raises(TargetRefused, match="held by run 5ca1ab1e of upgrade"):
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    other.give_back()
    assert "change.started" not in world.kinds()
    assert not any("uninstall" in call.argv for call in world.program.calls)


def test_a_run_that_comes_second_by_a_moment_has_changed_nothing(
    world: Any, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stored(manifest())
    plan = plan_uninstall(world.boundaries)
    monkeypatch.setattr(Lease, "require_free", lambda _: None)
    other = Lease(dataclasses.replace(world.boundaries, note="run 5ca1ab1e"), stage="upgrade")
    other.take()
    with pytest.raises(TargetRefused, match="has just begun") as caught:
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    other.give_back()
    assert caught.value.exit_code == 7
    assert [kind for kind in world.kinds() if kind.startswith("change.")][-1] == "change.refused"


@pytest.mark.parametrize("seen_late", [False, True], ids=["seen at once", "seen as the Lease is taken"])
def test_a_signed_approval_changes_something_once(
    world: Any, records: Records, monkeypatch: pytest.MonkeyPatch, seen_late: bool
) -> None:
    world.stored(manifest())
    plan = plan_uninstall(world.boundaries)
    signed = approved(plan).model_copy(update={"nonce": "0" * 32, "expires": "9999-12-31T00:00:00Z"})

    def carry() -> ChangeResult:
        return carry_out(world.boundaries, plan, signed, replan=lambda: plan, save=records)

    assert carry().changed
    calls, files = len(world.program.calls), dict(records.files)
    if seen_late:
        # As for a run that looked a moment before the other one took it.
        looks = [lambda _: None, Lease.require_free]
        monkeypatch.setattr(Lease, "require_free", lambda lease: looks.pop(0)(lease))
    with pytest.raises(ApprovalError, match="This approval was used before") as caught:
        carry()
    assert caught.value.exit_code == 4
    assert not any("uninstall" in call.argv for call in world.program.calls[calls:])
    assert records.files == files, "no evidence of a change that was not begun"
    last = [kind for kind in world.kinds() if kind.startswith("change.")][-1]
    assert last == ("change.refused" if seen_late else "change.ended")


def test_a_helm_by_hand_between_plan_and_change_is_noticed(world: Any, records: Records) -> None:
    world.stored(manifest())
    plan = plan_uninstall(world.boundaries)
    world.stored(manifest(), revision=2)
    with pytest.raises(TargetRefused, match="at revision 2 now, and was at 1 when the plan was made"):
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)


def test_a_change_that_lost_its_lease_stops_before_its_next_step(
    world: Any, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stored(manifest())
    plan = plan_uninstall(world.boundaries)
    monkeypatch.setitem(STEPS, "take-lease", lambda work, _: setattr(work.lease, "lost", True))
    with pytest.raises(OutcomeUnknown, match="has taken the release over"):
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    assert not any("uninstall" in call.argv for call in world.program.calls)


def test_what_helm_leaves_changed_is_put_back_beside_it(world: Any, records: Records) -> None:
    route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {hostnames: [a.b]}\n"
    world.renders(route)
    world.lives(route.replace("a.b", "c.d"))
    (live,) = world.cluster.objects
    live["metadata"]["resourceVersion"], live["spec"]["more"] = "1", "stays"
    step = Step(kind="put-back", title="Put back", data={"kind": "HTTPRoute", "name": "r"})
    plan, lease = Plan(stage="upgrade", target={}), Lease(world.boundaries, stage="upgrade")
    work = Work(world.boundaries, plan, lease, "", records)
    STEPS["put-back"](work, step)
    (live,) = world.cluster.objects
    assert live["spec"] == {"hostnames": ["a.b"], "more": "stays"}


# ---- what was stopped for a change


@pytest.mark.parametrize(
    ("kind", "error", "raised", "says", "replicas"),
    [
        ("back-up", ChangeFailed("It broke."), ChangeFailed, "Deployment api (had 2): see what is there", 0),
        ("back-up", CheckFailed("No room."), CheckFailed, "is started again. Nothing was changed.", 2),
        (
            "back-up",
            KeyboardInterrupt(),
            OutcomeUnknown,
            "was interrupted. What was stopped for it is started again.",
            2,
        ),
        ("helm-upgrade", CheckFailed("It broke."), ChangeFailed, "Deployment api (had 2): see what is there", 0),
        ("helm-upgrade", OutcomeUnknown("Lost."), OutcomeUnknown, "Deployment api (had 2): see what is there", 0),
    ],
)
def test_what_was_stopped_is_started_again_only_where_nothing_was_changed(
    world: Any,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    error: BaseException,
    raised: type[Exception],
    says: str,
    replicas: int,
) -> None:
    def broken(*_: Any) -> None:
        raise error

    world.lives(manifest(replicas=2))
    for obj in world.cluster.objects:
        obj["metadata"]["resourceVersion"] = "1"
    monkeypatch.setitem(STEPS, kind, broken)
    stop = Step(kind="stop-writers", title="Stop", data={"workloads": [["Deployment", "api"]]})
    plan = Plan(stage="upgrade", target={}, steps=(stop, Step(kind=kind, title="Do it")))
    with pytest.raises(raised) as caught:
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)
    assert says in caught.value.summary
    assert world.cluster.get("apps/v1", "Deployment", "api", "csghub")["spec"]["replicas"] == replicas


def test_what_can_not_be_started_again_is_named_and_the_change_counts_as_failed(
    world: Any, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        world.cluster.patch = lambda *_, **__: (_ for _ in ()).throw(Unreachable("The cluster is away."))
        raise CheckFailed("No room.")

    world.lives(manifest(replicas=2))
    for obj in world.cluster.objects:
        obj["metadata"]["resourceVersion"] = "1"
    monkeypatch.setitem(STEPS, "back-up", broken)
    stop = Step(kind="stop-writers", title="Stop", data={"workloads": [["Deployment", "api"]]})
    plan = Plan(stage="upgrade", target={}, steps=(stop, Step(kind="back-up", title="Do it")))
    with pytest.raises(ChangeFailed, match=r"No room.*Stopped for it, Deployment api \(had 2\)"):
        carry_out(world.boundaries, plan, approved(plan), replan=lambda: plan, save=records)


@pytest.mark.parametrize(
    ("found", "replicas"), [("stopped again", 2), ("by the plan", 2), ("stopped again, and scaled by Helm", 3)]
)
def test_what_a_killed_run_has_stopped_is_started_as_it_was(
    world: Any, records: Records, found: str, replicas: int
) -> None:
    world.lives(manifest(replicas=2))
    for obj in world.cluster.objects:
        obj["metadata"]["resourceVersion"] = "1"
    plan, lease = Plan(stage="upgrade", target={}), Lease(world.boundaries, stage="upgrade")
    stop = Step(kind="stop-writers", title="Stop", data={"workloads": [["Deployment", "api"]]})
    # It has no memory of its own any more.
    STEPS["stop-writers"](Work(world.boundaries, plan, lease, "", records), stop)
    work, left = Work(world.boundaries, plan, lease, "", records), {}
    if found == "by the plan":
        left = {"left": [["Deployment", "api", 2]]}
    else:
        STEPS["stop-writers"](work, stop)
    if "Helm" in found:
        world.cluster.patch("apps/v1", "Deployment", "api", {"spec": {"replicas": 3}}, "csghub")
    STEPS["start-writers"](work, Step(kind="start-writers", title="Start", data=left))
    live = world.cluster.get("apps/v1", "Deployment", "api", "csghub")
    assert live["spec"]["replicas"] == replicas
    assert live["metadata"]["annotations"] == {}
