"""Plans of 07_recover: the one recommended way out of the state in which a release was left, or a backup put back."""

from collections.abc import Iterator
from datetime import UTC, datetime

from runbooks_lib.helm import Release
from runbooks_lib.release import backup, claims, passwords, sentences
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.impact import counts, difference
from runbooks_lib.release.lease import Lease
from runbooks_lib.release.losses import Losses, losses_of
from runbooks_lib.release.manifest import key_of, objects_of
from runbooks_lib.release.plan import (
    all_objects,
    bound_to,
    conditions,
    fingerprint,
    lease_step,
    plan_install,
    plan_uninstall,
    plan_upgrade,
    rollout_step,
)
from runbooks_lib.release.refusals import refused
from runbooks_lib.release.states import Left, keeps, state_in
from runbooks_lib.release.stores import stores
from runbooks_lib.release.taking_back import plan_taking_back, stands_in_the_way
from runbooks_lib.release.values import known_in
from runbooks_lib.results import Json, ObjectChange, Plan, Step, digest_of
from runbooks_lib.tables import table

_WAYS: dict[str, dict[str, str]] = table(__package__, "recovery.yaml")
_STORED = ("made again as it is stored; a claim comes back empty",)
_HOOK = ("left by a hook; what it says is saved first",)
_THERE = ("is there already, and belongs to no release: Helm takes it over, and makes it what the chart renders",)


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
    left = Left(boundaries, stored)
    way, says = way_out(left)
    if stored is not None and way:
        _require_over(boundaries, stored)
    made = _planned(left, way, target)
    return made.model_copy(update={"stage": "recover", "impact": (*says[:-1], *made.impact, says[-1])})


def way_out(left: Left) -> tuple[str, tuple[str, ...]]:
    """The recommended way out of a release's state, a way of ``recovery.yaml`` or nothing; and why, what it costs, what comes next."""
    name, what = state_in(left)
    row, boundaries = _WAYS[name], left.boundaries
    known: Json = {"release": boundaries.release, "namespace": boundaries.namespace, "what": what}
    known |= {"stored": left.stored, "good": left.good}
    says = [f"{row['says'].format(**known).rstrip('.')}."]
    says += [f"Costs: {row['costs'].format(**known)}"] if "costs" in row else []
    return row.get("way", ""), (*says, f"Next: {row['next'].format(**known)}")


def _planned(left: Left, way: str, target: Json) -> Plan:
    """What is done to go a way; what is said of the state is added by the caller."""
    boundaries, stored = left.boundaries, left.stored
    if way == "install":
        return _taking_over(left)
    if way == "free the namespace":
        return _freeing(left, target)
    if stored is None or not way:
        return Plan(stage="recover", target=target, bindings=conditions(boundaries))
    if way == "clear":
        bindings = bound_to(boundaries, stored)
        steps = (lease_step(boundaries), *[rollout_step(stored)] * bool(left.stopped))
        made = Plan(stage="recover", target=target, steps=steps, bindings=bindings)
    elif way == "upgrade":
        made = plan_upgrade(boundaries)
    elif way == "uninstall":
        made = plan_uninstall(boundaries, keep_data=True)
    else:
        to = left.good if way == "roll back" else None
        made = _rolling_back(left, target, stored, to.revision if to else stored.revision)
    lease, *rest = made.steps
    started = way == "uninstall" or any(step.kind == "start-writers" for step in rest)
    after = () if started else backup.starting(left.stopped)
    jobs = [f"Job {job['metadata']['name']}" for job in left.jobs]
    changes = [each for each in made.changes if each.name not in jobs]
    changes += [ObjectChange(action="remove", name=name, detail=_HOOK) for name in jobs]
    # What an uninstall would leave of hooks does not stay here.
    staying = [name for name in made.bindings.get("staying", ()) if name not in jobs]
    steps = (lease, *_clearing(left), *rest[:-1], *after, *rest[-1:])
    more: Json = {"changes": tuple(changes), "bindings": made.bindings | {"staying": staying}}
    return made.model_copy(update={"steps": steps, **more})


def _clearing(left: Left) -> Iterator[Step]:
    """What has to be done before Helm can do anything: what its hooks have left, and kinds that it must know."""
    if objects := [["Job", job["metadata"]["name"], job["metadata"]["uid"]] for job in left.jobs]:
        names = ", ".join(name for _, name, _ in objects)
        title = f"Save what the Jobs say that hooks have left, and remove them: {names}"
        yield Step(kind="remove-jobs", title=title, data={"objects": objects})
    if names := ", ".join(left.definitions):
        title = f"Make these again as the chart has them: {names}"
        yield Step(kind="create-definitions", title=title, data={"names": left.definitions})


def _taking_over(left: Left) -> Plan:
    """An install over the objects of a release that Helm has forgotten."""
    made, found = plan_install(left.boundaries), left.orphans
    there = {"action": "change", "detail": _THERE}
    changes = tuple(each.model_copy(update=there) if each.name in found else each for each in made.changes)
    others = [name for name in found if name not in {each.name for each in changes}]
    says = (f"Stays, though it belongs to no release, since this chart has no such object: {', '.join(others)}.",)
    return made.model_copy(update={"changes": changes, "impact": made.impact + says * bool(others)})


