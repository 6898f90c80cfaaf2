"""The way from one version of a chart to another: where it should stop, and what each part of it means."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from runbooks_lib.errors import RunbookError
from runbooks_lib.helm import Release, Revision
from runbooks_lib.release import sentences
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.losses import losses_of
from runbooks_lib.release.manifest import objects_of
from runbooks_lib.release.plan import propose
from runbooks_lib.release.stored import require_release
from runbooks_lib.results import Plan
from runbooks_lib.tables import table


class Known(NamedTuple):
    """A version that breaks something, as somebody has read it off."""

    version: str
    says: str
    source: str


#: By the chart's name.
_KNOWN: dict[str, list[dict[str, str]]] = table(__package__, "versions.yaml")


def way(boundaries: Boundaries, plan: Plan) -> Iterator[str]:
    """What is known of the versions between the chart that a plan comes from and the one it goes to, and the way through them."""
    chart = Revision(revision=0, status="", chart=plan.bindings["from"])
    (name, now), planned = chart.chart_and_version, plan.bindings["chart"]
    known = [Known(**row) for row in _KNOWN.get(name, ())]
    passed = [each for each in known if _number(now) < _number(each.version) <= _number(planned["version"])]
    if name != planned["name"] or not passed:
        return
    yield from (f"Known of {each.version}: {each.says} (by {each.source})." for each in passed)
    stops = [each.version for each in passed if each.version != planned["version"]]
    if not stops or not boundaries.parameters.chart.repository:
        return
    versions = (*stops, planned["version"])
    yield f"The way: {' → '.join((now, *versions))}. This plan takes it in one jump; begin with chart.version {stops[0]} to stop there."
    before = require_release(boundaries, "upgrade")
    for version, after in zip(versions, _rendered(boundaries, versions), strict=True):
        if isinstance(after, RunbookError):
            yield f"To {version}: can't be told, since it can't be rendered with these values: {after.summary}"
            return
        sides = objects_of(before.manifest), objects_of(after.manifest)
        yield from (f"To {version}: {line}" for line in sentences.consequences(boundaries, *sides))
        yield from (
            f"To {version}: {boundaries.redactor.redact(line)}"
            for line in losses_of(boundaries, after, "upgrade", before).says()
        )
        before = after


def _rendered(boundaries: Boundaries, versions: tuple[str, ...]) -> Iterator[Release | RunbookError]:
    for version in versions:
        settings = boundaries.parameters
        there = settings.model_copy(update={"chart": settings.chart.model_copy(update={"version": version})})
        try:
            yield propose(replace(boundaries, parameters=there), upgrade=True).rendered
        except RunbookError as error:
            yield error


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0].partition("-")[0])))
