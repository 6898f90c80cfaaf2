"""The way from one version of a chart to another: where it should stop, and what each part of it means."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from runbooks_lib.errors import RunbookError
from runbooks_lib.helm import Release
from runbooks_lib.release import sentences
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.losses import losses_of
from runbooks_lib.release.plan import propose, require_release
from runbooks_lib.tables import table


class Known(NamedTuple):
    """A version that breaks something, as somebody has read it off."""

    version: str
    says: str
    source: str


#: By the chart's name.
_KNOWN: dict[str, list[dict[str, str]]] = table(__package__, "versions.yaml")


def way(boundaries: Boundaries) -> Iterator[str]:
    """What is known of the versions between the release as it is and the chart that is planned, and the way through them."""
    stored = require_release(boundaries, "upgrade")
    name, now = boundaries.helm.history(boundaries.release)[-1].chart_and_version
    planned = boundaries.chart
    passed = [known for known in _of(name) if _number(now) < _number(known.version) <= _number(planned.version)]
    if name != planned.name or not passed:
        return
    yield from (f"Known of {known.version}: {known.says} (by {known.source})." for known in passed)
    stops = [known.version for known in passed if known.version != planned.version]
    if not stops or not boundaries.parameters.chart.repository:
        return
    yield f"The way: {' → '.join((now, *stops, planned.version))}. This plan takes it in one jump; begin with chart.version {stops[0]} to stop there."
    before = stored
    for version, after in zip((*stops, planned.version), _rendered(boundaries, (*stops, planned.version)), strict=True):
        if isinstance(after, RunbookError):
            yield f"To {version}: can't be told, since it can't be rendered with these values: {after.summary}"
            return
        yield from (f"To {version}: {line}" for line in sentences.consequences(boundaries, before, after))
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


def _of(name: str) -> list[Known]:
    return [Known(**row) for row in _KNOWN.get(name, ())]


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0].partition("-")[0])))
