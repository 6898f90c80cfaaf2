"""What the parameters mean as values of the Helm chart, by the table in ``flags.yaml``."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import reduce
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic.alias_generators import to_camel, to_snake

from runbooks_lib.parameters import documents
from runbooks_lib.parameters.documents import Path
from runbooks_lib.parameters.model import FIELDS, Parameters
from runbooks_lib.parameters.places import resolve_path
from runbooks_lib.parameters.reference import Reference, fill_references, is_reference, secrets_in_clear
from runbooks_lib.parameters.section import Section
from runbooks_lib.tables import table

#: Key of the parameters, path of the chart's value, and the value that is left to the chart itself.
FLAGS: tuple[tuple[str, str, Any], ...] = tuple(map(tuple, table(__package__, "flags.yaml")))


def chart_values(parameters: Parameters) -> dict[str, Any]:
    """The values for Helm: the guide's flags, then the values files in their order, then ``values``.

    Mappings are merged, lists replaced; a secret is still its reference (see :func:`references`).

    Raises ParametersError: A values file can't be used, or holds a secret in clear.
    """
    chosen = [(path, _plain(attrgetter(key)(parameters)), unless) for key, path, unless in FLAGS]
    flags = [nested(tuple(path.split(".")), value) for path, value, unless in chosen if value != unless]
    return reduce(merge, [*flags, *(layer for _, layer in _layers(parameters))], {})


def _layers(parameters: Parameters) -> list[tuple[str, Mapping[str, Any]]]:
    """What wins over the flags, the strongest last, and how it is called."""
    files = [(f"{name}: ", _values_file(name)) for name in parameters.values_files]
    return [*files, ("values.", parameters.values)]


class Contradiction(NamedTuple):
    """A value of the chart that wins over what a key of the parameters says: both places, and what stands there."""

    place: str
    value: Any
    key: str
    said: Any

    def __str__(self) -> str:
        """As a clause."""
        # Nobody writes the key `built_in`: an external store is given, or not.
        store, _, own = self.key.rpartition(".")
        said = f"{store}.external is given" if own == "built_in" else f"{self.key} is {_shown(self.said)}"
        return f"{self.place} is {_shown(self.value)}, though {said}: the former wins"


def contradictions(parameters: Parameters) -> Iterator[Contradiction]:
    """Where ``values`` or a values file says otherwise than a key that the parameters name themselves.

    Raises ParametersError: A values file can't be used.
    """
    layers = _layers(parameters)
    for key, path, unless in FLAGS:
        for inner, said in _named(parameters, tuple(key.split(".")), unless):
            where = (*path.split("."), *map(to_camel, inner))
            found = [(place, value) for place, layer in layers for value in _at(layer, where)]
            if found and found[-1][1] != said:
                place, value = found[-1]
                yield Contradiction(f"{place}{'.'.join(where)}", value, ".".join((key, *inner)), said)


def _named(section: Any, steps: Path, unless: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is named below a key, as paths below it; nothing where a default stands for what nobody has named."""
    own = True
    for step in steps:
        # What is no field is worked out from others, and said by them when it is not the chart's own.
        own = step in type(section).model_fields
        if own and step not in section.model_fields_set:
            return
        section = getattr(section, str(step))
    if isinstance(section, Section):
        for name in sorted(section.model_fields_set):
            for inner, value in _named(section, (name,), None):
                yield (name, *inner), value
    elif (said := _plain(section)) not in ("", None, [], {}) and (own or said != unless):
        yield (), said


def _at(layer: Any, path: Path) -> Iterator[Any]:
    """The value at a path, or what stands above it in its way, if either is there."""
    for step in path:
        if not isinstance(layer, Mapping) or is_reference(layer):
            break
        if step not in layer:
            return
        layer = layer[step]
    yield layer


def _shown(value: Any) -> str:
    return (
        "something else" if isinstance(value, Mapping) and not is_reference(value) else json.dumps(value, default=str)
    )


def _plain(value: Any) -> Any:
    """A value as the chart takes it: of a section the keys that say something, in camel case."""
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, Section):
        return value
    inner = {to_camel(name): _plain(getattr(value, name)) for name in type(value).model_fields}
    return {name: one for name, one in inner.items() if one not in ("", None, [], {})}


def own_key(path: Path) -> str:
    """Our key for a value of the chart; empty where it has none."""
    rows = [(key, tuple(flag.split("."))) for key, flag, _ in FLAGS]
    fitting = (row for row in rows if path[: len(row[1])] == row[1])
    key, flag = max(fitting, key=lambda row: len(row[1]), default=("", ()))
    own = ".".join([key, *(to_snake(str(step)) for step in path[len(flag) :])])
    return own if tuple(own.split(".")) in FIELDS else ""


def named_as(parameters: Parameters, path: Path) -> str:
    """Where the parameters set a value of the chart: below ``values``, in a values file, or their own key with its path."""
    dotted, key = documents.dotted(path), own_key(path)
    places = [place for place, layer in _layers(parameters) if documents.at(layer, path) is not None]
    return f"{key} ({dotted})" if key and not places else f"{(places or ['values.'])[-1]}{dotted}"


def references(parameters: Parameters) -> tuple[Reference, ...]:
    """The references to secrets in :func:`chart_values`, in their order."""
    found: list[Reference] = []
    fill_references(chart_values(parameters), found.append)
    return tuple(found)


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A new mapping in which ``over`` wins, merged as Helm does; neither argument is changed nor shared.

    Lists are replaced. So is a reference as a whole, on either side: half of one would be none.
    """
    merged = deepcopy(dict(under))
    for key, value in over.items():
        both = (value, merged.get(key))
        if all(isinstance(one, Mapping) and not is_reference(one) for one in both):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = deepcopy(value)
    return merged


def nested(path: Path, value: Any) -> dict[str, Any]:
    """A value at a path: ``("a", "b")`` and 1 are ``{"a": {"b": 1}}``."""
    for step in reversed(path):
        value = {step: value}
    return dict(value)


def _values_file(name: str) -> dict[str, Any]:
    data, places = documents.read(resolve_path(name), name)
    documents.refuse(places, secrets_in_clear(data))
    return data
