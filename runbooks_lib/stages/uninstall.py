"""05_uninstall: remove the release; claims, kept Secrets, definitions and the namespace stay."""

from runbooks_lib.checks import overview, release
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.release.plan import plan_uninstall
from runbooks_lib.results import Approval, ChangeResult, Plan, Report
from runbooks_lib.run import Run
from runbooks_lib.stages import verify
from runbooks_lib.views import told


def look(run: Run) -> Report:
    """What is there now, as tables; of a release that is gone what it has left. Reads only."""
    subject = release.Subject(run.boundaries)
    if subject.stored is None:
        return verify.gone(run)
    return run.ask("Release", FAMILIES["uninstall"], subject, tables=overview.tables)


def plan(run: Run) -> Plan:
    """What goes, and what stays and why. Reads only."""
    return run.propose(plan_uninstall(run.boundaries, stopped=run.resumes))


def apply(run: Run, plan: Plan, approval: Approval) -> ChangeResult:
    """Do what was approved, and wait until it is gone."""
    with told(run):
        return run.carry_out(plan, approval, lambda: plan_uninstall(run.boundaries, stopped=run.resumes))


def confirm(run: Run, plan: Plan) -> Report:
    """Prove by looking that the release is gone and that what should stay is there."""
    return verify.gone(run, None if plan.empty else plan)
