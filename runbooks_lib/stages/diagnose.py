"""06_diagnose: why does the release not work? Reads only; what it saw is kept in the record."""

from runbooks_lib.checks import prerequisites, release
from runbooks_lib.checks.diagnosis import causes_of
from runbooks_lib.checks.families import FAMILIES
from runbooks_lib.checks.signs import signs_of
from runbooks_lib.release.evidence import collect
from runbooks_lib.results import Report
from runbooks_lib.run import Run


def look(run: Run) -> Report:
    """Ask every check, save what can be seen, and name the causes that it speaks for, the likeliest first."""
    subject = release.Subject(run.boundaries)
    asked = [
        run.ask("Release", FAMILIES["verify"], subject),
        run.ask("Prerequisites", FAMILIES["prerequisites"], prerequisites.Subject(run.boundaries)),
    ]
    # Only now every secret that a log may print is known: those of references and of external stores, too.
    collect(run.boundaries, run.save)
    findings = [finding for report in asked for finding in report.findings]
    return run.ask("Causes", causes_of(signs_of(subject, findings)), None)
