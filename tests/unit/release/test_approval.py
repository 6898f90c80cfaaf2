"""A yes is a yes to exactly one digest."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from runbooks_lib.errors import ApprovalError
from runbooks_lib.release.approval import approved
from runbooks_lib.results import Plan, Step

PLAN = Plan(stage="install", target={}, steps=(Step(kind="a", title="First"),))


@pytest.mark.parametrize("how", ["parameter", "button"])
def test_the_right_digest_is_an_approval_that_names_who_and_how(
    world: Any, how: Literal["parameter", "button"]
) -> None:
    made = approved(world.boundaries, PLAN, (how, PLAN.digest))
    assert (made.digest, made.how) == (PLAN.digest, how)
    assert "@" in made.by
    assert [(event.kind, event.data["how"]) for event in world.told] == [("approval.given", how)]


@pytest.mark.parametrize("digest", ["sha256:0", "", PLAN.digest[:-1], PLAN.digest.upper(), f" {PLAN.digest}"])
def test_any_other_digest_is_refused(world: Any, digest: str) -> None:
    with pytest.raises(ApprovalError, match="Another plan was approved") as caught:
        approved(world.boundaries, PLAN, ("parameter", digest))
    assert PLAN.digest in caught.value.next_step
    assert world.told[0].data == {"digest": PLAN.digest, "given": digest}


@pytest.mark.parametrize("awaited", [False, True])
def test_without_a_yes_nothing_is_changed(world: Any, awaited: bool) -> None:
    with pytest.raises(ApprovalError, match=f"not approved: {PLAN.digest}. Nothing was changed") as caught:
        approved(world.boundaries, PLAN, None, awaited=awaited)
    assert f"--approve {PLAN.digest}" in caught.value.next_step
    assert world.kinds() == ["approval.missing"]


@pytest.mark.parametrize("given", [None, ("parameter", "sha256:0")])
def test_a_plan_without_steps_needs_none(world: Any, given: Any) -> None:
    made = approved(world.boundaries, Plan(stage="upgrade", target={}), given)
    assert made.how == "nothing to approve"
    assert world.told == []
