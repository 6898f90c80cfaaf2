"""Is the release gone, and is only what the plan named as staying left."""

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.cluster import Forbidden
from runbooks_lib.cluster.discovery import Resource
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.manifest import annotation
from runbooks_lib.release.owners import carries_name
from runbooks_lib.threads import at_once, once

#: Kinds that controllers make and remove by themselves, shortly after what they belong to.
_DERIVED = frozenset({"Event", "Endpoints", "EndpointSlice", "ReplicaSet", "ControllerRevision", "Lease", "PodMetrics"})


class Subject:
    """A target whose release should be gone.

    Args:
        staying: ``Kind name`` of what an uninstall's plan named as staying; ``None`` when there is no such plan.
        passing: ``Kind name`` of what it named as removing itself later.
        named: ``Kind name`` of all that the plan speaks of: what may not be listed is looked up by these names.
    """

    def __init__(
        self,
        boundaries: Boundaries,
        staying: tuple[str, ...] | None,
        passing: tuple[str, ...] = (),
        named: tuple[str, ...] = (),
    ) -> None:
        self.boundaries = boundaries
        self.staying = staying
        self.passing = passing
        self.named = named
        self.unseen: list[str] = []
        #: What hooks have made, of this version or of one before it.
        self.of_hooks: set[str] = set()

    @once
    def left(self) -> list[str]:
        """``Kind name`` of every object, of any kind, that carries the release's name."""
        cluster, namespace = self.boundaries.cluster, self.boundaries.namespace
        # What can't be created (componentstatuses) no release has.
        listed = (
            each for each in cluster.resources() if {"list", "create"} <= {*each.verbs} and "/" not in each.plural
        )

        def of_kind(resource: Resource) -> list[str]:
            try:
                found = cluster.list(resource.api_version, resource.kind, namespace if resource.namespaced else None)
            except Forbidden:
                if not self.named:
                    raise
                known = [name for name in self.named if name.startswith(f"{resource.kind} ")]
                self.unseen += [] if known else [resource.plural]
                return list(filter(self.there, known))
            ours = {
                f"{resource.kind} {obj['metadata']['name']}": obj for obj in found if carries_name(self.boundaries, obj)
            }
            self.of_hooks |= {name for name, obj in ours.items() if annotation(obj, "helm.sh/hook")}
            return list(ours)

        found = at_once(of_kind, (each for each in listed if each.kind not in _DERIVED))
        return sorted({name for names in found for name in names})

    def there(self, name: str) -> bool:
        """Whether an object is there, by its ``Kind name``."""
        cluster, (kind, _, rest) = self.boundaries.cluster, name.partition(" ")
        found = next((each for each in cluster.resources() if each.kind == kind), None)
        where = self.boundaries.namespace if found and found.namespaced else None
        return found is not None and cluster.get(found.api_version, kind, rest, where) is not None


def release(subject: Subject) -> Answer:
    """Whether Helm still has it."""
    found = subject.boundaries.helm.status(subject.boundaries.release)
    if found is None:
        return Answer("pass", "no such release")
    return Answer("fail", f"revision {found.revision} is {found.status}")


def objects(subject: Subject) -> Answer:
    """Whether anything is left that should not be."""
    known = {*(subject.staying or ()), *subject.passing}
    unexpected = [name for name in subject.left if name not in known | subject.of_hooks]
    if subject.staying is None:
        # Without a plan only what Helm would never remove may be left.
        unexpected = [name for name in subject.left if not name.startswith(("PersistentVolumeClaim ", "Secret "))]
    if unexpected:
        return Answer("fail", f"left behind: {', '.join(unexpected)}")
    left = ", ".join(subject.left) or "nothing"
    unseen = (
        f"; not looked at, since this account may not: {', '.join(sorted(subject.unseen))}" if subject.unseen else ""
    )
    if subject.staying is None and subject.left:
        return Answer("warn", f"left, and no plan of an uninstall is known that names it: {left}{unseen}")
    hooks = ", ".join(name for name in subject.left if name in subject.of_hooks - known)
    unseen += f"; of those that hooks have made, which Helm does not remove: {hooks}" if hooks else ""
    return Answer("pass", f"{f'left, as planned: {left}' if subject.left else 'nothing is left'}{unseen}")


def staying(subject: Subject) -> Answer:
    """Whether what should stay is there."""
    if subject.staying is None:
        return Answer("skip", "no record of an uninstall of this target was found")
    if lost := [name for name in subject.staying if not subject.there(name)]:
        return Answer("fail", f"should have stayed and is gone: {', '.join(lost)}")
    later = f", and {len(subject.passing)} until it removes itself" if subject.passing else ""
    return Answer("pass", f"{len(subject.staying)} objects{later}")
