"""Back to the last good revision from a change that was cut off before Helm had removed what the new revision has no more.

Helm can't roll back then (it finds in the cluster what the newest revision does not know), nor upgrade while an operation
is pending. So it is made to forget the revisions that never were, and then puts back what the good one has.
"""

from collections.abc import Iterator
from typing import NamedTuple

from runbooks_lib.helm import Release
from runbooks_lib.release import backup, sentences
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.impact import Shown, counts, named
from runbooks_lib.release.manifest import ObjectKey, kept, key_of, objects_of
from runbooks_lib.release.owners import carries_name
from runbooks_lib.release.plan import bound_to, fingerprint, lease_step, rollout_step
from runbooks_lib.release.restoring import Restoring, restoring_of
from runbooks_lib.release.values import known_in
from runbooks_lib.results import Json, ObjectChange, Plan, Step

#: Of these nothing is removed: what may be in them is not Helm's to know.
_STAYING = frozenset({"PersistentVolumeClaim", "Namespace", "CustomResourceDefinition"})
_FORGOTTEN = ("Helm's memory of a revision that never was",)


class Applied(NamedTuple):
    """What of a change is in the cluster.

    Attributes:
        made: Live objects that only the new revision has.
        staying: Those of them that are left.
        gone: Objects of the good revision that are not there.
        drift: What of the others is not as the good revision has it.
    """

    made: dict[ObjectKey, Json]
    staying: tuple[str, ...]
    gone: tuple[ObjectKey, ...]
    drift: Restoring

    def says(self, revision: int) -> str:
        """How much of it, as a sentence."""
        parts = [f"made: {', '.join(map(str, self.made))}"] if self.made or self.staying else []
        parts += [f"gone: {', '.join(map(str, self.gone))}"] if self.gone else []
        parts += (
            [f"changed: {', '.join(dict.fromkeys(str(key) for key, _ in self.drift.back))}"] if self.drift.back else []
        )
        return f"Of revision {revision} {'this was applied: ' + '; '.join(parts) if parts else 'nothing was applied'}."


def stands_in_the_way(stored: Release, to: Release, live: dict[ObjectKey, Json | None], namespace: str) -> bool:
    """Whether there is something of the good revision that the newest one does not know: Helm's rollback fails then."""
    known = {key_of(obj, namespace) for obj in objects_of(stored.manifest)}
    return any(live.get(key) for obj in objects_of(to.manifest) if (key := key_of(obj, namespace)) not in known)


def plan_taking_back(
    boundaries: Boundaries, target: Json, stored: Release, to: Release, live: dict[ObjectKey, Json | None]
) -> Plan:
    """Forget what came after the good revision, remove what only that has made, and have Helm put back the good one.

    Args:
        live: The objects of both as they are.
    """
    shown, namespace = known_in(boundaries, stored, to).redact, boundaries.namespace
    applied, forgotten = _applied(boundaries, stored, to, live), list(_forgotten(boundaries, to.revision))
    changes = (
        *(ObjectChange(action="remove", name=f"Secret {name}", detail=_FORGOTTEN) for name, _ in forgotten),
        *(ObjectChange(action="remove", name=named(key, namespace)) for key in applied.made),
        *(ObjectChange(action="add", name=named(key, namespace)) for key in applied.gone),
        *_changed(applied.drift, namespace, shown),
    )
    impact = (
        f"Goes back to revision {to.revision}, as it is stored: {counts(changes)}.",
        shown(applied.says(stored.revision)),
        *(f"Stays, empty or not: {name}, which revision {stored.revision} has made." for name in applied.staying),
        *sentences.hooks(to, "rollback"),
        *sentences.waivers(boundaries),
    )
    removed = [
        [obj["apiVersion"], key.kind, key.name, key.namespace, obj["metadata"]["uid"]]
        for key, obj in applied.made.items()
    ]
    names = ", ".join(map(str, applied.made))
    how = {"flags": " --force-conflicts"} if to.apply_method == "ssa" and applied.drift.back else {}
    steps = (
        lease_step(boundaries),
        Step(
            kind="forget-revisions",
            title=f"Have Helm forget what came after revision {to.revision}; its manifest is saved first",
            data={"secrets": forgotten, "revision": stored.revision},
        ),
        *(
            [Step(kind="remove-objects", title=f"Remove what only that has made: {names}", data={"objects": removed})]
            if removed
            else ()
        ),
        Step(
            kind="helm-rollback",
            title=f"Put revision {to.revision} back with Helm",
            data={"revision": to.revision} | how,
        ),
        *(each.model_copy(update={"data": each.data | {"revision": to.revision}}) for each in applied.drift.steps),
        *backup.starting(backup.left_stopped(live)),
        rollout_step(to),
    )
    bindings = bound_to(boundaries, stored) | {"manifest": fingerprint(boundaries, to)}
    return Plan(stage="recover", target=target, steps=steps, changes=changes, impact=impact, bindings=bindings)


def _applied(boundaries: Boundaries, stored: Release, to: Release, live: dict[ObjectKey, Json | None]) -> Applied:
    good = {key_of(obj, boundaries.namespace) for obj in objects_of(to.manifest)}
    new = [key for obj in objects_of(stored.manifest) if (key := key_of(obj, boundaries.namespace)) not in good]
    ours = {key: there for key in new if (there := live.get(key)) and carries_name(boundaries, there)}
    made = {key: there for key, there in ours.items() if key.kind not in _STAYING and not kept(there)}
    staying = tuple(str(key) for key in ours if key not in made)
    gone = tuple(key for key in sorted(good) if not live.get(key))
    return Applied(made, staying, gone, restoring_of(boundaries, to, to, backup.unstopped(live)))


def _forgotten(boundaries: Boundaries, good: int) -> Iterator[list[str]]:
    """Name and UID of the Secrets in which Helm keeps the revisions after the good one."""
    for revision in boundaries.helm.history(boundaries.release):
        name = f"sh.helm.release.v1.{boundaries.release}.v{revision.revision}"
        if revision.revision > good and (found := boundaries.cluster.get("v1", "Secret", name, boundaries.namespace)):
            yield [name, found["metadata"]["uid"]]


def _changed(drift: Restoring, namespace: str, shown: Shown) -> Iterator[ObjectChange]:
    for key in dict.fromkeys(key for key, _ in drift.back):
        detail = tuple(
            f"{shown(each.says(shown))}; back to {each.was(shown)}" for other, each in drift.back if other == key
        )
        yield ObjectChange(action="change", name=named(key, namespace), detail=detail)
