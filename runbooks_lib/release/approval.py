"""The approval: a person's yes to exactly one digest."""

from __future__ import annotations

import getpass
import platform
from typing import Literal

from runbooks_lib.errors import ApprovalError
from runbooks_lib.results import Approval, Event, Observe, Plan

#: How somebody said yes, and to which digest.
Given = tuple[Literal["parameter", "button"], str]


def approved(plan: Plan, given: Given | None, observe: Observe) -> Approval:
    """The approval of a plan; a plan without steps needs none.

    Raises:
        ApprovalError: Nobody approved it, or another one was approved; nothing was changed.
    """
    by = f"{getpass.getuser()}@{platform.node()}"
    if plan.empty:
        return Approval(digest=plan.digest, by=by, how="nothing to approve")
    if given is None:
        observe(Event(kind="approval.missing", data={"digest": plan.digest}))
        raise ApprovalError(
            f"This plan was not approved: {plan.digest}. Nothing was changed.",
            next_step="Read the plan; then press the button above, or run again with "
            f"--approve {plan.digest} (papermill: -r approve {plan.digest}).",
        )
    how, digest = given
    if digest != plan.digest:
        observe(Event(kind="approval.missing", data={"digest": plan.digest, "given": digest}))
        raise ApprovalError(
            f"Another plan was approved ({digest}) than the one made now ({plan.digest}). Nothing was changed.",
            next_step=f"Read the plan; approve this one if it is what you want: --approve {plan.digest}",
        )
    observe(Event(kind="approval.given", data={"digest": digest, "by": by, "how": how}))
    return Approval(digest=digest, by=by, how=how)
