"""What must not be there before an install or an upgrade, and so in 01: a claim without its Secret.

An object that belongs to somebody else is found by Helm's own dry run (the check ``chart.render``), and a release
of this name by the plan.
"""

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.parameters.components import COMPONENTS, component_of
from runbooks_lib.release import passwords
from runbooks_lib.release.manifest import claim_names, images, objects_of


def pairs(subject: Subject) -> Answer:
    """Whether a claim is there whose Secret is not, and whose password nobody has given."""
    boundaries, proposal, alone = subject.boundaries, subject.proposal, list[str]()
    generated = passwords.generated(boundaries, proposal.rendered, proposal.values)
    for component in (each for each in COMPONENTS if each.password_key):
        claims = [
            name
            for obj in objects_of(proposal.rendered.manifest)
            if component in map(component_of, images(obj, init=False).values())
            for name in claim_names(obj)
            if boundaries.cluster.get("v1", "PersistentVolumeClaim", name, boundaries.namespace)
        ]
        lost = [made.name for made in generated if made.key == component.password_key]
        alone += [f"claim {claim} is there, Secret {name} is not" for claim in claims for name in lost]
    return Answer("fail" if alone else "pass", "; ".join(alone) or "no claim without its Secret")
