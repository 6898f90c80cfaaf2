"""03_verify: is the release there, whole and reachable — or, after an uninstall, gone? Reads only."""

from __future__ import annotations

import json
from pathlib import Path

from runbooks_lib import records
from runbooks_lib.checks import absence, release
from runbooks_lib.checks.catalogue import report
from runbooks_lib.results import Report
from runbooks_lib.run import Run


def look(run: Run) -> Report:
    """Look at the release as the parameters expect it (``verify.expect``)."""
    return gone(run) if run.parameters.verify.expect == "absent" else there(run)


def there(run: Run) -> Report:
    """The release, its workloads, claims, services, gateway and routes; and the guide's tables."""
    subject = release.Subject(run.boundaries)
    return run.clean(
        report(run.stage, "Release", release.CHECKS, subject, observe=run.observe, tables=release.tables)
    )


def gone(run: Run, staying: tuple[str, ...] | None = None) -> Report:
    """No release, and nothing left but what the uninstall's plan named as staying."""
    subject = absence.Subject(run.boundaries, _planned(run) if staying is None else staying)
    return run.clean(report(run.stage, "Absence", absence.CHECKS, subject, observe=run.observe))


def _planned(run: Run) -> tuple[str, ...] | None:
    """What the last uninstall of this target planned to leave, from its record."""
    target = run.parameters.target
    for summary in reversed(records.listing(run.records_root)):
        if (summary.stage, summary.target, summary.outcome) == ("uninstall", target.name, "done"):
            plan = json.loads((Path(summary.folder) / "plan.json").read_text())
            same = (plan["target"]["namespace"], plan["target"]["release"]) == (
                target.namespace,
                target.release,
            )
            if same:
                return tuple(plan["bindings"]["staying"])
    return None
