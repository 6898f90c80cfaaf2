"""The approval: a person's yes to exactly one digest."""

import getpass
import os
import platform
import re
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Literal

from runbooks_lib.errors import ApprovalError
from runbooks_lib.parameters import resolve_path
from runbooks_lib.records.folder import EVENTS
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.policy import Rule, rule_of
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.resuming import resumed
from runbooks_lib.release.shown import since
from runbooks_lib.release.signed import verified
from runbooks_lib.results import Approval, Event, Json, Plan

#: How somebody said yes, and to which digest; or the path of another person's approval file, or of a stopped run's record.
Given = tuple[Literal["parameter", "button"], str]


#: What is meant as a digest, and is not the path of a file: it has the prefix, or the digits without it.
_MEANT = re.compile(r"\s*(sha256:.*|[0-9a-f]{32,}\s*)", re.IGNORECASE | re.DOTALL)


def require_digest(given: str) -> None:
    """Raise UsageError for a digest that can be no plan's; whether a file is an approval is told where it is read."""
    if _MEANT.fullmatch(given) and not re.fullmatch("sha256:[0-9a-f]{64}", given):
        raise refused("malformed digest", given=given)


def approved(boundaries: Boundaries, plan: Plan, given: Given | None, *, awaited: bool = False) -> Approval:
    """The approval of a plan; a plan without steps needs none.

    Args:
        awaited: Nothing need be given where two persons are needed: the file is looked for at :func:`place_of`.

    Raises ApprovalError: Nobody who may has approved it, or another one was approved; nothing was changed.
    """
    if plan.empty:
        return Approval(digest=plan.digest, by=_here(), how="nothing to approve")
    more: Json = {}
    try:
        if (rule := rule_of(boundaries)).approvers:
            made, more = _by_another(boundaries, plan, given[1] if given else place_of(plan) if awaited else "", rule)
        else:
            made = _by_operator(boundaries, plan, given)
    except ApprovalError:
        told = {"digest": plan.digest} | ({"given": given[1]} if given else {})
        boundaries.observe(Event(kind="approval.missing", data=told))
        raise
    boundaries.observe(Event(kind="approval.given", data=made.model_dump(mode="json", exclude_defaults=True) | more))
    return made


def asked_of(boundaries: Boundaries, plan: Plan) -> Iterator[str]:
    """For whoever reads a plan: whose yes it needs besides the reader's own."""
    try:
        if not plan.empty and (rule := rule_of(boundaries)).approvers:
            yield f"It takes two: one of {rule.names} must sign it with `runbooks approve`, by {rule.source}."
    except ApprovalError as error:
        # A plan changes nothing anyway, and is read before there is a run that would tell the next step.
        yield f"As it is, nobody can approve it: {error.summary.removesuffix(' Nothing was changed.')} Next: {error.next_step}"


def place_of(plan: Plan) -> str:
    """Where the approval file of a plan is looked for in JupyterLab."""
    return f"approvals/{plan.digest[7:23]}.json"


def stopped_in(given: str) -> Path | None:
    """The record of the stopped run that is to be resumed, if that is what was given."""
    path = resolve_path(given)
    # Whatever somebody gives for a path; of pathlib's a name that is too long would be an error.
    return path if given and os.path.isfile(path / EVENTS) else None  # noqa: PTH113


def _by_operator(boundaries: Boundaries, plan: Plan, given: Given | None) -> Approval:
    if given is None:
        raise refused("not approved", digest=plan.digest)
    how, digest = given
    if stopped := stopped_in(digest):
        return resumed(boundaries, plan, stopped, _here())
    if digest != plan.digest:
        raise refused("another approved", given=digest, digest=plan.digest, since=since(digest, plan))
    return Approval(digest=digest, by=_here(), how=how)


def _by_another(boundaries: Boundaries, plan: Plan, path: str, rule: Rule) -> tuple[Approval, Json]:
    """The approval that a file holds, and what the journal keeps besides: the file itself, for who checks it later."""
    # A rest needs another yes: whoever runs this could have written the record of a run that was stopped.
    if not path or path.startswith("sha256:") or stopped_in(path):
        raise refused("another must", digest=plan.digest, source=rule.source, names=rule.names)
    said, envelope = verified(boundaries, plan, resolve_path(path), rule)
    if rule.namespace and boundaries.cluster.can_i("update", "", "configmaps", rule.namespace):
        boundaries.observe(Event(kind="approval.editable", data={"source": rule.source}))
    expires = f"{said.expires.astimezone(UTC):%FT%TZ}"
    signed: Json = {"fingerprint": said.fingerprint, "nonce": said.nonce, "expires": expires}
    made = Approval(digest=said.digest, by=said.approver, how="file", approvers=rule.digest, **signed)
    return made, {"source": rule.source, "envelope": envelope}


def _here() -> str:
    return f"{getpass.getuser()}@{platform.node()}"
