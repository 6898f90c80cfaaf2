"""Do the given values mean anything to this chart, and does the chart do what the deployment guide says?"""

import difflib
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from runbooks_lib.checks.catalogue import Answer, Moot
from runbooks_lib.checks.prerequisites import Subject
from runbooks_lib.errors import RunbookError
from runbooks_lib.helm.chart import ChartSource
from runbooks_lib.parameters import named_as, references
from runbooks_lib.parameters.documents import Path as Keys
from runbooks_lib.parameters.documents import at, dotted, leaves
from runbooks_lib.release.plan import contents, fingerprint
from runbooks_lib.release.values import given
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
    asked = dict(leaves(proposal.values))
    suspects = [path for path in asked if path in _DOUBTFUL or not chart.knows(path) or path[-1] not in chart.words]
    others = [path for path, value in asked.items() if path not in suspects and value != at(chart.defaults, path)]
    nothing = {*_idle(subject, suspects), *_idle_sections(subject, others)}
    idle = [path for path in asked if path in nothing]
    named = f"{proposal.chart.name} {proposal.chart.version}"
    if not idle:
        tried = f"{len(suspects)} of them tried one by one, {len(others)} by sections, by leaving them out of {named}"
        return Answer("pass", f"{len(asked)} values, {tried}")
    return Answer("warn", "\n".join(_sentence(subject, chart, path, named) for path in idle))


def _idle(subject: Subject, suspects: list[Keys]) -> list[Keys]:
    """Those of some values without which the chart renders the same."""
    boundaries, proposal = subject.boundaries, subject.proposal
    wanted = fingerprint(boundaries, proposal.rendered)

    def same(*paths: Keys) -> bool:
        try:
            return fingerprint(boundaries, subject.with_values(_without_all(proposal.values, paths)).rendered) == wanted
        except RunbookError:
            # It can't be rendered without.
            return False

    if not suspects or same(*suspects):
        return suspects
    alone = at_once(same, suspects) if len(suspects) > 1 else [False]
    return [path for path, idle in zip(suspects, alone, strict=True) if idle]


def _idle_sections(subject: Subject, known: list[Keys]) -> list[Keys]:
    """Those of some values of a section, all of which the chart knows, without any of which it renders the same.

    A chart may go on with the values of a component that it has no more. Whole sections are tried, without the cluster, which
    is soon done; what then seems to be idle is tried with other values, since a given one may do what the default does, and as
    it would be applied.
    """
    boundaries, values = subject.boundaries, subject.proposal.values
    sections: dict[Keys, list[Keys]] = {}
    for path in known:
        sections.setdefault(path[: 2 if path[0] == "global" else 1], []).append(path)

    def printed(these: dict[Any, Any]) -> str:
        return fingerprint(boundaries, contents(boundaries, these).rendered)

    def same(paths: list[Keys]) -> bool:
        try:
            return printed(_without_all(values, paths)) == wanted == printed(reduce(_with_another, paths, values))
        except RunbookError:
            return False

    try:
        wanted = printed(values)
    except RunbookError:
        # It asks the cluster for what it must have.
        return []
    groups = list(sections.values())
    seeming = [paths for paths, idle in zip(groups, at_once(same, groups), strict=True) if idle]
    return [path for paths in seeming if _idle(subject, paths) == paths for path in paths]


def _with_another(values: Mapping[Any, Any], path: Keys) -> dict[Any, Any]:
    """Some values with another one at a path, of the same kind."""
    first, *rest = path
    here = values[first]
    if rest:
        return {**values, first: _with_another(here, tuple(rest))}
    if isinstance(here, bool):
        return {**values, first: not here}
    if isinstance(here, int | float):
        return {**values, first: here + 1}
    return {**values, first: (f"1{here}" if here[:1].isdigit() else f"{here}x") if isinstance(here, str) else here}


def _without_all(values: Mapping[Any, Any], paths: Iterable[Keys]) -> dict[Any, Any]:
    return reduce(without, paths, dict(values))


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


def searchable(subject: Subject) -> Answer:
    """Whether the secrets given by reference are such that records can be searched for them."""
    boundaries = subject.boundaries
    given(boundaries)
    named = {reference.text for reference in references(boundaries.parameters)}
    if not named:
        return Answer("skip", "the values refer to no secret")
    if weak := [name for name in boundaries.redactor.too_weak if name in named]:
        return Answer("warn", f"too short, or a plain word: {', '.join(weak)}")
    return Answer("pass", f"{len(named)} secrets, each long enough")


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
