"""02_install: a first install. Look, plan, approve, act, confirm."""

from runbooks_lib import probes
from runbooks_lib.release.plan import plan_install
from runbooks_lib.release.stored import require_no_release
from runbooks_lib.results import Approval, ChangeResult, Plan, Report
from runbooks_lib.run import Run
from runbooks_lib.stages import prerequisites, verify
from runbooks_lib.views import told


def look(run: Run) -> Report:
    """The prerequisites, and whether anything is in the way. Reads only."""
    require_no_release(run.boundaries)
    probes.prepare()
    return prerequisites.look(run)


def plan(run: Run) -> Plan:
    """What an install would do. Reads only."""
    return run.propose(plan_install(run.boundaries))


def apply(run: Run, plan: Plan, approval: Approval) -> ChangeResult:
    """Do what was approved: namespace, Secrets, Helm, roll-out."""
    with told(run):
        return run.carry_out(plan, approval, lambda: plan_install(run.boundaries))


def confirm(run: Run) -> Report:
    """Look at the new release as 03_verify does."""
    return verify.there(run)
