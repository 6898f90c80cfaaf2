"""Plans: everything that install, upgrade and uninstall would do, before they do it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import runbooks_lib
from runbooks_lib.helm import ChartFile, Release
from runbooks_lib.release import backup, claims, passwords, sentences
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.impact import counts, difference, named, value_changes
from runbooks_lib.release.lease import name_of
from runbooks_lib.release.leftovers import leftovers_of
from runbooks_lib.release.losses import losses_of, tables_of
from runbooks_lib.release.manifest import ObjectKey, hook_objects, kept, key_of, objects_of, workloads
from runbooks_lib.release.owners import standing_of
from runbooks_lib.release.predicted import Sending, opinion
from runbooks_lib.release.removing import Removing, going_with_it, removing_of, removing_the_rest
from runbooks_lib.release.restoring import restoring_of
from runbooks_lib.release.stored import require_no_release, require_release
from runbooks_lib.release.values import given, known_in
from runbooks_lib.results import Json, Plan, Step, digest_of


@dataclass(frozen=True)
class Proposal:
    """What a chart would become with the given values on this cluster."""

    chart: ChartFile
    values: dict[str, Any]
    rendered: Release
    generated: tuple[passwords.Generated, ...]


def propose(boundaries: Boundaries, *, upgrade: bool) -> Proposal:
    """Render the chart against the cluster; secrets in it are known to the redactor afterwards."""
    chart = boundaries.chart
    values = given(boundaries)
    rendered = boundaries.helm.render(boundaries.release, chart, values, upgrade=upgrade)
    generated = passwords.generated(boundaries, rendered, values)
    passwords.learn(boundaries.redactor, rendered)
    return Proposal(chart, values, rendered, generated)


def contents(boundaries: Boundaries, values: dict[str, Any] | None = None) -> Proposal:
    """What the chart contains, rendered without the cluster: for checks only, where :func:`propose` is refused."""
    chart, values = boundaries.chart, given(boundaries) if values is None else values
    text = b"\n".join(boundaries.chart_source.files.values()).decode("utf-8", "replace")
    served = [one for one in boundaries.cluster.resources() if one.group and one.group in text]
    apis = sorted({api for one in served for api in (one.api_version, f"{one.api_version}/{one.kind}")})
    how: Json = {"version": boundaries.cluster.version(), "apis": apis}
    rendered = boundaries.helm.template(boundaries.release, chart, values, **how)
    passwords.learn(boundaries.redactor, rendered)
    return Proposal(chart, values, rendered, ())


def plan_install(boundaries: Boundaries) -> Plan:
    """The plan of a first install.

    Raises:
        CheckFailed: There is a release of this name already.
        TargetRefused: The cluster is not the pinned one.
    """
    target = boundaries.require_pin()
    require_no_release(boundaries)
    proposal = propose(boundaries, upgrade=False)
    namespace, shown = boundaries.namespace, known_in(boundaries, proposal.rendered).redact
    objects = objects_of(proposal.rendered.manifest)
    changes = difference([], all_objects(proposal.rendered), namespace=namespace, shown=shown)
    live = boundaries.all_live(objects)
    said = opinion(boundaries, Sending(boundaries, None, live), objects, shown=shown)
    there = sentences.data_there(boundaries, proposal.rendered)
    steps = [*_preparation(boundaries, proposal), *_change_steps("helm-install", proposal)]
    impact = (
        f"Installs {proposal.chart.name} {proposal.chart.version} as release {boundaries.release} in namespace {namespace}: "
        f"{counts(changes)}.",
        *sentences.hooks(proposal.rendered, "install"),
        *map(shown, losses_of(boundaries, proposal.rendered, "install", fresh=not there).says()),
        *sentences.generated(proposal.generated),
        *sentences.claims(proposal.rendered, there),
        *sentences.kinds_of(boundaries, proposal.rendered, upgrade=False),
        *said.impact,
        *sentences.waivers(boundaries),
    )
    bindings = _bindings(boundaries, proposal, live, stored=None)
    made: Json = {"steps": tuple(steps), "changes": changes, "impact": impact, "bindings": bindings}
    return Plan(stage="install", target=target, notes=said.notes, **made)


def plan_upgrade(boundaries: Boundaries) -> Plan:
    """The plan of an upgrade; without steps when nothing would change.

    Raises:
        CheckFailed: There is no release to upgrade.
        TargetRefused: The release is not in a state to be upgraded, or the cluster is not the pinned one.
    """
    target = boundaries.require_pin()
    # Each is a program that starts; at once, they take the time of one.
    with ThreadPoolExecutor() as pool:
        proposed = pool.submit(propose, boundaries, upgrade=True)
        listed = pool.submit(boundaries.helm.history, boundaries.release)
        stored = require_release(boundaries, "upgrade")
        proposal, last = proposed.result(), listed.result()[-1]
    passwords.learn(boundaries.redactor, stored)
    namespace, shown = boundaries.namespace, known_in(boundaries, stored, proposal.rendered).redact
    old, new = objects_of(stored.manifest), objects_of(proposal.rendered.manifest)
    live = boundaries.all_live([*new, *old])
    staying = {key for key, there in live.items() if there and kept(there)}
    sides = all_objects(stored), all_objects(proposal.rendered)
    changes = difference(*sides, namespace=namespace, shown=shown, staying=staying)
    bindings = _bindings(boundaries, proposal, live, stored=stored)
    bindings["from"] = last.chart
    chart = f"{proposal.chart.name}-{proposal.chart.version}"
    were = {key: live[key] for key in (key_of(obj, namespace) for obj in old)}
    standing = standing_of(boundaries, were)
    left = backup.left_stopped(were)
    restoring = restoring_of(boundaries, stored, proposal.rendered, backup.unstopped(were))
    drifts = tuple(sentences.drift(restoring, shown))
    whole = stored.status == "deployed" and not (standing.missing or standing.foreign or restoring.back or left)
    if last.chart == chart and whole and _same(stored, proposal, bindings):
        same = f"Nothing to do: revision {stored.revision} is {chart} with these values already."
        return Plan(stage="upgrade", target=target, impact=(same, *drifts), bindings=bindings)
    losses = losses_of(boundaries, proposal.rendered, "upgrade", stored)
    going = claims.removed(boundaries, stored, proposal.rendered, live)
    besides = backup.around(boundaries, losses, claims.stores_in(boundaries, stored, going))
    tables = tables_of(boundaries, losses)
    differing = {each.name for each in changes if each.action in ("add", "change")}
    asked = [obj for obj in new if named(key_of(obj, namespace), namespace) in differing]
    mended = {f"{key} {each.path}" for key, each in restoring.back if key in restoring.beside}
    said = opinion(boundaries, Sending(boundaries, stored, live), asked, mended=mended, shown=shown)
    now = f"revision {stored.revision}"
    tried = f"R{now[1:]} is {stored.status}: the differences are to what it tried, not to what runs."
    impact = (
        f"Upgrades release {boundaries.release} from {last.chart} ({now}) to {chart}: {counts(changes)}.",
        *(f"Image: {line}" for line in sentences.image_changes(stored, proposal.rendered)),
        *([tried] if stored.status != "deployed" else []),
        *sentences.standing(standing, proposal.rendered),
        *drifts,
        *value_changes(stored.values, proposal.values, shown),
        *sentences.consequences(boundaries, old, new),
        *sentences.kinds_of(boundaries, proposal.rendered, upgrade=True),
        *said.impact,
        *sentences.hooks(proposal.rendered, "upgrade"),
        *map(shown, losses.says()),
        *map(shown, tables.impact),
        *sentences.generated(proposal.generated),
        *sentences.waivers(boundaries),
    )
    after = backup.starting(left, besides.after)
    forced = stored.apply_method == "ssa" and bool(restoring.back or after)
    steps = (
        *_preparation(boundaries, proposal, besides.before),
        *_change_steps("helm-upgrade", proposal, forced=forced, after=(*restoring.steps, *after)),
    )
    if boundaries.parameters.policy.on_failure == "rollback":
        unsafe = bool(losses.found)
        told = "stays as it is, since a rollback would not be safe" if unsafe else f"is rolled back to {now}"
        impact = (*impact, f"If it fails once Helm has begun, it {told}; evidence is saved first.")
        bindings["back_to"] = 0 if unsafe or stored.status != "deployed" else stored.revision
    made: Json = {"steps": steps, "changes": changes, "impact": impact, "bindings": bindings}
    idle = (
        f"{kind} {name} runs no more: a run that did not end has stopped it (it had {had})." for kind, name, had in left
    )
    return Plan(stage="upgrade", target=target, notes=(*said.notes, *map(shown, tables.notes), *idle), **made)


def plan_uninstall(boundaries: Boundaries, *, keep_data: bool = False, stopped: Path | None = None) -> Plan:
    """The plan of an uninstall: what goes, and what stays and why; without steps where it is gone already.

    Args:
        keep_data: Whatever ``uninstall.policy`` says.
        stopped: The record of one that was stopped: of a release that is gone only that tells what was to go with it.

    Raises CheckFailed: What the policy asks for is missing.
    """
    target = boundaries.require_pin()
    stored = boundaries.helm.status(boundaries.release)
    if stored is None:
        return removing_the_rest(boundaries, target, stopped, lease_step(boundaries), conditions(boundaries))
    passwords.learn(boundaries.redactor, stored)
    all_left = leftovers_of(boundaries, stored)
    removed = [change for change in all_left.changes if change.action == "remove"]
    if keep_data:
        gone = (
            f"REMOVES DATA: {name}, with the release that it belongs to."
            for name in going_with_it(boundaries, all_left)
        )
        removing = Removing(all_left, says=tuple(gone))
    else:
        removing = removing_of(boundaries, stored, all_left)
    left, before, after, says = removing
    impact = (
        f"Removes release {boundaries.release} (revision {stored.revision}, {stored.status}) from namespace "
        f"{boundaries.namespace}: {counts(left.changes)}.",
        *sentences.hooks(stored, "delete"),
        *map(known_in(boundaries, stored).redact, losses_of(boundaries, stored, "delete").says()),
        *sentences.leftovers(left),
        *says,
        *sentences.waivers(boundaries),
    )
    names = {"objects": [change.name for change in removed]}
    steps = (
        lease_step(boundaries),
        *before,
        Step(kind="helm-uninstall", title=f"Remove the release and its {len(removed)} objects"),
        Step(kind="await-absence", title="Wait until they are gone", data=names),
        *after,
    )
    bindings = bound_to(boundaries, stored) | {"staying": list(left.staying), "passing": list(left.passing)}
    return Plan(stage="uninstall", target=target, steps=steps, changes=left.changes, impact=impact, bindings=bindings)


def fingerprint(boundaries: Boundaries, release: Release) -> str:
    """A digest of all objects and hooks of a release in which every secret is replaced by its name."""
    # In one order: another Helm may store the same ones in another.
    return digest_of(known_in(boundaries, release).redact_data(sorted(all_objects(release), key=key_of)))


def all_objects(release: Release) -> list[Json]:
    """What a release has, with what its hooks make."""
    return [*objects_of(release.manifest), *hook_objects(release)]


def _same(stored: Release, proposal: Proposal, bindings: Json) -> bool:
    if bindings["manifest"] != bindings["stored_manifest"]:
        return False
    # Compared as they are, not redacted: a changed password is a change.
    # And not as texts: another Helm writes the same objects in another way.
    mine, theirs = ({key_of(obj): obj for obj in objects_of(each.manifest)} for each in (stored, proposal.rendered))
    return stored.values == proposal.values and mine == theirs


def _preparation(boundaries: Boundaries, proposal: Proposal, before: Iterable[Step] = ()) -> Iterable[Step]:
    namespace = boundaries.namespace
    if boundaries.cluster.get("v1", "Namespace", namespace) is None:
        yield Step(kind="create-namespace", title=f"Create namespace {namespace}", data={"namespace": namespace})
    yield lease_step(boundaries)
    yield from before
    for name in dict.fromkeys(made.name for made in proposal.generated):
        keys = [made.key for made in proposal.generated if made.name == name]
        title = f"Create Secret {name} with a strong {', '.join(keys)}"
        yield Step(kind="create-secret", title=title, data={"name": name, "keys": keys})


def lease_step(boundaries: Boundaries) -> Step:
    """The first step of whatever changes a release that is there."""
    title = f"Hold the Lease {name_of(boundaries.release)}: no other run may change it now"
    return Step(kind="take-lease", title=title)


def _change_steps(
    kind: str, proposal: Proposal, *, forced: bool = False, after: tuple[Step, ...] = ()
) -> tuple[Step, ...]:
    verb = kind.removeprefix("helm-").capitalize()
    how = {"flags": " --force-conflicts"} if forced else {}
    change = Step(kind=kind, title=f"{verb} {proposal.chart.name} {proposal.chart.version} with Helm", data=how)
    return change, *after, rollout_step(proposal.rendered)


def rollout_step(release: Release) -> Step:
    """The last step: its workloads are really there."""
    names = [str(key_of(obj)) for obj in workloads(release.manifest)]
    return Step(
        kind="await-rollout", title=f"Wait until {len(names)} workloads are rolled out", data={"workloads": names}
    )


def conditions(boundaries: Boundaries) -> Json:
    """What every plan binds."""
    waivers = [waiver.model_dump(mode="json") for waiver in boundaries.parameters.waivers]
    versions = {"helm": boundaries.helm.version, "runbooks": runbooks_lib.__version__}
    return versions | {"notebook": boundaries.notebook, "waivers": waivers}


def bound_to(boundaries: Boundaries, stored: Release) -> Json:
    """What a plan binds that is about this revision, and no other installation of the same chart."""
    about = {"revision": stored.revision, "updated": stored.updated}
    return conditions(boundaries) | about | {"stored_manifest": fingerprint(boundaries, stored)}


def _version(live: Json) -> str:
    return "{uid}/{resourceVersion}".format_map({"uid": "", "resourceVersion": "", **live["metadata"]})


def _bindings(
    boundaries: Boundaries, proposal: Proposal, live: dict[ObjectKey, Json | None], *, stored: Release | None
) -> Json:
    chart = proposal.chart
    policy = boundaries.parameters.policy
    wanted = {key_of(obj, boundaries.namespace) for obj in objects_of(proposal.rendered.manifest)}
    secrets = {key: there for key, there in live.items() if key.kind == "Secret" and key in wanted}
    return conditions(boundaries) | {
        # What is in them is in no plan; that it is the same can be told all the same.
        "secrets": {key.name: _version(there) for key, there in secrets.items() if there},
        "chart": {"name": chart.name, "version": chart.version, "digest": chart.digest, "source": chart.source},
        "values": digest_of(known_in(boundaries, proposal.rendered).redact_data(proposal.values)),
        "manifest": fingerprint(boundaries, proposal.rendered),
        "revision": stored.revision if stored else 0,
        "updated": stored.updated if stored else "",
        "stored_manifest": fingerprint(boundaries, stored) if stored else "",
        "policy": policy.model_dump(mode="json"),
    }
