"""Overrides: what a command line or a notebook changes about a parameters file.

``verify.expect=absent`` on a command line, ``{"verify.expect": "absent"}`` or nested mappings in a notebook.
Texts are typed as YAML types them, except where that would lose what was typed: a field that holds text keeps
it (``chart.version=1.30``), and under ``values`` so does a number that would be spelt differently (``007``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from runbooks_lib.errors import ParametersError
from runbooks_lib.parameters import documents
from runbooks_lib.parameters.merging import merge
from runbooks_lib.parameters.secret_references import Path

Overrides = Mapping[str, Any] | Iterable[str] | str

_NEXT = 'Write an override as key=value, for example "verify.expect=absent".'
#: A dot that is no part of a key; `\.` is, as with Helm's own --set.
_DOT = re.compile(r"(?<!\\)\.")


def parse(overrides: Overrides, model: type[BaseModel]) -> dict[str, Any]:
    """The overrides as nested data; a later one wins.

    Raises:
        ParametersError: One has no ``=``, an empty key, an index, or a value that is malformed YAML.
    """
    data: dict[str, Any] = {}
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            data = merge(data, _nest(_path(str(key)), _undotted(value)))
        return data
    for text in [overrides] if isinstance(overrides, str) else overrides:
        if not isinstance(text, str):
            raise ParametersError(f"An override must be text, not {type(text).__name__}.", next_step=_NEXT)
        if text:
            data = merge(data, _one(text, model))
    return data


def paths(data: Mapping[str, Any], above: Path = ()) -> list[Path]:
    """The paths of all leaves that overrides set."""
    found: list[Path] = []
    for key, value in data.items():
        path = (*above, key)
        found += paths(value, path) if isinstance(value, Mapping) and value else [path]
    return found


def field_type(path: Path, model: type[BaseModel]) -> Any:
    """The annotation of the field at a path; ``None`` when the path leads to no field of the model."""
    kind: Any = model
    for step in path:
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)) or step not in kind.model_fields:
            return None
        kind = kind.model_fields[str(step)].annotation
    return kind


def _one(text: str, model: type[BaseModel]) -> dict[str, Any]:
    key, sign, value = text.partition("=")
    # An override without `=` may be a secret that was typed into the wrong place: it is not repeated.
    if not sign:
        raise ParametersError("An override has no '=' between its key and its value.", next_step=_NEXT)
    path = _path(key)
    kind = field_type(path, model)
    if kind is str or (get_origin(kind) is Literal and all(isinstance(one, str) for one in get_args(kind))):
        return _nest(path, value)
    try:
        return _nest(path, _typed(value))
    except ValueError as error:
        raise ParametersError(f"override {key}: the value {error}.", next_step=_NEXT) from error


def _typed(text: str) -> Any:
    if not text:
        return ""
    if text[0] in "[{\"'":
        return documents.flow(text)
    value = documents.scalar(text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_number and str(value) != text else value


def _path(key: str) -> Path:
    steps = tuple(step.replace("\\.", ".") for step in _DOT.split(key.strip()))
    if not all(steps):
        raise ParametersError(f"The override {key!r} has an empty key.", next_step=_NEXT)
    if any(re.search(r"\[\d+\]$", step) for step in steps):
        raise ParametersError(
            f"The override {key!r} names an item of a list; a list is replaced as a whole.",
            next_step='Write the whole list: "values.key=[first, second]".',
        )
    return steps


def _nest(path: Path, value: Any) -> dict[str, Any]:
    for step in reversed(path):
        value = {step: value}
    return dict(value)


def _undotted(value: Any) -> Any:
    """A plain copy; inside a nested mapping a key is a key, dots and all."""
    if isinstance(value, Mapping):
        return {str(key): _undotted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_undotted(inner) for inner in value]
    return value
