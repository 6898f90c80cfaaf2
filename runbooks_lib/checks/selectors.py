"""Which labels a selector fits, as Kubernetes reads one."""

from collections.abc import Callable, Iterable, Mapping

from runbooks_lib.results import Json

_OPERATORS: dict[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: value is not None and int(value) > int(values[0]),
    "Lt": lambda value, values: value is not None and int(value) < int(values[0]),
}


def fulfils(labels: Mapping[str, str], expressions: Iterable[Json]) -> bool:
    """Whether labels fulfil all expressions (``key``, ``operator``, ``values``)."""
    return all(_OPERATORS[each["operator"]](labels.get(each["key"]), each.get("values") or []) for each in expressions)


def selects(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector fits; an empty one fits everything."""
    wanted = selector or {}
    exact = (wanted.get("matchLabels") or {}).items() <= labels.items()
    return exact and fulfils(labels, wanted.get("matchExpressions") or ())
