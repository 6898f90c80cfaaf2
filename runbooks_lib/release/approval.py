"""The approval: a person's yes to exactly one digest."""

import getpass
import platform
from typing import Literal

from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Approval, Event, Observe, Plan

#: How somebody said yes, and to which digest.
Given = tuple[Literal["parameter", "button"], str]


def approved(plan: Plan, given: Given | None, observe: Observe) -> Approval:
    """The approval of a plan; a plan without steps needs none.

    Raises ApprovalError: Nobody approved it, or another one was approved; nothing was changed.
    """
    by = f"{getpass.getuser()}@{platform.node()}"
    if plan.empty:
        return Approval(digest=plan.digest, by=by, how="nothing to approve")
    if given is None:
        observe(Event(kind="approval.missing", data={"digest": plan.digest}))
        raise refused("not approved", digest=plan.digest)
    how, digest = given
    if digest != plan.digest:
        observe(Event(kind="approval.missing", data={"digest": plan.digest, "given": digest}))
        raise refused("another approved", given=digest, digest=plan.digest)
    observe(Event(kind="approval.given", data={"digest": digest, "by": by, "how": how}))
    return Approval(digest=digest, by=by, how=how)
