"""07_recover: the way out of a release that was left in the middle, or a backup put back. Look, plan, approve, act, confirm."""

from runbooks_lib.checks import overview, release
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.release.recovery import plan_recover
from runbooks_lib.results import Approval, ChangeResult, Plan, Report
from runbooks_lib.run import Run
from runbooks_lib.stages import verify
from runbooks_lib.views import told


def look(run: Run) -> Report:
    """What is there now, as tables, and the way out of it. Reads only."""
    subject = release.Subject(run.boundaries)
    return run.ask("State", FAMILIES["recover"], subject, tables=overview.tables if subject.stored else None)


def plan(run: Run) -> Plan:
    """What would be done about it; a plan without steps where nothing is to be done here. Reads only."""
    return run.propose(plan_recover(run.boundaries))


def apply(run: Run, plan: Plan, approval: Approval) -> ChangeResult:
    """Do what was approved."""
    with told(run):
        return run.carry_out(plan, approval, lambda: plan_recover(run.boundaries))


def confirm(run: Run, plan: Plan) -> Report:
    """Prove it: a release, or a namespace, that was removed is gone; any other is as 03_verify wants it, of whatever version."""
    removed = any(step.kind in {"helm-uninstall", "free-namespace"} for step in plan.steps)
    return verify.gone(run, plan) if removed else verify.there(run, any_chart=True)