def _freeing(left: Left, target: Json) -> Plan:
    """A namespace that is being deleted and that finalizers keep: nothing can be made in it, so that no Lease is held."""
    off = ", ".join(map(keeps, left.held))
    title = f"Take finalizers off {off}, and wait until {left.boundaries.namespace} is gone"
    steps = (Step(kind="free-namespace", title=title, data={"held": left.held}),)
    names = (f"{each['kind']} {each['name']}" for each in left.held)
    changes = tuple(ObjectChange(action="remove", name=name) for name in names)
    staying = [name for name, one in left.orphans.items() if not one.namespaced]
    stays = f"Stays, since it belongs to the whole cluster; the next install takes it over: {', '.join(staying)}."
    says = (stays,) if staying else ()
    bindings = conditions(left.boundaries) | {"staying": staying, "passing": []}
    return Plan(stage="recover", target=target, steps=steps, changes=changes, impact=says, bindings=bindings)


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


def _rolling_back(left: Left, target: Json, stored: Release, revision: int) -> Plan:
    """Back to a revision; to the newest one: what is stored of it is put back where it is gone."""
    boundaries = left.boundaries
    to = boundaries.helm.status(boundaries.release, revision=revision)
    if to is None:
        raise refused("no release", release=boundaries.release, namespace=boundaries.namespace, verb="roll back")
    for each in (stored, to):
        passwords.learn(boundaries.redactor, each)
    live = boundaries.all_live([*objects_of(stored.manifest), *objects_of(to.manifest)])
    if revision != stored.revision and stands_in_the_way(stored, to, live, boundaries.namespace):
        made = plan_taking_back(boundaries, target, stored, to, live)
        return made.model_copy(update={"impact": (*made.impact, *_destroyed(left, stored, to))})
    namespace, shown = boundaries.namespace, known_in(boundaries, stored, to).redact
    there = [obj for obj in all_objects(stored) if live.get(key_of(obj, namespace), obj)]
    changes = difference(there, all_objects(to), namespace=namespace, shown=shown)
    if revision == stored.revision:
        changes = tuple(ObjectChange(action="add", name=name, detail=_STORED) for name in left.missing)
    chart = next(each.chart for each in left.history if each.revision == revision)
    impact = (
        f"Rolls release {boundaries.release} back from revision {stored.revision} to {revision} ({chart}): "
        f"{counts(changes)}.",
        *sentences.consequences(boundaries, there, objects_of(to.manifest)),
        *sentences.hooks(to, "rollback"),
        *map(shown, losses_of(boundaries, to, "rollback", stored).says()),
        *(_destroyed(left, stored, to) if revision != stored.revision else ()),
        *sentences.waivers(boundaries),
    )
    title = f"Roll back to revision {revision} with Helm"
    back = Step(kind="helm-rollback", title=title, data={"revision": revision})
    # As an upgrade that would remove them.
    going = claims.removed(boundaries, stored, to, live)
    besides = backup.around(boundaries, Losses("rollback", (), (), ()), claims.stores_in(boundaries, stored, going))
    after = backup.starting(backup.left_stopped(live), besides.after)
    steps = (lease_step(boundaries), *besides.before, back, *after, rollout_step(to))
    bindings = bound_to(boundaries, stored) | {"manifest": fingerprint(boundaries, to)}
    return Plan(stage="recover", target=target, steps=steps, changes=changes, impact=impact, bindings=bindings)


def _destroyed(left: Left, stored: Release, to: Release) -> Iterator[str]:
    """What does not come back by going back, and from where it does."""
    boundaries = left.boundaries
    if losses_of(boundaries, stored, "upgrade", to).found:
        copies = backup.made_by(boundaries, boundaries.last_change(stored.updated))
        named = f"recover.restore={copies}" if copies else "its backup in recover.restore"
        yield f"What the hooks of revision {stored.revision} may have destroyed does not come back by this: run 07 again with {named}."


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
        "Kept: what is in these databases now. One of PostgreSQL stays beside the restored one, named after it with before_ and this "
        "run's number; what a Redis or a MongoDB holds is copied, with proof, below backup.folder. Remove it when you are sure.",
    ]
    if chart != found.chart:
        impact.append(
            f"Another chart: the copies have the tables of {found.chart}, and {chart} must work with them; else go back to "
            f"revision {found.revision} as well (helm rollback)."
        )
    impact += sentences.waivers(boundaries)
    around = backup.stopping([store for store, _ in wanted])
    about = backup.named(store for store, _ in wanted)
    title = f"Restore {', '.join(about['databases'])} beside what is there, compare, and exchange them"
    restoring = Step(kind="restore", title=title, data=about | {"from": found.run})
    steps = (lease_step(boundaries), *around.before, restoring, *around.after, rollout_step(stored))
    copies = {"backup": digest_of(found.model_dump(mode="json")), "folder": place.name}
    bindings = bound_to(boundaries, stored) | copies
    return Plan(stage="recover", target=target, steps=steps, impact=tuple(impact), bindings=bindings)
