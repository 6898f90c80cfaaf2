"""All databases of a release, copied when somebody asks for it: nothing is stopped, and what that leaves out is told."""

from collections.abc import Iterable

from runbooks_lib.release import passwords
from runbooks_lib.release.backup.copies import Backup, back_up, seen
from runbooks_lib.release.backup.steps import copied
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.manifest import claim_names, labelled, objects_of
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.rendered import claims_of, mounted, pods_of
from runbooks_lib.release.stores import Store, stores
from runbooks_lib.results import Json


def of_release(boundaries: Boundaries) -> tuple[Backup, str]:
    """A proved copy of every database that the release uses, and what it holds and does not hold, in sentences.

    Raises:
        TargetRefused: The cluster is not the pinned one, or somebody is changing the release.
        CheckFailed: There is no release, or one of its databases can't be copied and proved; no copy is kept then.
    """
    boundaries.require_pin()
    Lease(boundaries, stage="backup").require_free()
    stored = boundaries.helm.status(boundaries.release)
    if stored is None:
        raise refused("no release", release=boundaries.release, namespace=boundaries.namespace, verb="back up")
    passwords.learn(boundaries.redactor, stored)
    objects = objects_of(stored.manifest)
    found = stores(boundaries, objects)
    wanted = copied(boundaries, found)
    if not wanted:
        raise refused("nothing to copy", release=boundaries.release)
    # Whatever is missing is told before the first of them is read for hours.
    seen(boundaries, wanted)
    made = back_up(boundaries, wanted)
    left = [f"{store.name} (backup.leave_out)" for store in found if store not in wanted]
    left += [f"volume claim {name}" for name in uncovered(objects, wanted)]
    says = f"{len(made.copies)} copies are in {made.folder}, and proved. Nothing was stopped, so what is written after {made.made} "
    return made, says + f"is not in them. Not copied: {', '.join(left) or 'nothing that the release names'}."


def uncovered(objects: list[Json], copied: Iterable[Store]) -> list[str]:
    """The volume claims of a release but those of the servers whose databases are copied."""
    names = {claim.name for claim in claims_of(objects)}
    servers = [store.pods for store in copied if store.pods]
    covered: set[str] = set()
    for pods in pods_of(objects):
        names.update(mounted(pods.spec))
        if any(labelled(pods.template, server) for server in servers):
            covered.update(mounted(pods.spec), claim_names(pods.owner))
    return sorted(names - covered)
