"""The volume claims that an upgrade removes with their data: what is done for that beforehand, or why it is not begun."""

from runbooks_lib.helm import Release
from runbooks_lib.release import backup
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import ObjectKey, kept, key_of, labelled, objects_of
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.rendered import mounted, pods_of
from runbooks_lib.release.stores import Store, stores
from runbooks_lib.results import Json


def removed(
    boundaries: Boundaries, stored: Release, rendered: Release, live: dict[ObjectKey, Json | None]
) -> list[str]:
    """The names of the claims that go: Helm asks the live ones whether their policy is to stay."""
    old, new = ({key_of(obj, boundaries.namespace) for obj in objects_of(each.manifest)} for each in (stored, rendered))
    claims = [key for key in sorted(old - new) if key.kind == "PersistentVolumeClaim"]
    return [key.name for key in claims if (there := live.get(key)) and not kept(there)]


def stores_in(boundaries: Boundaries, stored: Release, names: list[str]) -> list[Store]:
    """The databases of a release that are in these claims.

    Raises CheckFailed: In one is what can't be copied here, and nobody has accepted that it is lost.
    """
    if not names or boundaries.waived(backup.CHECK):
        return []
    objects, going, held = objects_of(stored.manifest), list[Store](), set[str]()
    for store in backup.copied(boundaries, stores(boundaries, objects)):
        servers = [pods for pods in pods_of(objects) if labelled(pods.template, store.pods or {})]
        if found := {name for pods in servers for name in mounted(pods.spec) if name in names}:
            going.append(store)
            held |= found
    if rest := [name for name in names if name not in held]:
        raise refused("claims removed", names=", ".join(rest), namespace=boundaries.namespace, first=rest[0])
    return going
