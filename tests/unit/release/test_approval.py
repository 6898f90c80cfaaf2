"""A yes is a yes to exactly one digest."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from runbooks_lib.errors import ApprovalError
from runbooks_lib.release.approval import approved
from runbooks_lib.results import Event, Plan, Step

PLAN = Plan(stage="install", target={}, steps=(Step(kind="a", title="First"),))


@pytest.mark.parametrize("how", ["parameter", "button"])
def test_the_right_digest_is_an_approval_that_names_who_and_how(how: Literal["parameter", "button"]) -> None:
    told: list[Event] = []
    made = approved(PLAN, (how, PLAN.digest), told.append)
    assert (made.digest, made.how) == (PLAN.digest, how)
    assert "@" in made.by
    assert [(event.kind, event.data["how"]) for event in told] == [("approval.given", how)]


@pytest.mark.parametrize("digest", ["sha256:0", "", PLAN.digest[:-1], PLAN.digest.upper(), f" {PLAN.digest}"])
def test_any_other_digest_is_refused(digest: str) -> None:
    told: list[Event] = []
    with pytest.raises(ApprovalError, match="Another plan was approved") as caught:
        approved(PLAN, ("parameter", digest), told.append)
    assert PLAN.digest in caught.value.next_step
    assert told[0].data == {"digest": PLAN.digest, "given": digest}


def test_without_a_yes_nothing_is_changed() -> None:
    told: list[Event] = []
    with pytest.raises(ApprovalError, match=f"not approved: {PLAN.digest}. Nothing was changed") as caught:
        approved(PLAN, None, told.append)
    assert f"--approve {PLAN.digest}" in caught.value.next_step
    assert [event.kind for event in told] == ["approval.missing"]


@pytest.mark.parametrize("given", [None, ("parameter", "sha256:0")])
def test_a_plan_without_steps_needs_none(given: Any) -> None:
    told: list[Event] = []
    made = approved(Plan(stage="upgrade", target={}), given, told.append)
    assert made.how == "nothing to approve"
    assert told == []
