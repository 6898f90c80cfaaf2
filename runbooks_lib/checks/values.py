"""Do the given values mean anything to this chart, and does the chart do what the deployment guide says?"""

import difflib
from collections.abc import Mapping
from typing import Any

from runbooks_lib.checks.catalogue import Answer, Moot
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import RunbookError
from runbooks_lib.helm.chart import ChartSource
from runbooks_lib.parameters import named_as
from runbooks_lib.parameters.documents import Path as Keys
from runbooks_lib.parameters.documents import at, dotted, leaves
from runbooks_lib.release.plan import fingerprint
from runbooks_lib.tables import table
from runbooks_lib.threads import at_once

_GUIDE: list[tuple[str, Any]] = [(path, default) for path, default in table(__package__, "guide.yaml")]
#: Given, they are tried though the chart has them: a service's own tag wins, and the others mean nothing without a setting.
_DOUBTFUL = {
    ("global", "image", "tag"),
    *(("global", "gateway", "service", "nodePorts", each) for each in ("http", "https")),
    ("global", "gateway", "tls", "secretName"),
}


def effect(subject: Subject) -> Answer:
    """The given values without which the chart renders the same."""
    if not subject.rendered:
        raise Moot("the chart could not be rendered, so there is nothing to compare with")
    proposal = subject.proposal
    chart = subject.boundaries.chart_source
    given = dict(leaves(proposal.values))
    suspects = [path for path in given if path in _DOUBTFUL or not chart.knows(path) or path[-1] not in chart.words]
    idle = _idle(subject, suspects)
    named = f"{proposal.chart.name} {proposal.chart.version}"
    if not idle:
        return Answer("pass", f"{len(given)} values, {len(suspects)} of them tried by leaving them out of {named}")
    return Answer("warn", "\n".join(_sentence(subject, chart, path, named) for path in idle))


def _idle(subject: Subject, suspects: list[Keys]) -> list[Keys]:
    """Those of some values without which the chart renders the same."""
    boundaries, proposal = subject.boundaries, subject.proposal
    wanted = fingerprint(boundaries, proposal.rendered)

    def same(*paths: Keys) -> bool:
        values = proposal.values
        for path in paths:
            values = without(values, path)
        try:
            return fingerprint(boundaries, subject.with_values(values).rendered) == wanted
        except RunbookError:
            # It can't be rendered without.
            return False

    if not suspects or same(*suspects):
        return suspects
    alone = at_once(same, suspects) if len(suspects) > 1 else [False]
    return [path for path, idle in zip(suspects, alone, strict=True) if idle]


def _sentence(subject: Subject, chart: ChartSource, path: Keys, named: str) -> str:
    known = [dotted(one) for one, _ in leaves(chart.defaults)]
    near = difflib.get_close_matches(dotted(path), [one for one in known if one != dotted(path)], n=1, cutoff=0.75)
    meant = f"; did you mean {near[0]}?" if near and not chart.knows(path) else ""
    return f"{named_as(subject.boundaries.parameters, path)} changes nothing in {named}{meant}"


def without(values: Mapping[Any, Any], path: Keys) -> dict[Any, Any]:
    """Some values but the one at a path."""
    rest = {key: value for key, value in values.items() if key != path[0]}
    inner = without(values[path[0]], path[1:]) if len(path) > 1 else {}
    # Nothing is left of a mapping that was made for this value.
    return {**rest, path[0]: inner} if inner else rest


def guide(subject: Subject) -> Answer:
    """Where the chart's defaults are not the guide's."""
    chart = subject.proposal.chart
    defaults = subject.boundaries.chart_source.defaults
    told = []
    for name, said in _GUIDE:
        has = at(defaults, tuple(name.split(".")))
        if has != said:
            # An empty mapping is the chart's way to leave it to another value.
            told.append(f"{name}: the guide says {said}, the chart has {'nothing' if has is None else has}")
    named = f"{chart.name} {chart.version}"
    if not told:
        return Answer("pass", f"{len(_GUIDE)} defaults of the guide are those of {named}")
    return Answer("pass", f"{named} wins where it differs from the guide: {'; '.join(told)}")
