"""A yes is a yes to exactly one digest."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from runbooks_lib.errors import ApprovalError, UsageError
from runbooks_lib.release.approval import approved, require_digest
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


@pytest.mark.parametrize(
    "given",
    [
        "sha256:abc",
        "sha256:",
        PLAN.digest[:-1],
        f"{PLAN.digest}0",
        PLAN.digest.upper(),
        f" {PLAN.digest}",
        PLAN.digest[7:],
    ],
)
def test_what_is_meant_as_a_digest_and_is_none_is_told_how_one_looks(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_digest(given)
    said = "is no digest of a plan: one is sha256: and 64 hexadecimal digits in lower case. Nothing was changed."
    assert caught.value.summary == f"{given!r} {said}"
    assert "the line of `runbooks plan` that begins with digest" in caught.value.next_step


@pytest.mark.parametrize("given", ["", PLAN.digest, "approval.json", "approvals/0123456789abcdef.json", "20261130"])
def test_a_whole_digest_or_the_path_of_a_file_is_left_to_whoever_looks_at_it(given: str) -> None:
    require_digest(given)
