"""A change that is cut off before or in any of its steps: what is told, what 07 makes of it, and that the same stage then gets through.

Helm is a process with a memory; the cluster is a dictionary.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from test_claims_removed import DATABASE, claims

from runbooks_lib.errors import ApprovalError, ChangeFailed, CheckFailed, OutcomeUnknown, RunbookError
from runbooks_lib.process import Completed
from runbooks_lib.release import backup
from runbooks_lib.release.backup import Backup
from runbooks_lib.release.change import carry_out
from runbooks_lib.release.manifest import kept, objects_of
from runbooks_lib.release.plan import plan_install, plan_uninstall, plan_upgrade
from runbooks_lib.release.recovery import plan_recover
from runbooks_lib.release.steps import STEPS
from runbooks_lib.results import Approval, Plan, Step

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: told}
data: {edition: "EDITION"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {replicas: 1, selector: {matchLabels: {app: api}}}
"""
ROLLED_OUT = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
#: An upgrade that takes a database's volume away.
LOSING = "upgrade that copies first"
PLANS: dict[str, Callable[[Any], Plan]] = {
    "install": plan_install,
    "upgrade": plan_upgrade,
    LOSING: plan_upgrade,
    "uninstall": plan_uninstall,
    "recover": plan_recover,
}
#: The steps of each plan; and what Helm calls a release in the middle of its own.
STAGES = {
    "install": (["create-namespace", "take-lease", "helm-install", "await-rollout"], "pending-install"),
    "upgrade": (["take-lease", "helm-upgrade", "await-rollout"], "pending-upgrade"),
    LOSING: (
        ["take-lease", "stop-writers", "back-up", "helm-upgrade", "start-writers", "await-rollout"],
        "pending-upgrade",
    ),
    "uninstall": (["take-lease", "helm-uninstall", "await-absence"], "uninstalling"),
    "recover": (["take-lease", "helm-rollback", "await-rollout"], "pending-rollback"),
}
CUTS = [(stage, number) for stage, (steps, _) in STAGES.items() for number in range(len(steps))]


class Remembering:
    """Helm as a process that keeps its revisions, and can be killed in the middle of one verb."""

    def __init__(self, world: Any) -> None:
        self.world, self.ask = world, world.program
        self.revisions: list[dict[str, Any]] = []
        self.killed = ""
        self.manifest = MANIFEST
        world.program = self

    def has(self, *statuses: str) -> None:
        """Revisions of these states, the newest with its objects in the cluster."""
        for status in statuses:
            self._keep(status, self.manifest.replace("EDITION", f"{len(self.revisions)}"))
        self._apply(self.revisions[-1]["manifest"])

    def answer(self, *words: str, **how: Any) -> None:
        self.ask.answer(*words, **how)

    def __call__(self, argv: Sequence[str], **how: Any) -> Completed:
        verb = argv[1]
        if verb in {"status", "history"}:
            return self._told(argv)
        if verb not in {"install", "upgrade", "rollback", "uninstall"} or "--dry-run=server" in argv:
            answered: Completed = self.ask(argv, **how)
            return answered
        cut = self.killed == verb
        if verb == "uninstall":
            self._uninstall(cut)
        else:
            wanted = self.revisions[int(argv[3]) - 1]["manifest"] if verb == "rollback" else self._rendered()
            for old in self.revisions:
                old["status"] = "superseded" if old["status"] == "deployed" and not cut else old["status"]
            self._keep(f"pending-{verb}" if cut else "deployed", wanted)
            self._apply(wanted)
        said = "" if verb == "uninstall" or cut else json.dumps(self._release(self.revisions[-1]))
        return Completed(tuple(argv), -9 if cut else 0, said, "", 0.1)

    def _told(self, argv: Sequence[str]) -> Completed:
        if not self.revisions:
            return Completed(tuple(argv), 1, "", "Error: release: not found\n", 0.1)
        if argv[1] == "history":
            lines = [
                {"revision": n, "chart": "dataflow-1.16.0", **one} for n, one in enumerate(self.revisions, start=1)
            ]
            keys = ("revision", "chart", "status")
            return Completed(tuple(argv), 0, json.dumps([{key: line[key] for key in keys} for line in lines]), "", 0.1)
        number = int(argv[argv.index("--revision") + 1]) if "--revision" in argv else 0
        return Completed(tuple(argv), 0, json.dumps(self._release(self.revisions[number - 1])), "", 0.1)

    def _release(self, one: dict[str, Any]) -> dict[str, Any]:
        info = {"status": one["status"], "description": "it says so", "last_deployed": "2026-11-22"}
        number = self.revisions.index(one) + 1
        return {
            "name": "dataflow",
            "version": number,
            "info": info,
            "config": {},
            "manifest": one["manifest"],
            "hooks": [],
        }

    def _rendered(self) -> str:
        done = self.ask(["helm", "--dry-run=server"], timeout=1)
        return str(json.loads(done.stdout)["manifest"])

    def _keep(self, status: str, manifest: str) -> None:
        self.revisions.append({"status": status, "manifest": manifest})

    def _apply(self, manifest: str) -> None:
        scaled = {}
        for obj in objects_of(manifest):
            what = (obj["apiVersion"], obj["kind"], obj["metadata"]["name"])
            live = self.world.cluster.get(*what, "csghub") or {"metadata": {}, "spec": {}}
            if annotations := live["metadata"].get("annotations"):
                scaled[what[2]] = annotations, live["spec"]["replicas"]
            self.world.cluster.delete(*what, "csghub")
        self.world.lives(manifest)
        for obj in self.world.cluster.objects:
            if obj["kind"] == "Deployment":
                obj["metadata"] |= {"generation": 1, "resourceVersion": "1"}
                obj["status"] = ROLLED_OUT
                # What the manifest leaves as it was stays as somebody has scaled it.
                if name := obj["metadata"]["name"] if obj["metadata"]["name"] in scaled else "":
                    obj["metadata"]["annotations"], obj["spec"]["replicas"] = scaled[name]

    def _uninstall(self, cut: bool) -> None:
        objects = [obj for obj in objects_of(self.revisions[-1]["manifest"]) if not kept(obj)]
        for obj in objects[: 1 if cut else None]:
            self.world.cluster.delete(obj["apiVersion"], obj["kind"], obj["metadata"]["name"], "csghub")
        if cut:
            self.revisions[-1]["status"] = "uninstalling"
        else:
            self.revisions.clear()


