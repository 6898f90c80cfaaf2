"""A stopped run that is resumed by the yes it had: only what is left of it, and only while nothing else is otherwise."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from test_step_boundaries import LOSING, PLANS, STAGES, Remembering, begun
from test_step_boundaries import helm as helm

from runbooks_lib import records
from runbooks_lib.errors import ApprovalError, OutcomeUnknown
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.approval import approved
from runbooks_lib.release.change import carry_out
from runbooks_lib.release.plan import lease_step, plan_uninstall
from runbooks_lib.release.steps import STEPS
from runbooks_lib.results import Approval, ChangeResult, Event, ObjectChange, Plan, Step

#: After these steps nothing of the plan is left but to look.
_LOOKING = {"start-writers", "await-rollout", "await-absence"}
CUTS = [(stage, kind) for stage, (kinds, _) in STAGES.items() for kind in kinds if kind not in _LOOKING]


def carried(world: Any, plan: Plan, stage: str, yes: Approval) -> ChangeResult:
    boundaries = world.boundaries
    return carry_out(boundaries, plan, yes, replan=lambda: PLANS[stage](boundaries), save=lambda *_: None)


def stopped_run(world: Any, monkeypatch: pytest.MonkeyPatch, root: Path, stage: str, at: str) -> tuple[Path, Plan]:
    """The record of a run that was interrupted in a step."""

    def stops(*_: Any) -> None:
        raise KeyboardInterrupt

    plan, before = PLANS[stage](world.boundaries), len(world.told)
    yes = approved(world.boundaries, plan, ("parameter", plan.digest))
    with monkeypatch.context() as patch:
        patch.setitem(STEPS, at, stops)
        with pytest.raises(OutcomeUnknown):
            carried(world, plan, stage, yes)
    return recorded(root, plan, world.told[before:]), plan


def recorded(root: Path, plan: Plan, events: list[Any]) -> Path:
    folder = records.create(root, target="practice", stage=plan.stage)
    journal = records.Journal(folder, Redactor(), role="kernel")
    for event in events:
        journal(event)
    records.write_json(folder, "plan.json", plan.model_dump(mode="json") | {"digest": plan.digest}, Redactor())
    records.close(folder, Redactor(), closer="sweep", outcome="unknown", exit_code=6, summary="It was stopped.")
    return folder


@pytest.mark.parametrize(("stage", "at"), CUTS)
def test_what_is_left_is_done_by_the_yes_that_the_stopped_run_had(
    world: Any, helm: Remembering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: str, at: str
) -> None:
    begun(world, helm, stage)
    folder, first = stopped_run(world, monkeypatch, tmp_path, stage, at)
    now = PLANS[stage](world.boundaries)
    yes = approved(world.boundaries, now, ("parameter", str(folder)))
    assert (yes.how, yes.resumes, yes.digest) == ("resumed", records.run_id(folder), now.digest)
    (told,) = (event.data for event in world.told if event.kind == "change.resumed")
    assert told["approved"]["digest"] == first.digest
    done = [step.title for step in first.steps if step.kind == "create-namespace"]
    assert told["done"] == (done if at != "create-namespace" else [])
    result = carried(world, now, stage, yes)
    assert result.done == tuple(step.title for step in now.steps)
    assert [one["status"] for one in helm.revisions][-1:] == ([] if stage == "uninstall" else ["deployed"])
    assert [obj for obj in world.cluster.objects if obj.get("spec", {}).get("replicas") == 0] == []


def test_an_uninstall_that_was_cut_off_within_helm_goes_on(
    world: Any, helm: Remembering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun(world, helm, "uninstall")
    plan = PLANS["uninstall"](world.boundaries)
    yes = approved(world.boundaries, plan, ("parameter", plan.digest))
    helm.killed = "uninstall"
    with pytest.raises(OutcomeUnknown, match="was killed"):
        carried(world, plan, "uninstall", yes)
    helm.killed, folder = "", recorded(tmp_path, plan, world.told)
    now = PLANS["uninstall"](world.boundaries)
    assert carried(world, now, "uninstall", approved(world.boundaries, now, ("parameter", str(folder)))).changed
    assert helm.revisions == []


CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: NAME, uid: u-NAME}\n"


def test_an_uninstall_that_was_stopped_when_the_release_was_gone_removes_the_data_that_it_named(
    world: Any, helm: Remembering, tmp_path: Path
) -> None:
    """Only the stopped run's plan knows what belonged to it; what was made anew since has another UID, and stays."""
    world.cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "csghub"}})
    for name in ("data", "more", "anew"):
        world.lives(CLAIM.replace("NAME", name))
    objects = [["PersistentVolumeClaim", name, f"u-{name}"] for name in ("data", "more", "gone")]
    objects.append(["PersistentVolumeClaim", "anew", "another"])
    steps = [lease_step(world.boundaries)]
    steps += [Step(kind=kind, title=kind) for kind in ("helm-uninstall", "await-absence")]
    steps.append(Step(kind="remove-data", title="Remove it", data={"objects": objects}))
    changes = tuple(ObjectChange(action="remove", name=f"{kind} {name}") for kind, name, _ in objects)
    told = {"impact": ("Removes it.", "REMOVES DATA: PersistentVolumeClaim data (1Gi)."), "changes": changes}
    bindings = plan_uninstall(world.boundaries).bindings | {"revision": 1, "staying": ["PersistentVolumeClaim data"]}
    target = {"cluster_uid": world.cluster.uid(), "namespace": "csghub", "release": "dataflow"}
    plan = Plan(stage="uninstall", target=target, steps=tuple(steps), bindings=bindings, **told)
    events = [
        Event(kind="approval.given", data={"digest": plan.digest, "by": "tester", "how": "parameter"}),
        Event(kind="change.started", data={"digest": plan.digest}),
    ]
    folder = recorded(tmp_path, plan, events)

    assert plan_uninstall(world.boundaries).empty
    now = plan_uninstall(world.boundaries, stopped=folder)
    yes = approved(world.boundaries, now, ("parameter", str(folder)))
    assert [step.kind for step in now.steps] == ["take-lease", "remove-data"]
    boundaries = world.boundaries
    how: Any = {"replan": lambda: plan_uninstall(boundaries, stopped=folder), "save": lambda *_: None}
    carry_out(boundaries, now, yes, **how)
    left = {obj["metadata"]["name"] for obj in world.cluster.objects if obj["kind"] == "PersistentVolumeClaim"}
    assert left == {"anew"}
    assert plan_uninstall(world.boundaries, stopped=folder).empty


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("values", "another values"),
        ("chart", "another chart"),
        ("notebook", "another notebook"),
        ("revision", "another revision, stored manifest"),
        ("cluster", "another target"),
        ("live field", "new: Drift: ConfigMap told data.edition"),
        ("waiver", "another waivers"),
    ],
)
def test_what_is_otherwise_is_named_and_nothing_is_changed(
    world: Any, helm: Remembering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str, named: str
) -> None:
    begun(world, helm, "upgrade")
    folder, _ = stopped_run(world, monkeypatch, tmp_path, "upgrade", "helm-upgrade")
    if changed == "chart":
        world.renders(helm.manifest.replace("EDITION", "new"), version="1.16.1")
    elif changed == "values":
        world.settings["values"] = {"more": 1}
    elif changed == "revision":
        helm.has("deployed")
    elif changed == "cluster":
        world.settings["target"]["release"] = "another"
    elif changed == "live field":
        live = next(obj for obj in world.cluster.objects if obj["metadata"]["name"] == "told")
        live["data"]["edition"] = "by hand"
    elif changed == "waiver":
        world.settings["waivers"] = [{"check": "backup.ready", "reason": "copied by hand", "until": "2999-12-31"}]
    boundaries = world.boundaries
    if changed == "notebook":
        boundaries = dataclasses.replace(boundaries, notebook="sha256:2")
    now, before = PLANS["upgrade"](boundaries), len(helm.revisions)
    with pytest.raises(ApprovalError, match=rf"is not what run \w+ has left: .*{named}") as caught:
        approved(boundaries, now, ("parameter", str(folder)))
    assert caught.value.summary.endswith("Nothing was changed.")
    assert now.digest in caught.value.next_step
    assert len(helm.revisions) == before


