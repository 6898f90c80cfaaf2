"""The release as Helm has stored it: required, or required not to be there, and in which state it was left."""

from runbooks_lib.helm import Release
from runbooks_lib.parameters.documents import dotted, leaves
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.refusals import refused

#: What to do about a release whose last operation was cut off.
STUCK = "07_recover explains how it was left and takes the way out that you approve, once no helm is at work on it any more."


def require_no_release(boundaries: Boundaries) -> None:
    """Refuse to install over a release: CheckFailed, or TargetRefused when an operation on it has not ended."""
    if boundaries.helm.status(boundaries.release) is None:
        return
    found = require_release(boundaries, "install")
    where = {"release": boundaries.release, "namespace": boundaries.namespace}
    raise refused("release exists", **where, told=state_of(boundaries, found))


def require_release(boundaries: Boundaries, verb: str, *, any_state: bool = False) -> Release:
    """The stored release.

    Raises:
        CheckFailed: There is none.
        TargetRefused: An operation on it was begun and not ended.
    """
    stored = boundaries.helm.status(boundaries.release)
    if stored is None:
        raise refused("no release", release=boundaries.release, namespace=boundaries.namespace, verb=verb)
    if stored.pending and not any_state:
        raise refused("stuck", release=boundaries.release, told=state_of(boundaries, stored), stuck=STUCK)
    return stored


def state_of(boundaries: Boundaries, stored: Release) -> str:
    """How a release is; where it is not as it should be also since when, and which run has left it so."""
    told = f"revision {stored.revision} is {stored.status}"
    if stored.status == "deployed":
        return f"{told}: {stored.description}"
    by = boundaries.last_change(stored.updated) or "an operation that no record here tells of"
    return f"{told} since {stored.updated} ({stored.description.rstrip('.')}), left by {by}"


def dropped(boundaries: Boundaries, stored: Release, before: int) -> list[str]:
    """The values that an earlier revision was given, and this one was not."""
    now, were = {path for path, _ in leaves(stored.values)}, boundaries.helm.values(boundaries.release, before)
    return [dotted(path) for path, value in leaves(were) if path not in now and value not in ({}, [])]
