"""The change: the steps of an approved plan, one after the other; a failure saves evidence first."""

import time
from collections.abc import Callable
from contextlib import suppress

from runbooks_lib.errors import (
    ApprovalError,
    ChangeFailed,
    CheckFailed,
    Interrupted,
    OutcomeUnknown,
    RunbookError,
    TargetRefused,
    words,
)
from runbooks_lib.release import backup
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.evidence import Save, collect
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.shown import differing
from runbooks_lib.release.steps import STEPS, Work
from runbooks_lib.results import Approval, ChangeResult, Event, Plan, Step

#: Steps after whose failure everything is as it was, once what was stopped is started again.
_BEFORE_THE_CHANGE = ("stop-writers", "back-up", "restore")
#: Steps whose failure a rollback can take back.
_HELM_HAS_BEGUN = ("helm-upgrade", "put-back", "start-writers", "await-rollout")
_COPIED = " What was in the databases before is in {folder}: 07_recover with recover.restore brings it back once the release is whole."
_UNKNOWN = (
    "07_recover says what of it was applied, and the way out; if nothing was, the same with --resume does the rest."
)
#: How what is said of the scale ends where it was not restored.
_STILL = ": see what is there before you scale it back."


def carry_out(
    boundaries: Boundaries, plan: Plan, approval: Approval, *, replan: Callable[[], Plan], save: Save
) -> ChangeResult:
    """Carry out an approved plan.

    Args:
        replan: Makes the plan anew from what is there now; its digest must be the approved one.
        save: Writes one file of evidence into the record.

    Raises:
        ApprovalError: The plan made now is not the approved one, or the approval was used before; nothing was changed.
        ChangeFailed: A step failed; the evidence is saved.
        OutcomeUnknown: It is not known how a step ended; the evidence is saved.
    """
    if approval.digest != (now := replan()).digest:
        since = differing(plan, now) or "it is not the plan at hand"
        raise refused("plan changed", now=now.digest, approved=approval.digest, told=since)
    if plan.empty:
        return ChangeResult(stage=plan.stage, plan_digest=plan.digest)
    started = time.monotonic()
    lease = Lease(boundaries, stage=plan.stage, approval=approval)
    lease.require_free()
    work = Work(boundaries, plan, lease, f"{boundaries.note} plan {plan.digest}", save)
    done: list[str] = []
    boundaries.observe(Event(kind="change.started", data={"digest": plan.digest}))
    try:
        for step in plan.steps:
            boundaries.observe(Event(kind="change.step", data={"kind": step.kind, "title": step.title}))
            if lease.lost:
                raise refused("taken over")
            STEPS[step.kind](work, step)
            done.append(step.title)
    except BaseException as error:
        if isinstance(error, TargetRefused | ApprovalError) and plan.steps[len(done)].kind == "take-lease":
            boundaries.observe(Event(kind="change.refused", data={"summary": error.summary}))
            raise
        failed = _failure(error, work, len(done))
        told = {"step": plan.steps[len(done)].title, "done": done, "summary": failed.summary}
        kind = "change.refused" if isinstance(failed, CheckFailed) else "change.failed"
        boundaries.observe(Event(kind=kind, data=told | {"exit_code": failed.exit_code}))
        _save_evidence(boundaries, failed, save)
        _roll_back(work, failed, len(done))
        if work.copies and kind == "change.failed":
            failed.next_step += _COPIED.format(folder=work.copies)
        raise failed from error
    finally:
        lease.give_back()
    seconds, revision = round(time.monotonic() - started, 1), work.stored.revision if work.stored else None
    boundaries.observe(Event(kind="change.ended", data={"digest": plan.digest, "done": done, "seconds": seconds}))
    return ChangeResult(stage=plan.stage, plan_digest=plan.digest, done=tuple(done), revision=revision, seconds=seconds)


def _failure(error: BaseException, work: Work, done: int) -> RunbookError:
    """The error that a failed step becomes; what was stopped for the change is started again where nothing was changed."""
    step, plan = work.plan.steps[done], work.plan
    where = f"Step {done + 1} of {len(plan.steps)} ({step.title}) failed"
    next_step = "Read *If it fails* in this notebook; 03_verify shows what is there now."
    hint = error.next_step if isinstance(error, RunbookError) and error.next_step else next_step
    untouched = step.kind in _BEFORE_THE_CHANGE and not isinstance(error, ChangeFailed)
    scale = _scale_of(work, restore=untouched)
    if isinstance(error, KeyboardInterrupt | SystemExit | Interrupted):
        return OutcomeUnknown(f"{where.replace('failed', 'was interrupted')}.{scale}", next_step=_UNKNOWN)
    said = f"{words(error).rstrip('.')}." if scale else words(error)
    if isinstance(error, OutcomeUnknown):
        return OutcomeUnknown(f"{where}: {said}{scale}", next_step=hint)
    if untouched and not scale.endswith(_STILL):
        return refused("not begun", where=where, why=f"{words(error).rstrip('.')}.", scale=scale, hint=hint)
    return ChangeFailed(f"{where}: {said}{scale}", next_step=hint)


def _scale_of(work: Work, *, restore: bool) -> str:
    """What became of what was stopped, as a sentence; started again on request."""
    if not work.stopped:
        return ""
    if restore:
        with suppress(Exception):
            backup.start(work.boundaries, work.stopped)
            return " What was stopped for it is started again."
    listed = ", ".join(f"{key} (had {replicas})" for key, replicas in work.stopped.items())
    return f" Stopped for it, {listed}{_STILL}"


def _roll_back(work: Work, failed: RunbookError, done: int) -> None:
    """Go back to the revision before where the plan says so; how that ended is added to what is said of the failure."""
    revision = work.plan.bindings.get("back_to")
    if not revision or work.plan.steps[done].kind not in _HELM_HAS_BEGUN or not isinstance(failed, ChangeFailed):
        return
    title = f"Roll back to revision {revision} with Helm, as policy.on_failure says"
    step = Step(kind="helm-rollback", title=title, data={"revision": revision})
    work.boundaries.observe(Event(kind="change.step", data={"kind": step.kind, "title": title}))
    try:
        for each in (step, Step(kind="await-rollout", title="Wait until it is rolled back")):
            STEPS[each.kind](work, each)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not hide the failure itself
        failed.summary += f" The rollback to revision {revision} failed as well: {words(error)}"
        failed.next_step = "07_recover says how it is now, and what the way out is."
    else:
        failed.summary += f" It was rolled back to revision {revision}, as policy.on_failure says."


def _save_evidence(boundaries: Boundaries, failed: RunbookError, save: Save) -> None:
    try:
        files = collect(boundaries, save)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not hide the failure itself
        failed.evidence = f"could not be saved: {words(error)}"
    else:
        failed.evidence = f"{len(files)} files under evidence/ in the record"