@pytest.fixture
def helm(world: Any, monkeypatch: pytest.MonkeyPatch) -> Remembering:
    """A chart that can be rendered, and something in the cluster that is nobody's business; what is copied is copied."""
    copied = Backup(run="abc", target="t", made="now", revision=1, chart="c", folder="backups", copies=())
    monkeypatch.setattr(backup, "back_up", lambda *_: copied)
    world.renders(MANIFEST.replace("EDITION", "new"))
    world.cluster.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "csghub"}})
    return Remembering(world)


def begun(world: Any, helm: Remembering, stage: str) -> None:
    """What a stage needs to have something to do."""
    if stage != "install":
        world.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}})
        if stage == LOSING:
            helm.manifest = DATABASE + claims("db-data")
            world.renders(DATABASE)
        helm.has("deployed", *(["failed"] if stage == "recover" else []))


def carried_out(world: Any, stage: str) -> Plan:
    """Plan a stage, approve it, and carry it out."""
    boundaries = world.boundaries
    plan = PLANS[stage](boundaries)
    yes = Approval(digest=plan.digest, by="tester", how="parameter")
    carry_out(boundaries, plan, yes, replan=lambda: PLANS[stage](boundaries), save=lambda *_: None)
    return plan


def names(world: Any) -> set[str]:
    return {f"{obj['kind']} {obj['metadata']['name']}" for obj in world.cluster.objects if obj["kind"] != "Lease"}


def done_again(world: Any, helm: Remembering, stage: str) -> None:
    """The stage does what is still to be done; of one that had done all of it only the proof was left."""
    ended = {"install": bool(helm.revisions), "uninstall": not helm.revisions}.get(stage, False)
    if not ended:
        carried_out(world, stage)
    assert [one["status"] for one in helm.revisions][-1:] == ([] if stage == "uninstall" else ["deployed"])
    # Whatever was stopped runs again, and nobody takes it for stopped any more.
    stopped = [obj for obj in world.cluster.objects if obj["kind"] == "Deployment" and obj["spec"].get("replicas") == 0]
    marked = [obj for obj in world.cluster.objects if "runbooks/replicas" in (obj["metadata"].get("annotations") or {})]
    assert (stopped, marked) == ([], [])


@pytest.mark.parametrize(("stage", "number"), CUTS)
def test_what_was_stopped_before_a_step_goes_on_from_there_by_the_same_stage(
    world: Any, helm: Remembering, monkeypatch: pytest.MonkeyPatch, stage: str, number: int
) -> None:
    begun(world, helm, stage)
    kinds, _ = STAGES[stage]
    first = PLANS[stage](world.boundaries)
    assert [step.kind for step in first.steps] == kinds
    before = names(world)

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(STEPS, kinds[number], stopped)
        with pytest.raises(OutcomeUnknown, match=rf"Step {number + 1} of {len(kinds)} \(.*\) was interrupted\."):
            carried_out(world, stage)
    changed = number > [kind.startswith("helm-") for kind in kinds].index(True)
    now = plan_recover(world.boundaries)
    left = stage == LOSING and kinds[number] in {"helm-upgrade", "start-writers"}
    assert now.empty == (not left and (stage != "recover" or changed))
    if left:
        assert now.impact[0].endswith("has stopped what writes into its databases: Deployment api (had 1).")
    whole = not left and helm.revisions and helm.revisions[-1]["status"] == "deployed"
    assert ("nothing has to be recovered" in now.impact[0]) == bool(whole)
    done_again(world, helm, stage)
    removed = {change.name for change in first.changes if change.action == "remove"}
    assert before - names(world) == (removed if stage == "uninstall" else set())


