"""What must not be there before an install or an upgrade, and so in 01: a claim without its Secret.

An object that belongs to somebody else is found by Helm's own dry run (the check ``chart.render``), and a release
of this name by the plan.
"""

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.release import passwords


def pairs(subject: Subject) -> Answer:
    """Whether a claim is there whose Secret is not, and whose password nobody has given."""
    proposal = subject.proposal
    alone, _ = passwords.unpaired(subject.boundaries, proposal.rendered, proposal.values)
    return Answer("fail" if alone else "pass", "; ".join(alone) or "no claim without its Secret")
