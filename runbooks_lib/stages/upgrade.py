"""04_upgrade: another chart version or other values. Look, plan, approve, act, confirm."""

from runbooks_lib import probes
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.release.path import way
from runbooks_lib.release.plan import plan_upgrade
from runbooks_lib.release.stored import require_release
from runbooks_lib.results import Approval, ChangeResult, Plan, Report
from runbooks_lib.run import Run
from runbooks_lib.stages import prerequisites, verify
from runbooks_lib.views import told


def look(run: Run) -> Report:
    """The prerequisites of the version to be. Reads only."""
    require_release(run.boundaries, "upgrade")
    probes.prepare()
    return prerequisites.look(run, besides=FAMILIES["upgrade"])


def plan(run: Run) -> Plan:
    """What an upgrade would do; a plan without steps when nothing would change. Reads only."""
    made = plan_upgrade(run.boundaries)
    return run.propose(made.model_copy(update={"notes": (*made.notes, *way(run.boundaries, made))}))


def apply(run: Run, plan: Plan, approval: Approval) -> ChangeResult:
    """Do what was approved: Helm, roll-out."""
    with told(run):
        return run.carry_out(plan, approval, lambda: plan_upgrade(run.boundaries))


def confirm(run: Run) -> Report:
    """Look at the upgraded release as 03_verify does."""
    return verify.there(run)