@pytest.mark.parametrize("stage", STAGES)
def test_what_was_cut_off_within_helm_is_explained_and_mended_by_07_and_then_gets_through(
    world: Any, helm: Remembering, stage: str
) -> None:
    begun(world, helm, stage)
    before, (kinds, status) = names(world), STAGES[stage]
    helm.killed = next(kind for kind in kinds if kind.startswith("helm-")).removeprefix("helm-")
    with pytest.raises(OutcomeUnknown, match="was killed"):
        carried_out(world, stage)
    helm.killed = ""
    assert helm.revisions[-1]["status"] == status
    plan = carried_out(world, "recover")
    assert f"is {status}" in plan.impact[0]
    named = {change.name for change in plan.changes if change.action == "remove"}
    assert before - names(world) <= named
    assert [one["status"] for one in helm.revisions][-1:] == (
        ["deployed"] if stage in {"upgrade", LOSING, "recover"} else []
    )
    if stage != "recover":
        done_again(world, helm, stage)
    assert "ConfigMap other" in names(world)


#: Which step of an install was not begun any more, and what the plan that is made again has; as long as nothing is done, it is the same.
GOES_ON = [
    ("create-namespace", ["create-namespace", "take-lease", "helm-install", "await-rollout"]),
    ("take-lease", ["take-lease", "helm-install", "await-rollout"]),
    ("helm-install", ["take-lease", "helm-install", "await-rollout"]),
]


@pytest.mark.parametrize(("kind", "rest"), GOES_ON)
@pytest.mark.parametrize("changed", ["", "chart", "values", "notebook"])
def test_a_stopped_install_goes_on_with_what_is_not_done_and_its_approval_holds_only_while_nothing_has_changed(
    world: Any, helm: Remembering, monkeypatch: pytest.MonkeyPatch, kind: str, rest: list[str], changed: str
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    first = plan_install(world.boundaries)
    with monkeypatch.context() as patch:
        patch.setitem(STEPS, kind, stopped)
        with pytest.raises(OutcomeUnknown):
            carried_out(world, "install")
    if changed == "chart":
        world.renders(MANIFEST.replace("EDITION", "new"), version="1.16.1")
    elif changed == "values":
        world.settings["values"] = {"more": 1}
    now = world.boundaries
    now = dataclasses.replace(now, notebook="sha256:2") if changed == "notebook" else now
    again = plan_install(now)
    assert [step.kind for step in again.steps] == rest
    yes = Approval(digest=first.digest, by="tester", how="parameter")
    if again.digest == first.digest:
        assert (kind, changed) == ("create-namespace", "")
    else:
        with pytest.raises(ApprovalError, match="is not what was approved"):
            carry_out(now, again, yes, replan=lambda: again, save=lambda *_: None)
        assert helm.revisions == []


#: Of which steps it is known that nothing was changed when they fail, but for what was stopped and is started again.
HARMLESS = {"stop-writers", "back-up", "restore"}


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyboardInterrupt(), (OutcomeUnknown, "was interrupted.")),
        (OutcomeUnknown("No answer came."), (OutcomeUnknown, "failed: No answer came.")),
        (ChangeFailed("It broke."), (ChangeFailed, "failed: It broke.")),
        (ValueError("It broke."), (ChangeFailed, "failed: ")),
    ],
    ids=["interrupted", "unknown", "failed", "anything"],
)
def test_of_every_step_is_told_how_it_ended(
    world: Any, monkeypatch: pytest.MonkeyPatch, kind: str, error: BaseException, told: tuple[type[RunbookError], str]
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setitem(STEPS, kind, broken)
    expected, says = told
    if kind in HARMLESS and isinstance(error, ValueError):
        expected, says = CheckFailed, "Nothing was changed."
    plan = Plan(stage="recover", target={}, steps=(Step(kind=kind, title="Do it"),))
    yes = Approval(digest=plan.digest, by="tester", how="parameter")
    with pytest.raises(expected) as caught:
        carry_out(world.boundaries, plan, yes, replan=lambda: plan, save=lambda *_: None)
    assert says in caught.value.summary
    assert "Step 1 of 1 (Do it)" in caught.value.summary
    ended = "change.refused" if expected is CheckFailed else "change.failed"
    assert [event for event in world.kinds() if event.startswith("change.")][-1] == ended
