"""What was approved is what is done: one thing changes between the plan and the change, and the change is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from runbooks_lib.errors import ApprovalError, RunbookError, TargetRefused
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


@pytest.mark.parametrize(
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
