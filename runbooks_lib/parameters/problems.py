"""From pydantic's errors to one line each: file, line, dotted key, what is wrong, the nearest valid key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from runbooks_lib.parameters.documents import Document, dotted
from runbooks_lib.parameters.overrides import field_type
from runbooks_lib.parameters.secret_references import Path

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "text"),
    (list, "a list"),
    (dict, "a mapping"),
)

#: pydantic's error types that need no more than a fixed sentence.
_SENTENCES = {
    "missing": "is missing",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
}


class Places:
    """Where a path of the data was written: a line of the file, or an override."""

    def __init__(self, document: Document, overridden: Iterable[Path]) -> None:
        self._document = document
        self._overridden = list(overridden)

    def overrides(self, path: Path) -> bool:
        """Whether an override says what stands at a path, or a part of it."""
        return any(
            path[: len(override)] == override or override[: len(path)] == path
            for override in self._overridden
        )

    def line(self, path: Path, message: str) -> str:
        """One line about what is wrong at a path."""
        said = f"{dotted(path)} {message}"
        if self.overrides(path):
            return f"override {said}"
        here = path
        while here and self._document.line(here) is None:
            here = here[:-1]
        # The first line of the file says nothing about a whole section that is missing.
        where = f":{self._document.line(here)}" if here else ""
        return f"{self._document.shown}{where}: {said}"

    def typed(self, path: Path) -> str:
        """What was typed at a path of the file; empty for an override."""
        return "" if self.overrides(path) else self._document.text(path)


def lines(errors: Iterable[ErrorDetails], places: Places, model: type[BaseModel]) -> Iterator[str]:
    """One line for each of pydantic's errors."""
    for error in errors:
        path = tuple(error["loc"])
        yield places.line(path, _message(error, path, places, model))


def _message(error: ErrorDetails, path: Path, places: Places, model: type[BaseModel]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"is not a known key; {_nearest(path, model)}"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "literal_error":
        return _allowed(error)
    if kind == "greater_than":
        return f"must be more than {error['ctx']['gt']}"
    if kind == "string_type" and isinstance(error["input"], int | float):
        typed = places.typed(path) or str(error["input"])
        return f'is {_kind(error["input"])}, but must be text: quote it, {path[-1]}: "{typed}"'
    said = _SENTENCES.get(kind, error["msg"])
    return said if kind in {"missing", "string_too_short"} else f"{said}, not {_kind(error['input'])}"


def _kind(data: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(data, kind)), "nothing")


def _allowed(error: ErrorDetails) -> str:
    """The words that a key takes, and the one that was probably meant."""
    expected = str(error["ctx"]["expected"])
    given = repr(error["input"]) if isinstance(error["input"], str) else _kind(error["input"])
    near = difflib.get_close_matches(str(error["input"]), re.findall(r"'([^']*)'", expected), n=1)
    return f"must be {expected}, not {given}" + (f"; did you mean {near[0]}?" if near else "")


def _nearest(path: Path, model: type[BaseModel]) -> str:
    """Which key was probably meant: one of the same section, else one of that name anywhere."""
    section, name = path[:-1], str(path[-1])
    known = field_type(section, model) if section else model
    siblings = list(known.model_fields) if isinstance(known, type) and issubclass(known, BaseModel) else []
    near = difflib.get_close_matches(_plain(name), [_plain(one) for one in siblings], n=1, cutoff=0.7)
    if near:
        meant = next(one for one in siblings if _plain(one) == near[0])
        return f"did you mean {dotted((*section, meant))}?"
    everywhere = {_plain(str(one[-1])): one for one in reversed(list(_keys(model)))}
    far = difflib.get_close_matches(_plain(name), list(everywhere), n=1, cutoff=0.8)
    if far:
        return f"did you mean {dotted(everywhere[far[0]])}?"
    if not section:
        return "values of the chart itself go under values"
    return f"the keys here are {', '.join(siblings)}"


def _plain(name: str) -> str:
    """A key without case and underscores, so that externalUrl finds external_url."""
    return name.replace("_", "").replace("-", "").lower()


def _keys(model: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    for name, info in model.model_fields.items():
        yield (*above, name)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, (*above, name))
