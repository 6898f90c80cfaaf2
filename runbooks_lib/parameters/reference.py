"""References: how a secret stands in a parameters file without being in it.

In ``values``, a mapping of the one key ``from`` stands for a secret: ``password: {from: "env:DB_PASSWORD"}``.
Syntax is checked here; :mod:`runbooks_lib.secrets` looks the values up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runbooks_lib.redaction import Redactor

Path = tuple[str | int, ...]

#: How to write one, in the words of every sentence that asks for it.
HOW = '{from: "env:NAME"}, {from: "file:PATH"} or {from: "k8s:NAMESPACE/NAME#KEY"}'

_ENV = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
_FILE = re.compile(r"file:(?P<name>[^\s].*)")
_K8S = re.compile(r"k8s:(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)#(?P<key>[-._A-Za-z0-9]+)")

_PASSWORD = re.compile(r"password|passwd", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: A key whose last word is one of these speaks about a password, but is none.
_ABOUT = frozenset({"name", "names", "key", "keys", "ref", "file", "path", "length", "policy", "enabled"})
_SECRET_KEYS = frozenset({("secret", "key"), ("private", "key"), ("api", "key")})


@dataclass(frozen=True)
class Reference:
    """One parsed reference.

    Attributes:
        text: As written, for example ``k8s:csghub/dataflow-postgresql#POSTGRES_PASSWORD``; no secret.
        name: The environment variable, the file's path, or the Secret's name.
        namespace: Of the Secret; empty for the others.
        key: In the Secret; empty for the others.
        path: Where it stands in the chart's values; empty when it was parsed on its own.
    """

    text: str
    scheme: Literal["env", "file", "k8s"]
    name: str
    namespace: str = ""
    key: str = ""
    path: Path = ()


def parse_reference(text: str, path: Path = ()) -> Reference:
    """Read a reference's text.

    Raises:
        ValueError: It is none; the message says how to write one, and does not repeat the text, which may
            be a secret that stands in the wrong place.
    """
    if found := _ENV.fullmatch(text):
        return Reference(text, "env", found["name"], path=path)
    if found := _FILE.fullmatch(text):
        return Reference(text, "file", found["name"], path=path)
    if found := _K8S.fullmatch(text):
        return Reference(text, "k8s", found["name"], found["namespace"], found["key"], path)
    raise ValueError(f"is not a reference; write {HOW}")


def is_reference(data: Any) -> bool:
    """Whether a value has a reference's shape: a mapping of the one key ``from`` with a text."""
    return isinstance(data, Mapping) and set(data) == {"from"} and isinstance(data["from"], str)


def references_in(data: Any, path: Path = ()) -> Iterator[Reference]:
    """The references in some chart values, in their order."""
    if is_reference(data):
        yield parse_reference(data["from"], path)
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from references_in(value, (*path, key))
    elif isinstance(data, list | tuple):
        for number, value in enumerate(data):
            yield from references_in(value, (*path, number))


def fill_references(data: Any, fill: Callable[[Reference], Any], path: Path = ()) -> Any:
    """A copy of some chart values in which ``fill`` has replaced each reference."""
    if is_reference(data):
        return fill(parse_reference(data["from"], path))
    if isinstance(data, Mapping):
        return {key: fill_references(value, fill, (*path, key)) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [fill_references(value, fill, (*path, number)) for number, value in enumerate(data)]
    return data


def names_a_secret(key: str) -> bool:
    """Whether a value under this key would be a secret itself, and not the name of one."""
    words = [word.lower() for word in _WORDS.findall(key)]
    if not words or "existing" in words or "pull" in words:
        return False
    if tuple(words[-2:]) in _SECRET_KEYS or words[-1] in {"secret", "token", "tokens"}:
        return True
    return bool(_PASSWORD.search(key)) and words[-1] not in _ABOUT


def secrets_in_clear(data: Any, path: Path = (), key: str = "") -> Iterator[tuple[Path, str]]:
    """What is wrong with some chart values, as pairs of a path and a sentence without the value."""
    if is_reference(data):
        try:
            parse_reference(data["from"])
        except ValueError as error:
            yield path, str(error)
    elif isinstance(data, Mapping):
        # The environment of a container: {name: DB_PASSWORD, value: …}
        named = data.get("name") if set(data) >= {"name", "value"} else None
        for inner, value in data.items():
            about = named if inner == "value" and isinstance(named, str) else str(inner)
            yield from secrets_in_clear(value, (*path, inner), about)
    elif isinstance(data, list | tuple):
        for number, value in enumerate(data):
            yield from secrets_in_clear(value, (*path, number), key)
    elif _is_clear(data, key):
        yield path, f"must not hold a secret in clear; write {HOW}"


def _is_clear(leaf: Any, key: str) -> bool:
    if isinstance(leaf, str):
        return bool(leaf) and (names_a_secret(key) or Redactor().redact(leaf) != leaf)
    is_number = isinstance(leaf, int | float) and not isinstance(leaf, bool)
    return is_number and bool(_PASSWORD.search(key)) and names_a_secret(key)
