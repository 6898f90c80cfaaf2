"""What a plan means, as sentences for people; :mod:`runbooks_lib.release.plan` puts them in their order."""

import re
from collections.abc import Callable, Iterable

from runbooks_lib.helm import Release
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.consequences import Sides, kinds, settings, volumes, ways
from runbooks_lib.release.consequences import workloads as workloads_of
from runbooks_lib.release.kinds import brought, definitions, versions
from runbooks_lib.release.leftovers import Leftovers
from runbooks_lib.release.manifest import annotation, hook_objects, images, key_of, objects_of, workloads
from runbooks_lib.release.owners import Standing
from runbooks_lib.release.passwords import Generated
from runbooks_lib.release.rendered import claims_of
from runbooks_lib.release.restoring import Restoring
from runbooks_lib.results import Json

_DATA_KINDS = ("PersistentVolumeClaim", "Secret")
#: What to do before a release goes that alone still knows a password.
_SAVE = "Save what `helm get manifest` shows of it first; afterwards nothing here knows it any more."


def waivers(boundaries: Boundaries) -> tuple[str, ...]:
    """What somebody has accepted."""
    listed = boundaries.parameters.waivers
    return tuple(f"Accepted until {each.until}, whatever it finds: {each.check} ({each.reason})." for each in listed)


def generated(passwords: Iterable[Generated]) -> tuple[str, ...]:
    """What becomes of passwords that the chart would make up."""
    return tuple(
        f"The chart would make up {made.key} from the minute of the install; the plan makes Secret {made.name} "
        "with a strong one first, and the chart adopts it."
        for made in passwords
    )


def standing(standing: Standing, rendered: Release) -> Iterable[str]:
    """What Helm does about objects of the release that are not as it left them."""
    if standing.missing:
        yield f"Missing in the cluster, and made again: {', '.join(standing.missing)}."
    stay = [str(key_of(obj)) for obj in objects_of(rendered.manifest)]
    if taken := standing.told(stay):
        yield f"TAKEN OVER from another release, which loses it: {taken}."
    if removed := standing.told(name for name in standing.foreign if name not in stay):
        yield f"REMOVED although it belongs to another release: {removed}."


def drift(restoring: Restoring, shown: Callable[[str], str]) -> Iterable[str]:
    """What was changed by hand, and what becomes of it."""
    for key, each in restoring.back:
        yield f"Drift: {key} {each.says(shown)}; the upgrade puts back {each.was(shown)}."
    for key, each in restoring.left:
        yield f"Stays: {key} {each.says(shown)}; the chart has no word about it, so Helm leaves it."


def hooks(release: Release, verb: str) -> Iterable[str]:
    """What Helm makes beside the manifest: by default it deletes what a hook made before."""
    when = re.compile(rf"(pre|post)-{verb}\b")
    made = [str(key_of(obj)) for obj in hook_objects(release) if when.search(annotation(obj, "helm.sh/hook"))]
    if made:
        yield f"Hooks make these anew, whether they are there or not: {', '.join(made)}."


def consequences(boundaries: Boundaries, old: Iterable[Json], new: Iterable[Json]) -> Iterable[str]:
    """What an upgrade means for what runs, what is stored, and how it is reached."""
    sides = Sides(old, new, boundaries.namespace)
    listed = boundaries.cluster.list("v1", "PersistentVolumeClaim", boundaries.namespace)
    yield from workloads_of(sides)
    yield from settings(sides)
    yield from volumes(sides, {claim["metadata"]["name"]: claim for claim in listed})
    yield from ways(sides)
    yield from kinds(sides)


def kinds_of(boundaries: Boundaries, rendered: Release, *, upgrade: bool) -> Iterable[str]:
    """What becomes of the kinds that a chart brings and needs."""
    objects, shipped = objects_of(rendered.manifest), brought(boundaries.chart_source, rendered.values)
    yield from definitions(boundaries, shipped, objects, upgrade=upgrade)
    yield from versions(boundaries, shipped, [*objects, *hook_objects(rendered)])


def data_there(boundaries: Boundaries, rendered: Release) -> list[str]:
    """The volume claims and the Secrets of a release to be that are there already."""
    objects = objects_of(rendered.manifest)
    made = [claim.made for claim in claims_of(objects) if claim.owner]
    live = boundaries.all_live([*made, *(obj for obj in objects if obj["kind"] in _DATA_KINDS)])
    return [str(key) for key, found in live.items() if found]


def claims(rendered: Release, there: list[str]) -> Iterable[str]:
    """Which volumes are made, and what is there already."""
    if made := [claim for claim in claims_of(objects_of(rendered.manifest)) if claim.owner]:
        yield f"Volume claims that StatefulSets make, and that an uninstall leaves: {len(made)}."
    if there:
        yield f"Takes over what an earlier release has left, with its data: {', '.join(there)}."


def leftovers(left: Leftovers) -> Iterable[str]:
    """What stays and why, what it loses, and what else belongs to the whole cluster."""
    reasons: dict[str, list[str]] = {}
    for change in left.changes:
        if change.action == "keep":
            reasons.setdefault("; ".join(change.detail), []).append(change.name)
    yield from (f"Stays, {reason}: {', '.join(names)}." for reason, names in reasons.items())
    if left.split:
        yield f"GOES WHILE ITS VOLUME STAYS, which opens with its password only: {', '.join(left.split)}. {_SAVE}"
    if left.gone:
        yield f"GONE ALREADY, though it should stay: {', '.join(left.gone)}. {_SAVE}"
    if left.cluster_scoped:
        yield f"Cluster-scoped and removed: {'; '.join(left.cluster_scoped)}."


def image_changes(old: Release, new: Release) -> list[str]:
    """The containers whose image changes."""

    def table(release: Release) -> dict[str, str]:
        return {
            f"{key_of(obj)} {container}": image
            for obj in workloads(release.manifest)
            for container, image in images(obj).items()
        }

    before, after = table(old), table(new)
    both = sorted({*before} & {*after})
    return [f"{name}: {before[name]} → {after[name]}" for name in both if before[name] != after[name]]
