"""The kinds that a chart brings and needs: definitions in its ``crds/``, which Helm never upgrades, and versions that are served no longer."""

from collections.abc import Iterable, Iterator

from runbooks_lib.cluster import Forbidden
from runbooks_lib.helm.chart import ChartSource
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.drift import drift_of
from runbooks_lib.release.manifest import ObjectKey, key_of, objects_of
from runbooks_lib.results import Json
from runbooks_lib.tables import table
from runbooks_lib.threads import at_once

_DEFINITION = "CustomResourceDefinition"
_ENDED: dict[str, Json] = table(__package__, "kinds.yaml")
_FIRST = "`helm show crds CHART | kubectl apply --server-side -f -`"


def brought(source: ChartSource, values: Json) -> list[Json]:
    """The definitions that Helm makes before everything else at an install, if it finds none of these names."""
    return [obj for text in source.crds(values) for obj in objects_of(text) if obj["kind"] == _DEFINITION]


def by_kind(source: ChartSource, values: Json) -> dict[tuple[str, str], Json]:
    """The same by the group and kind that each defines."""
    return {(each["spec"]["group"], each["spec"]["names"]["kind"]): each for each in brought(source, values)}


def definitions(
    boundaries: Boundaries, shipped: list[Json], rendered: Iterable[Json], *, upgrade: bool
) -> Iterator[str]:
    """What becomes of the definitions of kinds.

    Args:
        shipped: Those that Helm makes, but neither changes nor removes.
        rendered: The objects of the manifest; of definitions among them Helm takes care.
    """
    wanted = [*shipped, *(obj for obj in rendered if obj["kind"] == _DEFINITION)]
    try:
        found = list(zip(wanted, at_once(boundaries.live, wanted), strict=True))
    except Forbidden:
        yield f"What the cluster has of these definitions may not be read: {', '.join(map(_name, wanted))}."
        return
    ships = found[: len(shipped)]
    if new := ", ".join(_name(obj) for obj, live in ships if live is None):
        if upgrade:
            yield f"NOT MADE by Helm, which makes the definitions of crds/ at an install only: {new}. Make them first: {_FIRST}."
        else:
            yield f"Makes definitions of kinds first, which an uninstall leaves: {new}."
    for obj, there in ((obj, live) for obj, live in ships if live and _differ(obj, live)):
        before, after = (", ".join(_versions(each)) for each in (there, obj))
        told = f"; its versions are {before}, the chart's {after}" if before != after else ""
        yield f"Helm does not upgrade CRDs: {_name(obj)} on the cluster differs from the chart's{told}. By hand: {_FIRST}."
    for obj, live in found:
        stored = ((live or {}).get("status") or {}).get("storedVersions") or ()
        if gone := ", ".join(version for version in stored if version not in _versions(obj)):
            yield (
                f"STORED VERSION GOES: the chart's {_name(obj)} has no {gone} any more, in which objects are stored; "
                "the server refuses such a definition until they are migrated."
            )


def versions(boundaries: Boundaries, shipped: list[Json], objects: Iterable[Json]) -> Iterator[str]:
    """Which objects are of a version of the API that this cluster does not serve, or that the next Kubernetes does not."""
    rendered = list(objects)
    own = {obj["spec"]["names"]["kind"] for obj in (*shipped, *rendered) if obj["kind"] == _DEFINITION}
    now = boundaries.cluster.version()
    major, minor = (int("".join(filter(str.isdigit, part))) for part in now.removeprefix("v").split(".")[:2])
    used: dict[tuple[str, str], list[ObjectKey]] = {}
    for obj in rendered:
        used.setdefault((obj["apiVersion"], obj["kind"]), []).append(key_of(obj))
    for (version, kind), keys in used.items():
        row = _ENDED.get(version, {})
        ended = f"removed in Kubernetes {row['gone']}; write {row['instead']}" if kind in row.get("kinds", ()) else ""
        names = ", ".join(key.name for key in keys)
        if kind not in own and boundaries.cluster.resource(version, kind) is None:
            why = f" It was {ended}." if ended else ""
            yield f"NOT SERVED by this cluster, so that Helm would fail: {version} {kind} ({names}).{why}"
        elif ended and row["gone"] == f"{major}.{minor + 1}":
            yield f"ENDS with the next Kubernetes: {version} {kind} ({names}) is {ended}. This cluster is {now}."


def _differ(definition: Json, live: Json) -> bool:
    """Whether a definition is another one than that on the cluster, also where that says more of its objects."""
    said = [{"name": each["name"], "schema": each.get("schema")} for each in live["spec"].get("versions") or ()]
    there = {"kind": _DEFINITION, "spec": {"versions": said}}
    return bool(drift_of({**definition, "metadata": {}}, live) or drift_of(there, definition))


def _name(definition: Json) -> str:
    return str(definition["metadata"]["name"])


def _versions(definition: Json) -> list[str]:
    return [str(each["name"]) for each in definition["spec"].get("versions") or ()]
