"""What the rendered pods ask of a cluster."""

from runbooks_lib.cluster.quantities import Amounts, amounts
from runbooks_lib.results import Json


def asked(spec: Json, part: str) -> Amounts:
    """The ``requests`` or ``limits`` of one pod as the scheduler counts them: of its start and its life what is more."""
    life, start = Amounts(), Amounts()
    for container in spec.get("initContainers") or ():
        own = _asked(container, part)
        start |= life + own
        # Such a one goes on running beside those that come after it.
        life += own if container.get("restartPolicy") == "Always" else Amounts()
    life = sum((_asked(container, part) for container in spec["containers"]), life)
    return (life | start) + amounts(spec.get("overhead"))


def _asked(container: Json, part: str) -> Amounts:
    resources = container.get("resources") or {}
    # As the server does it: what is limited is also asked for.
    limited = (resources.get("limits") or {}) if part == "requests" else {}
    return amounts(limited | (resources.get(part) or {}))
