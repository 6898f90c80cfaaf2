"""Whose an object is: Helm writes on each the release that made it or took it over last."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import ObjectKey, annotation
from runbooks_lib.results import Json

#: What Helm writes on all that it makes, and adopts nothing without; and see :func:`annotations_of`.
LABELS = {"app.kubernetes.io/managed-by": "Helm"}
_NAME, _SPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"


def annotations_of(boundaries: Boundaries) -> dict[str, str]:
    """What Helm writes on the objects of this release beside its label."""
    return {_NAME: boundaries.release, _SPACE: boundaries.namespace}


class Standing(NamedTuple):
    """What became of a release's objects: names of those that are not there, and of another's with whose they are."""

    missing: tuple[str, ...]
    foreign: dict[str, str]

    def told(self, names: Iterable[str]) -> str:
        """Those of these that are another's, for people."""
        return ", ".join(f"{name} ({self.foreign[name]})" for name in names if name in self.foreign)


def standing_of(boundaries: Boundaries, live: Mapping[ObjectKey, Json | None]) -> Standing:
    """How these objects of the release stand in the cluster."""
    found = {str(key): there for key, there in live.items()}
    owners = {name: other_owner(boundaries, live) for name, live in found.items() if live}
    foreign = {name: owner for name, owner in owners.items() if owner}
    return Standing(tuple(name for name, live in found.items() if not live), foreign)


def carries_name(boundaries: Boundaries, obj: Json) -> bool:
    """Whether a live object carries the release's name, by what Helm writes on it or, in its namespace, by the usual label.

    What has a controller goes with that, which is looked at itself.
    """
    if [annotation(obj, name) for name in (_NAME, _SPACE)] == [boundaries.release, boundaries.namespace]:
        return True
    if any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or ()):
        return False
    labels = obj["metadata"].get("labels") or {}
    same_place = obj["metadata"].get("namespace") == boundaries.namespace
    return same_place and labels.get("app.kubernetes.io/instance") == boundaries.release


def other_owner(boundaries: Boundaries, live: Json) -> str:
    """The release that a live object belongs to, where that is not ours: ``release NAME in namespace NAMESPACE``."""
    owner, space = annotation(live, _NAME), annotation(live, _SPACE)
    ours = not owner or (owner, space) == (boundaries.release, boundaries.namespace)
    return "" if ours else f"release {owner} in namespace {space or 'unknown'}"
