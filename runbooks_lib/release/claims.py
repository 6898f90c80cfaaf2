"""The volume claims that an upgrade removes with their data: what is done for that beforehand, or why it is not begun."""

from runbooks_lib.helm import Release
from runbooks_lib.release import backup
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import ObjectKey, kept, key_of, objects_of
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.rendered import mounted, pods_of
from runbooks_lib.release.stores import stores
from runbooks_lib.results import Json


def removed(
    boundaries: Boundaries, stored: Release, rendered: Release, live: dict[ObjectKey, Json | None]
) -> list[str]:
    """The names of the claims that go: Helm asks the live ones whether their policy is to stay."""
    old, new = ({key_of(obj, boundaries.namespace) for obj in objects_of(each.manifest)} for each in (stored, rendered))
    claims = [key for key in sorted(old - new) if key.kind == "PersistentVolumeClaim"]
    return [key.name for key in claims if (there := live.get(key)) and not kept(there)]


def before_they_go(boundaries: Boundaries, stored: Release, names: list[str]) -> backup.Around:
    """The steps around the removal of these claims: a proved copy of each database that is in one of them.

    Raises CheckFailed: In one is what can't be copied here, and nobody has accepted that it is lost.
    """
    if not names or boundaries.waived(backup.CHECK):
        return backup.Around()
    objects, going, copied = objects_of(stored.manifest), [], set[str]()
    for store in stores(boundaries, objects):
        servers = [
            pods for pods in pods_of(objects) if store.pods and store.pods.items() <= _labels(pods.template).items()
        ]
        if held := {name for pods in servers for name in mounted(pods.spec) if name in names}:
            going.append(store)
            copied |= held
    if rest := [name for name in names if name not in copied]:
        raise refused("claims removed", names=", ".join(rest), namespace=boundaries.namespace, first=rest[0])
    before = backup.before_removal(boundaries, going, any_data=True).before
    return backup.Around(before, backup.stopping(going).after)


def _labels(template: Json) -> Json:
    return (template.get("metadata") or {}).get("labels") or {}
