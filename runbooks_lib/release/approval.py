"""The approval: a person's yes to exactly one digest."""

import getpass
import platform
from collections.abc import Iterator
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


def differing(before: Plan, now: Plan) -> str:
    """What a plan made anew has otherwise than the first one, in a few words; empty where they are equal."""
    return "; ".join(_differences(before, now))


def _differences(before: Plan, now: Plan) -> Iterator[str]:
    names = sorted({*before.bindings, *now.bindings})
    others = [name.replace("_", " ") for name in names if before.bindings.get(name) != now.bindings.get(name)]
    yield from [f"another {', '.join(others)}"] if others else []
    for said, plan, other in (("no longer", before, now), ("new", now, before)):
        steps = [step.title for step in plan.steps if step not in other.steps]
        changes = [" — ".join((f"{c.action} {c.name}", *c.detail[:3])) for c in plan.changes if c not in other.changes]
        lines = [*steps, *changes] or [line for line in plan.impact if line not in other.impact]
        yield from [f"{said}: {'; '.join(lines[:5])}"] if lines else []
