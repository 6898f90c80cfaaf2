"""What writes into a database, stopped while it is backed up and changed, and started again."""

import time
from collections.abc import Mapping

from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import ObjectKey, annotation
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Json

#: What can be scaled.
KINDS = frozenset({"Deployment", "StatefulSet"})
_API = "apps/v1"
#: Kind and name of a workload, and how many replicas it had.
Stopped = tuple[str, str, int]
#: The annotation that says how many replicas a workload had before it was stopped.
_HAD = "runbooks/replicas"


def stop(boundaries: Boundaries, wanted: list[ObjectKey], *, seconds: float, were: dict[ObjectKey, int]) -> None:
    """Scale these workloads to 0, and wait until their pods are gone.

    Args:
        were: Gets how many replicas each had, as soon as it is scaled: whoever is interrupted knows what to start again.

    Raises CheckFailed: There are still pods when the time is up.
    """
    cluster, namespace = boundaries.cluster, boundaries.namespace
    found: list[Json] = []
    for key in wanted:
        live = cluster.get(_API, key.kind, key.name, namespace)
        if live is None or not (replicas := live["spec"].get("replicas", 1) or stopped(live)):
            continue
        were[key] = replicas
        _scale(boundaries, key, 0, mark=str(replicas))
        found.append({"kind": key.kind, **live})
    deadline = time.monotonic() + seconds
    while pods := boundaries.pods_of(found):
        if time.monotonic() > deadline:
            raise refused("still writing", pods=", ".join(pod["metadata"]["name"] for pod in pods))
        time.sleep(0.2)


def start(boundaries: Boundaries, were: Mapping[ObjectKey, int]) -> None:
    """Give those that are there, and still have no replicas, as many as they had."""
    for key, replicas in were.items():
        live = boundaries.cluster.get(_API, key.kind, key.name, boundaries.namespace)
        if live is not None:
            # What Helm has scaled stays Helm's.
            _scale(boundaries, key, None if live["spec"].get("replicas") else replicas, mark=None)


def stopped(live: Json) -> int:
    """How many replicas a workload had that a run has stopped and not started again; 0 of any other."""
    return 0 if (live.get("spec") or {}).get("replicas") else int(annotation(live, _HAD) or 0)


def left_stopped(lives: Mapping[ObjectKey, Json | None]) -> list[Stopped]:
    """The workloads that a run has stopped and not started again."""
    found = ((key, stopped(live)) for key, live in lives.items() if live and key.kind in KINDS)
    return [(key.kind, key.name, had) for key, had in found if had]


def unstopped(lives: Mapping[ObjectKey, Json | None]) -> dict[ObjectKey, Json | None]:
    """Objects as they were before a run stopped some of them: that is nobody's drift."""
    return {key: live and _unstopped(live) for key, live in lives.items()}


def _unstopped(live: Json) -> Json:
    if not (had := stopped(live)):
        return live
    annotations = {key: value for key, value in live["metadata"]["annotations"].items() if key != _HAD}
    return live | {
        "metadata": live["metadata"] | {"annotations": annotations},
        "spec": live["spec"] | {"replicas": had},
    }


def _scale(boundaries: Boundaries, key: ObjectKey, replicas: int | None, *, mark: str | None) -> None:
    # On the workload itself: whoever comes after a run that was killed has no other memory of it.
    body: Json = {"metadata": {"annotations": {_HAD: mark}}}
    body |= {} if replicas is None else {"spec": {"replicas": replicas}}
    boundaries.cluster.patch(_API, key.kind, key.name, body, boundaries.namespace)
