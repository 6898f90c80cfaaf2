"""Runs that are killed in the middle of a change: what the exit code and the record say, and what mends it.

With ``-s`` each case prints its line of the table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faults import FAULTS, STAGES, Moment, Scene, ended, kill_kernel, left_of, until

from runbooks_lib import headless, records
from runbooks_lib.cluster import Cluster
from runbooks_lib.errors import RunbookError, TargetRefused
from runbooks_lib.records.notebook import read
from runbooks_lib.results import Json, RunSummary
from runbooks_lib.stages import recover, uninstall, upgrade

HELM = "failed: `helm {stage}` was killed (signal 9) before it was done."
KERNEL = "The notebook's kernel ended while a cell ran: it was killed, ran out of memory, or ended itself."
SERVER = "failed: Helm"
STOPPED = "was interrupted."
COMMAND = "The journal stops in the middle: the run was killed, or could not write any more. A change was begun, and it is not known how it ended."

#: What there is in the end, when the stage has got through.
CHARTS = {
    "install": [("harbour-0.1.0", "deployed")],
    "upgrade": [("harbour-0.2.0", "deployed")],
    "uninstall": [],
    "recover": [("harbour-0.1.0", "deployed")],
}

#: Who is killed · in which stage · the command's exit code · the record's outcome and summary (its exit code is 6)
#: · what the release is then · whether its Lease is left. Where Helm could still be ended by SIGTERM, it has told.
KILLED = [
    ("kill -9 helm", "install", 6, "unknown", HELM, "pending-install", False),
    ("kill -9 helm", "upgrade", 6, "unknown", HELM, "pending-upgrade", False),
    ("kill -9 helm", "uninstall", 6, "unknown", HELM, "uninstalling", False),
    ("kill -9 kernel", "install", 6, "unknown", KERNEL, "failed", True),
    ("kill -9 kernel", "upgrade", 6, "unknown", KERNEL, "failed", True),
    ("kill -9 kernel", "uninstall", 6, "unknown", KERNEL, "uninstalling", True),
    ("kill -9 command", "install", -9, "abandoned", COMMAND, "failed", True),
    ("kill -9 command", "upgrade", -9, "abandoned", COMMAND, "failed", True),
    ("kill -9 command", "uninstall", -9, "abandoned", COMMAND, "uninstalling", True),
    ("kill -9 API server", "upgrade", 6, "unknown", SERVER, "pending-upgrade", True),
]
#: It stays away until the command has given up.
AWAY = [
    ("kill -9 API server", "install", 6, "unknown", SERVER, "pending-install", True),
    ("kill -9 API server", "uninstall", 6, "unknown", SERVER, "uninstalling", True),
]
SIGNALLED = [
    ("SIGTERM", "install", 6, "unknown", STOPPED, "failed", False),
    ("SIGTERM", "upgrade", 6, "unknown", STOPPED, "failed", False),
    ("SIGTERM", "uninstall", 6, "unknown", STOPPED, "uninstalling", False),
    ("SIGHUP", "upgrade", 6, "unknown", STOPPED, "failed", False),
    ("SIGINT", "install", 6, "unknown", STOPPED, "failed", False),
    ("SIGINT", "upgrade", 6, "unknown", STOPPED, "failed", False),
    ("SIGINT", "uninstall", 6, "unknown", STOPPED, "uninstalling", False),
]
#: While the roll-out is awaited Helm has done its work, and the release itself is as it should be.
AWAITING = [
    ("kill -9 kernel", "install", 6, "unknown", KERNEL, True),
    ("kill -9 kernel", "upgrade", 6, "unknown", KERNEL, True),
    ("kill -9 command", "install", -9, "abandoned", COMMAND, True),
    ("kill -9 command", "upgrade", -9, "abandoned", COMMAND, True),
    ("SIGTERM", "install", 6, "unknown", STOPPED, False),
    ("SIGTERM", "upgrade", 6, "unknown", STOPPED, False),
    ("SIGINT", "install", 6, "unknown", STOPPED, False),
    ("SIGINT", "upgrade", 6, "unknown", STOPPED, False),
]


def marked(rows: list[Any]) -> list[Any]:
    return [pytest.param(*row, marks=pytest.mark.faults) for row in rows]


@pytest.fixture
def scene(sandbox: Any, target: dict[str, str], cluster: Cluster, tmp_path: Path) -> Scene:
    return Scene(sandbox, target, cluster, tmp_path)


@pytest.mark.parametrize(
    ("fault", "stage", "exit_code", "outcome", "summary", "state", "held"),
    [*KILLED, *marked([*AWAY, *SIGNALLED])],
    ids=lambda value: str(value)[:15],
)
def test_what_is_stopped_in_a_change_is_told_ended_and_can_be_mended(
    scene: Scene, fault: str, stage: str, exit_code: int, outcome: str, summary: str, state: str, held: bool
) -> None:
    moment = stopped(scene, stage, fault, exit_code)
    report = looked(scene, stage)
    closed = told(moment, fault, exit_code, outcome, summary.format(stage=stage))

    # Every stage says which run it was.
    left = f"is {state} since 20"
    by = f"left by run {closed.run_id} of {stage}, begun at 20"
    assert left in report["observed"]
    assert by in report["observed"]
    refusal = refused(scene, "install")
    assert refusal is not None
    assert left in refusal.summary
    assert by in refusal.summary
    assert "07_recover" in refusal.next_step
    assert (refused(scene, "upgrade") is None) == (state == "failed")

    # What they say to do works.
    assert (scene.lease() is not None) == held
    if held:
        # While the server was away nobody could renew it, so that it may have run out by now.
        if fault != "kill -9 API server":
            with pytest.raises(TargetRefused, match=f"held by run {closed.run_id} of {stage}"):
                scene.change("uninstall")
        scene.expire()
    with scene.opened():
        run, plan = scene.change("recover")
        # A rollback is looked at as what it went back to.
        wanted = scene.opens("install") if stage == "upgrade" else run
        assert recover.confirm(wanted, plan).with_status("fail", "unknown") == ()
        assert plan.impact[0].startswith(f"Revision {2 if stage == 'upgrade' else 1} is {state}")
        history = scene.helm("list", "--all", "--short").split()
        assert history == ([scene.release] if stage == "upgrade" else [])
        if stage == "upgrade":
            assert "revision 3 is deployed" in looked(scene, "install")["observed"]
            assert not upgrade.confirm(scene.change("upgrade")[0]).with_status("fail", "unknown")
    assert scene.lease() is None


@pytest.mark.parametrize(
    ("fault", "stage", "exit_code", "outcome", "summary", "held"), marked(AWAITING), ids=lambda value: str(value)[:15]
)
def test_what_is_stopped_while_the_roll_out_is_awaited_leaves_a_release_that_goes_on(
    sandbox: Any,
    target: dict[str, str],
    cluster: Cluster,
    tmp_path: Path,
    fault: str,
    stage: str,
    exit_code: int,
    outcome: str,
    summary: str,
    held: bool,
) -> None:
    scene = Scene(sandbox, target, cluster, tmp_path, waits="quay")
    moment = stopped(scene, stage, fault, exit_code)
    report = looked(scene, stage)
    closed = told(moment, f"{fault} (roll-out)", exit_code, outcome, summary)
    assert report["observed"].startswith(f"revision {1 + (stage == 'upgrade')} is deployed: run {closed.run_id} plan ")
    assert (scene.lease() is not None) == held
    with scene.opened():
        scene.expire() if held else None
        run, plan = scene.change("upgrade")
        assert plan.empty == (stage == "upgrade")
        until(lambda: not upgrade.confirm(run).with_status("fail", "unknown") or None)


def test_the_helm_of_a_kernel_that_a_person_ran_and_that_was_killed_does_not_outlive_the_next_run(scene: Scene) -> None:
    """Plain papermill stands for every front end that knows nothing of runs."""
    scene.have("upgrade")
    moment = scene.begin("upgrade", "papermill")
    assert moment.helm is not None
    # It would go on only when somebody says so.
    moment.helm.suspend()
    kill_kernel(moment)
    ended(moment.command)
    assert left_of(moment) != []
    assert not records.is_closed(moment.folder)

    run = scene.opens("uninstall")

    closed = told(moment, "kill -9 kernel (plain papermill)", 0, "abandoned", COMMAND)
    assert f"found run {closed.run_id} of upgrade, whose process is gone: it is closed as abandoned" in repr(run)
    assert "What it had left at work was ended: helm (" in repr(run)
    scene.expire()
    with scene.opened():
        assert uninstall.confirm(*scene.change("uninstall")).verdict == "pass"
    assert scene.helm("list", "--all", "--short") == ""


#: Each step of each plan of this chart. Of Helm's own steps the middle is above.
BOUNDARIES = [
    ("install", ("create-namespace", "take-lease", "helm-install", "await-rollout")),
    ("upgrade", ("take-lease", "helm-upgrade", "await-rollout")),
    ("uninstall", ("take-lease", "helm-uninstall", "await-absence")),
    ("recover", ("take-lease", "helm-rollback", "await-rollout")),
]


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["kill -9 command", "kill -9 kernel"])
@pytest.mark.parametrize(("stage", "at"), [(stage, kind) for stage, kinds in BOUNDARIES for kind in kinds])
def test_a_kill_at_any_step_ends_in_a_state_that_is_mended_and_nothing_unnamed_is_gone(
    scene: Scene, stage: str, at: str, fault: str
) -> None:
    scene.have(stage)
    if stage == "recover":
        scene.cluster.delete("apps/v1", "Deployment", f"{scene.release}-quay", scene.namespace)
    with scene.opened():
        before = scene.inventory()
        moment = scene.begin(stage, at=at)
        FAULTS[fault](moment)
        ended(moment.command)
        planned = json.loads((moment.folder / "plan.json").read_text())
        assert at in [step["kind"] for step in planned["steps"]]
        named = {change["name"] for change in planned["changes"] if change["action"] == "remove"}

        # As the next command finds it.
        scene.opens("recover")
        assert left_of(moment) == []
        assert records.summary_of(moment.folder).outcome in {"abandoned", "unknown"}
        scene.expire() if scene.lease() else None
        _, out = scene.change("recover")
        print(f"| {fault} | {stage}, {at} | {out.impact[0]} |")
        named |= {change.name for change in out.changes if change.action == "remove"}

        there = bool(scene.helm("list", "--all", "--short"))
        if there != (stage == "install"):
            scene.change(stage)
        assert recover.plan(scene.opens("recover")).empty
        history = json.loads(scene.helm("list", "--all", "--output", "json"))
        assert [(each["chart"], each["status"]) for each in history] == CHARTS[stage]
        assert before.keys() - scene.inventory().keys() <= named


def stopped(scene: Scene, stage: str, fault: str, exit_code: int) -> Moment:
    """A command that was stopped in the middle of a change; what a killed one leaves is still there."""
    scene.have(stage)
    if "server" in fault:
        # Helm asks again and again until its time is up.
        scene.policy["policy.command_seconds"] = 15
    moment = scene.begin(stage)
    FAULTS[fault](moment)
    try:
        assert ended(moment.command) == exit_code, scene.log.read_text()
    finally:
        scene.mend()
        scene.policy["policy.command_seconds"] = 120
    if fault != "kill -9 command":
        assert left_of(moment) == []
    return moment


def told(moment: Moment, fault: str, exit_code: int, outcome: str, summary: str) -> RunSummary:
    """How the record says that it ended; nothing of the run is left by now."""
    assert left_of(moment) == []
    closed = records.summary_of(moment.folder)
    print(f"| {fault} | {closed.stage} | {exit_code} | {closed.outcome} ({closed.exit_code}) | {closed.summary} |")
    assert (closed.outcome, closed.exit_code) == (outcome, 6)
    assert summary in closed.summary
    assert records.verify(moment.folder) == []
    assert cells_run(moment)[-1] == "act"
    return closed


def looked(scene: Scene, stage: str) -> Json:
    """What a headless 03_verify finds about the release; it is the next command, and so it also sweeps."""
    seen = headless.run_stage(
        "verify", scene.sandbox.parameters_file, overrides=scene.given(stage), output_directory=str(scene.root)
    )
    events = records.read_events(Path(seen.folder))
    answers = [event["data"] for event in events if event["kind"] == "check.answered"]
    return next(answer for answer in answers if answer["id"] == "release.status")


def refused(scene: Scene, stage: str) -> RunbookError | None:
    """Why a stage does not even begin."""
    try:
        STAGES[stage].look(scene.opens(stage))
    except RunbookError as error:
        return error
    return None


def cells_run(moment: Moment) -> list[str]:
    """The ids of the cells that the record's notebook shows as run."""
    cells = read((moment.folder / "notebook.ipynb").read_text())["cells"]
    return [cell["id"] for cell in cells if cell["cell_type"] == "code" and cell["execution_count"]]
