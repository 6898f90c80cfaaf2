"""What an upgrade does about drift: what Helm puts back, what has to be put back beside it, and what it leaves."""

from collections.abc import Iterable
from typing import NamedTuple

from runbooks_lib.helm import Release
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.drift import Drift, all_drift, put_back
from runbooks_lib.release.manifest import ObjectKey, key_of, objects_of
from runbooks_lib.results import Json, Step


class Restoring(NamedTuple):
    """The drift of a release, by what becomes of it.

    Attributes:
        back: What the upgrade sets again, with the value that it then has.
        left: What was added to the release's objects: Helm has no word about it.
        beside: The objects of custom kinds, in which Helm changes only what differs between two manifests.
    """

    back: tuple[tuple[ObjectKey, Drift], ...]
    left: tuple[tuple[ObjectKey, Drift], ...]
    beside: tuple[ObjectKey, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is done beside Helm."""
        return tuple(
            Step(
                kind="put-back",
                title=f"Put back {key}, which Helm leaves changed",
                data={"kind": key.kind, "name": key.name},
            )
            for key in self.beside
        )


def restoring_of(
    boundaries: Boundaries, stored: Release, rendered: Release, live: dict[ObjectKey, Json | None]
) -> Restoring:
    """What becomes of the drift of a stored release when the rendered one takes its place.

    What these values ask for as well is no drift any more, but a change.
    """
    namespace = boundaries.namespace
    found = all_drift(objects_of(stored.manifest), live, namespace)
    wanted = {(key, each.path): each for key, each in all_drift(objects_of(rendered.manifest), live, namespace)}
    kept = [(key, wanted[key, each.path]) for key, each in found if (key, each.path) in wanted]
    back = tuple(one for one in kept if not one[1].added)
    # Helm 4 applies on the server, and is told to win over whoever wrote it.
    keys = () if stored.apply_method == "ssa" else dict.fromkeys(key for key, _ in back)
    beside = tuple(key for key in keys if _custom(boundaries, key, objects_of(stored.manifest)))
    return Restoring(back, tuple(one for one in kept if one[1].added), beside)


def restore(boundaries: Boundaries, rendered: Release, step: Step) -> None:
    """Set in one live object what the manifest sets."""
    for obj in objects_of(rendered.manifest):
        key = key_of(obj, boundaries.namespace)
        if (key.kind, key.name) == (step.data["kind"], step.data["name"]):
            boundaries.cluster.patch(obj["apiVersion"], key.kind, key.name, put_back(obj), key.namespace)


def _custom(boundaries: Boundaries, key: ObjectKey, objects: Iterable[Json]) -> bool:
    version = next(obj["apiVersion"] for obj in objects if key_of(obj, boundaries.namespace) == key)
    resource = boundaries.cluster.resource(version, key.kind)
    return resource is not None and boundaries.cluster.definition(resource) is not None
