"""How full are the release's volumes, as the kubelets tell it?"""

from collections.abc import Iterator

from runbooks_lib.checks.catalogue import Answer, together
from runbooks_lib.checks.release import Subject
from runbooks_lib.cluster import Invalid, NotFound
from runbooks_lib.cluster.quantities import ONE, told
from runbooks_lib.results import Json
from runbooks_lib.threads import at_once

#: Fuller ones are told, and such in which a database is about to stop.
_FULL, _TOO_FULL = 0.85, 0.95


def room(subject: Subject) -> Answer:
    """Each volume of the release that a kubelet knows."""
    cluster, names = subject.boundaries.cluster, subject.claims
    nodes = sorted({node for pod in subject.pods if (node := pod["spec"].get("nodeName"))})
    try:
        seen = [one for stats in at_once(cluster.kubelet_stats, nodes) for one in _volumes(stats)]
    except (NotFound, Invalid):
        return Answer("skip", "the kubelets tell nothing of their volumes")
    ours = {
        (where, name): each for where, name, each in seen if where == subject.boundaries.namespace and name in names
    }
    lines = []
    for (_, name), each in ours.items():
        used, whole = int(each["usedBytes"]), int(each["capacityBytes"])
        share = used / whole
        says = f"claim {name}: {told(used * ONE, 'memory')} of {told(whole * ONE, 'memory')} used ({share:.0%})"
        lines.append(Answer("fail" if share > _TOO_FULL else "warn" if share > _FULL else "pass", says))
    return together(lines or [Answer("skip", "no kubelet tells of a volume of this release")])


def _volumes(stats: Json) -> Iterator[tuple[str, str, Json]]:
    """Namespace and name of the claim of each volume, and what is known of it."""
    for pod in stats.get("pods") or ():
        for volume in pod.get("volume") or ():
            if (of := volume.get("pvcRef")) and volume.get("capacityBytes") and "usedBytes" in volume:
                yield of["namespace"], of["name"], volume
