"""03_verify: is the release there, whole and reachable — or, after an uninstall, gone?

Reads only, unless the parameters say ``probes: write``.
"""

import json
from pathlib import Path

from runbooks_lib import records
from runbooks_lib.checks import absence, overview, release
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.results import Plan, Report
from runbooks_lib.run import Run


def look(run: Run) -> Report:
    """Look at the release as the parameters expect it (``verify.expect``)."""
    return gone(run) if run.parameters.verify.expect == "absent" else there(run)


def there(run: Run, *, any_chart: bool = False) -> Report:
    """The release, its objects, what its databases and pages answer; and the guide's tables.

    Args:
        any_chart: The release was taken back to a version that the parameters need not name.
    """
    subject = release.Subject(run.boundaries, any_chart=any_chart)
    return run.ask("Release", FAMILIES["verify"], subject, tables=overview.tables)


def gone(run: Run, plan: Plan | None = None) -> Report:
    """No release, and nothing left but what the uninstall's plan named as staying.

    Args:
        plan: The uninstall's; without one the last uninstall of this target is looked up in the records.
    """
    plan = plan or _planned(run)
    if plan is None:
        subject = absence.Subject(run.boundaries, None)
    else:
        bindings = plan.bindings
        named = tuple(change.name for change in plan.changes)
        subject = absence.Subject(run.boundaries, tuple(bindings["staying"]), tuple(bindings["passing"]), named)
    return run.ask("Absence", FAMILIES["verify (absent)"], subject)


def _planned(run: Run) -> Plan | None:
    """The plan of the last uninstall of this target that was carried out, from its record."""
    target = run.parameters.target
    place = {"cluster_uid": run.boundaries.cluster.uid(), "namespace": target.namespace, "release": target.release}
    for summary in reversed(records.listing(run.recording.root)):
        if (summary.stage, summary.target, summary.outcome) == ("uninstall", target.name, "done"):
            content = json.loads((Path(summary.folder) / "plan.json").read_text())
            plan = Plan.model_validate({key: value for key, value in content.items() if key != "digest"})
            if plan.target == place:
                return plan
    return None
