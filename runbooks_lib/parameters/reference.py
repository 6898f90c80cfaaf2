"""How a secret stands in ``values`` without being in them: ``password: {from: "env:DB_PASSWORD"}``."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from runbooks_lib.parameters.documents import Path
from runbooks_lib.redaction import Redactor

#: How to write one, in the words of every sentence that asks for it.
HOW = '{from: "env:NAME"}, {from: "file:PATH"}, {from: "k8s:NAMESPACE/NAME#KEY"} or {from: "prompt:NAME"}'

_SCHEMES = {
    "env": re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)"),
    "file": re.compile(r"(?P<name>\S.*)"),
    "prompt": re.compile(r"(?P<name>\S.*)"),
    "k8s": re.compile(r"(?P<namespace>[a-z0-9.-]+)/(?P<name>[a-z0-9.-]+)#(?P<key>[-._A-Za-z0-9]+)"),
}
#: Keys whose value would be a secret itself, and not the name of one.
_SECRET_KEY = re.compile(
    r"(?i)(passw(or)?ds?|passphrase|(?-i:(^|[_-])pass|[a-z0-9]Pass|PASS)|(^|_)pwd|token|(?<!existing)credentials?|(?<!existing)(?<!pull)secret|"
    r"(secret|private|access|api)_?key(_?base)?|dockerconfigjson|^auth)_?$"
)
#: A text with a secret in it, which is no reference to a variable or another place.
_SECRET_TEXT = re.compile(
    r"(?i)((^|[^a-z])(pass(word|wd|phrase)?|pwd|(access_?|api_?)?token|secret|api_?key)\s*=\s*|\bbearer\s+)(?![$<{(‹%]|\s|=)\S{3,}"
)


@dataclass(frozen=True)
class Reference:
    """One parsed reference: its ``text``, and the name of the variable, path of the file, Secret or question it means."""

    text: str
    scheme: str
    name: str
    namespace: str = ""
    key: str = ""


def parse_reference(text: str) -> Reference:
    """Read a reference's text.

    Raises ValueError: It is none; the message does not repeat it, which may be a secret in the wrong place.
    """
    scheme, _, rest = text.partition(":")
    found = _SCHEMES[scheme].fullmatch(rest) if scheme in _SCHEMES else None
    if found is None:
        raise ValueError(f"is not a reference; write {HOW}")
    return Reference(text, scheme, **found.groupdict())


def is_reference(data: Any) -> bool:
    """Whether a value has a reference's shape: a mapping of the one key ``from`` with a text."""
    return isinstance(data, Mapping) and set(data) == {"from"} and isinstance(data["from"], str)


def no_reference(data: Any) -> str:
    """What is wrong with a value that is not a reference where one must be; does not repeat it."""
    if key := _misnamed(data):
        return f"must have the key from, not {key}; write {HOW}"
    return f"must not hold a secret in clear; write {HOW}"


def _misnamed(data: Any) -> str:
    """Under which other key than ``from`` a reference stands; empty: there is none."""
    if isinstance(data, Mapping) and len(data) == 1:
        ((key, text),) = data.items()
        with suppress(ValueError):
            return str(key) if parse_reference(str(text)) else ""
    return ""


def fill_references(data: Any, fill: Callable[[Reference], Any]) -> Any:
    """A copy of some chart values in which ``fill`` has replaced each reference."""
    if is_reference(data):
        return fill(parse_reference(data["from"]))
    if isinstance(data, Mapping):
        return {key: fill_references(value, fill) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [fill_references(value, fill) for value in data]
    return data


def secrets_in_clear(data: Any, path: Path = (), key: str = "") -> Iterator[tuple[Path, str]]:
    """What is wrong with some chart values, as pairs of a path and a sentence without the value.

    Args:
        key: The name that says what kind of value it is.
    """
    if is_reference(data):
        try:
            parse_reference(data["from"])
        except ValueError as error:
            yield path, str(error)
    elif _SECRET_KEY.search(key) and _misnamed(data):
        yield path, no_reference(data)
    elif isinstance(data, Mapping):
        for step, value in data.items():
            # As Kubernetes writes an environment variable, its name stands beside it; below a name it is meant by that.
            named = str(data.get("name") or key) if step == "value" else str(step)
            yield from secrets_in_clear(value, (*path, step), named)
    elif isinstance(data, list | tuple):
        for step, value in enumerate(data):
            yield from secrets_in_clear(value, (*path, step), key)
    elif path and _is_clear(data, key):
        yield path, no_reference(data)


def _is_clear(leaf: Any, key: str) -> bool:
    text = str(leaf) if isinstance(leaf, str | int) and not isinstance(leaf, bool) else ""
    return bool(text) and (_SECRET_KEY.search(key) is not None or shows_secret(text))


def shows_secret(text: str) -> bool:
    """Whether a text looks as if a secret stood in it."""
    return _SECRET_TEXT.search(text) is not None or Redactor().redact(text) != text
