"""Plans of 07_recover: the one recommended way out of the state in which a release was left, or a backup put back."""

from datetime import UTC, datetime
from typing import NamedTuple

from runbooks_lib.helm import Release, Revision
from runbooks_lib.release import backup, passwords, sentences
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.impact import counts, difference
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.losses import losses_of
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.release.plan import all_objects, conditions, fingerprint, lease_step, plan_uninstall, rollout_step
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.stores import stores
from runbooks_lib.release.values import known_in
from runbooks_lib.results import Json, Plan, Step, digest_of
from runbooks_lib.tables import table

_WAYS: dict[str, dict[str, str]] = table(__package__, "recovery.yaml")
#: The states of a revision that was whole once.
_GOOD = ("deployed", "superseded")


def plan_recover(boundaries: Boundaries) -> Plan:
    """The way out of the release's state, or, where the parameters name a backup, that put back; without steps: none is needed.

    Raises:
        TargetRefused: The cluster is not the pinned one, or somebody may still be at work on the release.
        CheckFailed: The backup can't be used.
    """
    target = boundaries.require_pin()
    Lease(boundaries, stage="recover").require_free()
    stored = boundaries.helm.status(boundaries.release)
    if boundaries.parameters.recover.restore:
        return _restoring(boundaries, target, stored)
    out = way_out(boundaries, stored)
    if stored is None or not out.way:
        return Plan(stage="recover", target=target, impact=out.says, bindings=conditions(boundaries))
    _require_over(boundaries, stored)
    if out.way == "uninstall" or out.good is None:
        made = plan_uninstall(boundaries, keep_data=True)
        return made.model_copy(update={"stage": "recover", "impact": (*out.says[:-1], *made.impact, out.says[-1])})
    return _rolling_back(boundaries, target, stored, out.good, out.says)


class WayOut(NamedTuple):
    """What is recommended: ``rollback``, ``uninstall`` or nothing; and to which revision it goes back, where it does."""

    way: str
    says: tuple[str, ...]
    good: Revision | None


def way_out(boundaries: Boundaries, stored: Release | None) -> WayOut:
    """The state of a release, explained, with the recommended way out of it, what that costs, and what comes next."""
    history = boundaries.helm.history(boundaries.release) if stored else ()
    good = next((each for each in reversed(history) if each.status in _GOOD), None)
    row = _WAYS[_state(stored, good)]
    known: Json = {"release": boundaries.release, "namespace": boundaries.namespace}
    known |= {"good": good.revision, "chart": good.chart} if good else {}
    known |= {"revision": stored.revision, "status": stored.status, "description": stored.description} if stored else {}
    says = [f"{row['says'].format(**known).rstrip('.')}."]
    says += [f"Costs: {row['costs'].format(**known)}"] if "costs" in row else []
    return WayOut(row.get("way", ""), (*says, f"Next: {row['next']}"), good)


def _state(stored: Release | None, good: Revision | None) -> str:
    if stored is None:
        return "absent"
    if stored.status == "deployed":
        return "deployed"
    if stored.status == "uninstalling":
        return "cut off in an uninstall"
    return "back to a good revision" if good else "no good revision"


def _require_over(boundaries: Boundaries, stored: Release) -> None:
    """Raise TargetRefused while a helm that keeps no Lease may still be at work: for as long as one call may take."""
    if not stored.pending or boundaries.last_change(stored.updated):
        # A run of ours would hold the Lease, or its process is proved to be gone.
        return
    budget, begun = boundaries.parameters.policy.command_seconds, datetime.fromisoformat(stored.updated)
    left = budget - (datetime.now(UTC) - begun).total_seconds()
    if left > 0:
        raise refused(
            "perhaps at work", status=stored.status, updated=stored.updated, left=f"{left:.0f}", budget=budget
        )


def _rolling_back(boundaries: Boundaries, target: Json, stored: Release, good: Revision, says: tuple[str, ...]) -> Plan:
    to = boundaries.helm.status(boundaries.release, revision=good.revision)
    if to is None:
        raise refused("no release", release=boundaries.release, namespace=boundaries.namespace, verb="roll back")
    for each in (stored, to):
        passwords.learn(boundaries.redactor, each)
    namespace, shown = boundaries.namespace, known_in(boundaries, stored, to).redact
    changes = difference(all_objects(stored), all_objects(to), namespace=namespace, shown=shown)
    lost = losses_of(boundaries, stored, "upgrade", to)
    gone = "What revision {} has destroyed does not come back by this: name its backup in recover.restore afterwards."
    impact = (
        *says[:-1],
        f"Rolls release {boundaries.release} back from revision {stored.revision} to {good.revision} ({good.chart}): "
        f"{counts(changes)}.",
        *sentences.consequences(boundaries, stored, to),
        *sentences.hooks(to, "rollback"),
        *map(shown, losses_of(boundaries, to, "rollback").says()),
        *([gone.format(stored.revision)] if lost.found else []),
        *sentences.waivers(boundaries),
        says[-1],
    )
    title = f"Roll back to revision {good.revision} with Helm"
    back = Step(kind="helm-rollback", title=title, data={"revision": good.revision})
    steps = (lease_step(boundaries), back, rollout_step(to))
    bindings = conditions(boundaries) | {
        "revision": stored.revision,
        "updated": stored.updated,
        "stored_manifest": fingerprint(boundaries, stored),
        "manifest": fingerprint(boundaries, to),
    }
    return Plan(stage="recover", target=target, steps=steps, changes=changes, impact=impact, bindings=bindings)


def _restoring(boundaries: Boundaries, target: Json, stored: Release | None) -> Plan:
    if stored is None or stored.status != "deployed":
        raise refused("not whole", status=stored.status if stored else "not there")
    place, found = backup.read(boundaries.parameters.recover.restore)
    passwords.learn(boundaries.redactor, stored)
    wanted = backup.pairs(stores(boundaries, objects_of(stored.manifest)), found)
    chart = boundaries.helm.history(boundaries.release)[-1].chart
    impact = [
        f"Puts back what run {found.run} copied at {found.made}, when the release was revision {found.revision} ({found.chart}): "
        f"{'; '.join(copy.says for _, copy in wanted)}.",
        f"Lost to the application: everything that was written after {found.made}.",
        "Kept: what is in these databases now; each stays beside the restored one, named after it with before_ and this run's "
        "number. Remove it by hand when you are sure.",
    ]
    if chart != found.chart:
        impact.append(
            f"Another chart: the copies have the tables of {found.chart}, and {chart} must work with them; else go back to "
            f"revision {found.revision} as well (helm rollback)."
        )
    impact += sentences.waivers(boundaries)
    around = backup.stopping([store for store, _ in wanted])
    names = [store.name for store, _ in wanted]
    title = f"Restore {', '.join(names)} beside what is there, compare, and exchange them"
    restoring = Step(kind="restore", title=title, data={"databases": names, "from": found.run})
    steps = (lease_step(boundaries), *around.before, restoring, *around.after, rollout_step(stored))
    bindings = conditions(boundaries) | {
        "revision": stored.revision,
        "updated": stored.updated,
        "backup": digest_of(found.model_dump(mode="json")),
        "folder": place.name,
    }
    return Plan(stage="recover", target=target, steps=steps, impact=tuple(impact), bindings=bindings)
