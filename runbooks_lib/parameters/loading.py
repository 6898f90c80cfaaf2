"""Reading a parameters file: everything that is wrong with it is said at once."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from pathlib import Path as FilePath
from typing import Any, Literal, get_origin

import yaml
from pydantic import ValidationError

from runbooks_lib.errors import ParametersError, refused
from runbooks_lib.parameters import documents
from runbooks_lib.parameters.documents import Path, dotted
from runbooks_lib.parameters.helm_values import chart_values, merge, nested
from runbooks_lib.parameters.model import FIELDS, Parameters, Waiver
from runbooks_lib.parameters.places import resolve_path
from runbooks_lib.parameters.reference import secrets_in_clear, shows_secret
from runbooks_lib.tables import table

Overrides = Mapping[str, Any] | Iterable[str] | str

_HOW = 'Write key=value, for example "verify.expect=absent"; a list is replaced as a whole.'

#: The keys that can be meant, those of a list's entries too.
_KEYS = (*FIELDS, *(("waivers", name) for name in Waiver.model_fields))

#: Names with dots between.
_KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_][-\w]*)+", re.ASCII)

#: What no name, path or address has in it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: Where pydantic's own words are not a user's, by its type of error.
_SENTENCES: dict[str, str] = table(__package__, "sentences.yaml")


def load(path: str | FilePath, overrides: Overrides = ()) -> Parameters:
    """Read a parameters file.

    Args:
        path: The file; a relative path starts at the project's folder.
        overrides: ``{"verify.expect": "absent"}`` (dotted or nested keys), ``["verify.expect=absent"]``, or
            one such text; each wins over the file. ``1.30`` stays text for a key that holds text.

    Raises ParametersError: The file, an override or a values file can't be used; one line for each problem.
    """
    data, places = documents.read(resolve_path(path), str(path), ours=True)
    chosen = list(parse(overrides))
    data = reduce(merge, (nested(*pair) for pair in chosen), data)
    overridden = {where[:length]: where for where, _ in chosen for length in range(1, len(where))}
    mixed = {one: f"{documents.nearest(places, one)}, with override {dotted(by)}" for one, by in overridden.items()}
    places = {**places, **mixed, **{where: documents.OVERRIDE for where, _ in chosen}}
    documents.refuse(places, _problems(data))
    parameters = Parameters.model_validate(data)
    parameters._source = str(path)
    # A values file that can't be used is told here, before any stage has begun.
    chart_values(parameters)
    return parameters


def dump(parameters: Parameters) -> dict[str, Any]:
    """The parameters as plain data that may be archived: references stay references."""
    return parameters.model_dump(mode="json")


def require_unchanged(read: Parameters, overrides: Overrides) -> None:
    """Raise UsageError where the file says something else by now than what was read of it."""
    if dump(load(read.source, overrides)) != dump(read):
        raise refused("parameters changed", source=read.source)


def parse(overrides: Overrides) -> Iterator[tuple[Path, Any]]:
    """The paths that overrides set, and to what; see :func:`load`."""
    if isinstance(overrides, str):
        overrides = [overrides]
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(_pair, filter(None, overrides))
    for key, value in pairs:
        path = tuple(key.split("."))
        if "[" in key or "" in path:
            raise ParametersError(f"The override {key!r} is no key: names with dots between.", next_step=_HOW)
        yield path, value


def _pair(override: str) -> tuple[str, Any]:
    key, sign, text = str(override).partition("=")
    if not sign:
        # It may be a secret that was typed into the wrong place: only what begins as a key of ours is repeated.
        which = (
            f"The override {key!r}" if re.fullmatch(_KEY, key) and (key.partition(".")[0],) in FIELDS else "An override"
        )
        raise ParametersError(f"{which} has no '=' between its key and its value.", next_step=_HOW)
    kind = FIELDS.get(tuple(key.split(".")))
    try:
        return key, text if kind is str or get_origin(kind) is Literal else documents.typed(text)
    except (yaml.YAMLError, ValueError) as error:
        said = f"override {key}: the value is not well-formed YAML."
        raise ParametersError(said, next_step=_HOW) from error


def _problems(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    refused = []
    try:
        Parameters.model_validate(data)
    except ValidationError as invalid:
        for error in invalid.errors():
            said = re.sub(r"^\w+ should", "must", error["msg"]).removeprefix("Value error, ")
            if error["type"] == "extra_forbidden":
                said = f"is not a known key{_nearest(error['loc'])}"
            if error["type"].endswith("_type") and error["input"] is None:
                said = _SENTENCES["missing"]
            elif error["type"] == "string_type" and isinstance(error["input"], list | dict):
                said = "must be text, and one alone"
            else:
                said = _SENTENCES.get(error["type"], said)
            refused.append(error["loc"])
            yield error["loc"], said
    yield from secrets_in_clear(data.get("values"), ("values",))
    for path, text in _texts({key: value for key, value in data.items() if key != "values"}):
        if any(path[: len(one)] == one for one in refused):
            continue
        if _CONTROL.search(text):
            yield path, "holds a control character"
        elif shows_secret(text):
            yield path, "must not hold a secret in clear"


def _texts(data: Any, above: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text, by its path."""
    if isinstance(data, str):
        yield above, data
    elif isinstance(data, Mapping | list):
        for step, value in data.items() if isinstance(data, Mapping) else enumerate(data):
            yield from _texts(value, (*above, step))


def _nearest(path: Path) -> str:
    """The known key that was meant: one of the same section that is like it, else one as a whole or in its last word."""

    def alike(known: Path) -> tuple[float, float]:
        last, whole = (str(path[-1]), str(known[-1])), (dotted(path), dotted(known))
        return difflib.SequenceMatcher(None, *last).ratio(), difflib.SequenceMatcher(None, *whole).ratio()

    section = [step for step in path[:-1] if isinstance(step, str)]
    beside = [known for known in _KEYS if [*known[:-1]] == section]
    meant = max(beside, key=lambda known: alike(known)[0], default=())
    if meant and alike(meant)[0] >= 0.6:
        return f"; did you mean {dotted((*path[:-1], meant[-1]))}?"
    best = max(FIELDS, key=lambda known: sum(alike(known)))
    last, whole = alike(best)
    return f"; did you mean {dotted(best)}?" if last >= 0.6 or whole >= 0.5 else ""
