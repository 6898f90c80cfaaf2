"""What was approved is what is done: one thing changes between the plan and the change, and the change is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbooks_lib.errors import ApprovalError, RunbookError, TargetRefused
from runbooks_lib.release import shown
from runbooks_lib.release.approval import approved
from runbooks_lib.release.change import carry_out
from runbooks_lib.release.plan import plan_upgrade
from runbooks_lib.results import Approval

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {size: small}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
data: {note: bm90ZQ==}
"""
LIVE = MANIFEST.replace("small", "large")


def values(world: Any) -> None:
    world.settings["values"] = {"more": "other"}


def chart(world: Any) -> None:
    world.renders(MANIFEST.replace("small", "huge"))


def live_field(world: Any) -> None:
    world.cluster.get("v1", "ConfigMap", "settings", "csghub")["data"]["size"] = "by hand"


def secret(world: Any) -> None:
    world.cluster.get("v1", "Secret", "db", "csghub")["metadata"]["resourceVersion"] = "2"


def revision(world: Any) -> None:
    world.stored(MANIFEST, revision=2)


def waiver(world: Any) -> None:
    world.settings["waivers"] = [{"check": "nodes.room", "reason": "seen", "until": "2999-12-31"}]


def nothing(_: Any) -> None:
    pass


def cluster(world: Any) -> None:
    world.cluster.uid = lambda: "another"


CHANGES = pytest.mark.parametrize(
    ("changed", "notebook", "raised", "told"),
    [
        (values, "one", ApprovalError, "another values"),
        (chart, "one", ApprovalError, "another manifest"),
        (live_field, "one", ApprovalError, "by hand"),
        (secret, "one", ApprovalError, "another secrets"),
        (revision, "one", ApprovalError, "another revision"),
        (waiver, "one", ApprovalError, "another waivers"),
        (nothing, "two", ApprovalError, "another notebook"),
        (cluster, "one", TargetRefused, "another cluster than the pinned one"),
    ],
    ids=["values", "chart", "live field", "secret", "revision", "waiver", "notebook", "cluster"],
)


@CHANGES
def test_who_approved_a_plan_in_an_earlier_run_is_told_what_has_changed_since(
    world: Any,
    changed: Callable[[Any], None],
    notebook: str,
    raised: type[RunbookError],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNBOOKS_HOME", str(tmp_path))
    world.stored(MANIFEST)
    world.renders(MANIFEST.replace("small", "bigger"))
    world.lives(MANIFEST)
    plan = plan_upgrade(dataclasses.replace(world.boundaries, notebook="one"))
    shown.keep(plan)
    changed(world)
    boundaries = dataclasses.replace(world.boundaries, notebook=notebook)
    with pytest.raises(raised, match=told) as caught:
        approved(boundaries, plan_upgrade(boundaries), ("parameter", plan.digest))
    assert caught.value.summary.endswith("Nothing was changed.") or raised is TargetRefused
    # Of one that nobody here has seen it is only told that it is another one.
    if raised is ApprovalError:
        with pytest.raises(ApprovalError, match=r"the one made now \(sha256:\w+\)\. Nothing was changed"):
            approved(boundaries, plan_upgrade(boundaries), ("parameter", f"sha256:{'0' * 64}"))


@CHANGES
def test_a_plan_that_is_not_what_was_approved_any_more_is_refused(
    world: Any, changed: Callable[[Any], None], notebook: str, raised: type[RunbookError], told: str
) -> None:
    world.stored(MANIFEST)
    world.renders(MANIFEST.replace("small", "bigger"))
    world.lives(MANIFEST)
    plan = plan_upgrade(dataclasses.replace(world.boundaries, notebook="one"))
    approval = Approval(digest=plan.digest, by="ann", how="parameter")
    changed(world)
    boundaries = dataclasses.replace(world.boundaries, notebook=notebook)
    before = len(world.program.calls)
    with pytest.raises(raised, match=told):
        carry_out(boundaries, plan, approval, replan=lambda: plan_upgrade(boundaries), save=lambda *_: None)
    done = [call.argv for call in world.program.calls[before:] if "upgrade" in call.argv]
    assert not [argv for argv in done if "--dry-run=server" not in argv]