def test_a_change_that_the_first_plan_had_not_is_named(
    world: Any, helm: Remembering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun(world, helm, LOSING)
    folder, first = stopped_run(world, monkeypatch, tmp_path, LOSING, "back-up")
    fewer = first.model_copy(update={"steps": first.steps[:1] + first.steps[3:]})
    events = [event for event in world.told if event.kind in {"change.started", "change.failed"}]
    yes = {"digest": fewer.digest, "by": "tester", "how": "parameter"}
    events.append(events[0].model_copy(update={"kind": "approval.given", "data": yes}))
    without = recorded(tmp_path / "other", fewer, events)
    now = PLANS[LOSING](world.boundaries)
    with pytest.raises(ApprovalError, match=r"other steps: Stop what writes.*; Back up things at db:5432"):
        approved(world.boundaries, now, ("parameter", str(without)))
    assert approved(world.boundaries, now, ("parameter", str(folder))).resumes


def test_only_the_record_of_a_run_that_was_stopped_in_a_change_can_be_resumed(
    world: Any, helm: Remembering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun(world, helm, "upgrade")
    folder, plan = stopped_run(world, monkeypatch, tmp_path, "upgrade", "helm-upgrade")
    events = [event for event in world.told if event.kind.startswith(("approval.", "change."))]
    ended = events[0].model_copy(update={"kind": "change.ended", "data": {}})
    cases = {
        "that run has begun no change": recorded(tmp_path / "1", plan, events[:1]),
        "that run has done all that it was to do": recorded(tmp_path / "2", plan, [*events, ended]),
        "its plan is not the one that was approved": recorded(
            tmp_path / "3", plan.model_copy(update={"impact": ("Less.",)}), events
        ),
    }
    now = PLANS["upgrade"](world.boundaries)
    for why, record in cases.items():
        with pytest.raises(
            ApprovalError, match=rf"Nothing can be resumed from {record}: {why}\. Nothing was changed\."
        ):
            approved(world.boundaries, now, ("parameter", str(record)))
    (folder / "plan.json").chmod(0o600)
    content = json.loads((folder / "plan.json").read_text())
    (folder / "plan.json").write_text(json.dumps(content | {"impact": ["Less."]}))
    with pytest.raises(ApprovalError, match=r"its record is not as it was closed: plan\.json"):
        approved(world.boundaries, now, ("parameter", str(folder)))


@pytest.mark.parametrize("given", ["x" * 5000, "no/such/folder", "."])
def test_what_is_no_record_is_another_approval(world: Any, helm: Remembering, given: str) -> None:
    begun(world, helm, "upgrade")
    with pytest.raises(ApprovalError, match="Nothing was changed"):
        approved(world.boundaries, PLANS["upgrade"](world.boundaries), ("parameter", given))
