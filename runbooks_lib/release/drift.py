"""What of a live object is other than in the manifest that Helm stored; pure, and no secret is in it."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from runbooks_lib.cluster.quantities import thousandths
from runbooks_lib.release.manifest import ObjectKey, key_of
from runbooks_lib.results import Json
from runbooks_lib.tables import table

_TABLE: Json = table(__package__, "drift.yaml")
#: Characters of a value that are shown.
_LONGEST = 120
#: What a release is written on by whoever runs Helm.
_OWNER = "f:meta.helm.sh/release-name"
_ABSENT = object()


class Drift(NamedTuple):
    """One field that is other than the manifest says.

    Attributes:
        path: As people write it, ``spec.template.spec.containers[web].image``.
        stored: What the manifest has; of what may be a secret nothing.
        live: What is there; of what may be a secret nothing.
        manager: Who has written it, where that can be told.
        time: Since when.
        added: The manifest has no word about it, so that Helm leaves it.
    """

    path: str
    stored: str
    live: str
    manager: str
    time: str
    added: bool = False

    def says(self, shown: Callable[[str], str]) -> str:
        """What is there, who wrote it and since when, as far as that is known; ``shown`` takes secrets out."""
        what = "was added" if self.added else f"is {_cut(self.live, shown)}" if self.live else "is not as it was stored"
        by = f", by {self.manager}" if self.manager else ""
        return f"{self.path} {what}{by}{f' since {self.time}' if by and self.time else ''}"

    def was(self, shown: Callable[[str], str]) -> str:
        """What the manifest has, for people."""
        return _cut(self.stored, shown) or "what was stored"


class _Writer(NamedTuple):
    """A manager's part of the fields below one place."""

    manager: str
    time: str
    fields: Json


def drift_of(rendered: Json, live: Json) -> list[Drift]:
    """The fields of the rendered object that are others in the live one, and what was added to its containers.

    What the same hand has written that writes for Helm is what the server made of the manifest, and no drift.
    """
    managed = (live.get("metadata") or {}).get("managedFields") or ()
    writers = [
        _Writer(str(each.get("manager", "")), str(each.get("time", "")), each.get("fieldsV1") or {})
        for each in managed
        if each.get("subresource") != "status"
    ]
    helm = {each.manager for each in writers if _OWNER in _below(_below(each.fields, "f:metadata"), "f:annotations")}
    return [
        each
        for each in _differing(_own(rendered), _own(live), writers, "", secret=rendered["kind"] == "Secret")
        if each.manager not in helm and not re.match(_TABLE["managers"], each.manager)
    ]


def all_drift(
    objects: Iterable[Json], live: Mapping[ObjectKey, Json | None], namespace: str
) -> list[tuple[ObjectKey, Drift]]:
    """The same of each of these objects that is there; ``namespace`` stands in where one names none."""
    keys = ((key_of(obj, namespace), obj) for obj in objects)
    return [(key, each) for key, obj in keys if (there := live.get(key)) for each in drift_of(obj, there)]


def put_back(rendered: Json) -> Json:
    """A merge patch that sets what the manifest sets."""
    return {name: part for name, part in _own(rendered).items() if part}


def _own(obj: Json) -> Json:
    """What a manifest sets of an object, in the form in which the server keeps it."""
    metadata = obj.get("metadata") or {}
    named = {name: metadata.get(name) or {} for name in ("labels", "annotations")}
    own = {name: part for name, part in obj.items() if name not in {"apiVersion", "kind", "metadata", "status"}}
    if obj["kind"] == "Secret":
        plain = {
            key: base64.b64encode(str(text).encode()).decode()
            for key, text in (own.pop("stringData", None) or {}).items()
        }
        own["data"] = {key: "".join(str(text or "").split()) for key, text in (own.get("data") or {}).items()} | plain
    return {"metadata": named, **own}


def _differing(stored: Any, live: Any, writers: list[_Writer], path: str, *, secret: bool) -> Iterator[Drift]:
    if isinstance(stored, dict) and isinstance(live, dict):
        for key in {**stored, **live}:
            inner, at = _inside(writers, f"f:{key}"), f"{path}.{key}".lstrip(".")
            if key in stored:
                yield from _differing(stored[key], live.get(key, _ABSENT), inner, at, secret=secret)
            elif re.search(_TABLE["added"], at):
                yield from _added(live[key], inner, at)
    elif (
        isinstance(stored, list) and isinstance(live, list) and all(isinstance(each, dict) for each in (*stored, *live))
    ):
        yield from _entries(stored, live, writers, path, secret=secret)
    elif not _same(stored, live, path, any(writers)):
        last = max(writers, key=lambda each: each.time, default=_Writer("", "", {}))
        values = _text(stored), _text(live) or "not there"
        # Nobody may know yet what was typed by hand, so that the redactor could not.
        hidden = (secret and re.match(r"data(\.|$)", path)) or re.search(_TABLE["hidden"], " ".join((path, *values)))
        yield Drift(path, *(("", "") if hidden else values), last.manager, last.time)


def _added(live: Any, writers: list[_Writer], path: str) -> Iterator[Drift]:
    """What stands where the manifest has nothing at all, if somebody has put it there."""
    if isinstance(live, list) and all(isinstance(each, dict) for each in live):
        yield from _entries([], live, writers, path, secret=False)
    elif _says(live) and any(writers):
        last = max(writers, key=lambda each: each.time)
        yield Drift(path, "", _text(live), last.manager, last.time, added=True)


def _entries(
    stored: list[Json], live: list[Json], writers: list[_Writer], path: str, *, secret: bool
) -> Iterator[Drift]:
    by = next((key for key in _TABLE["same"] if _tells_apart(stored, key) and _tells_apart(live, key)), None)
    wanted, there = ({str(each[by]) if by else at: each for at, each in enumerate(side)} for side in (stored, live))
    for name, entry in wanted.items():
        inner = [each for writer in writers for each in _inside_entry(writer, there.get(name))]
        yield from _differing(entry, there.get(name, _ABSENT), inner, f"{path}[{name}]", secret=secret)
    for name, entry in there.items():
        at = f"{path}[{name}]"
        if by and name not in wanted and re.search(_TABLE["added"], path) and not re.search(_TABLE["not_added"], at):
            inner = [each for writer in writers for each in _inside_entry(writer, entry)]
            last = max(inner, key=lambda each: each.time, default=_Writer("", "", {}))
            yield Drift(at, "", _text(entry), last.manager, last.time, added=True)


def _tells_apart(entries: list[Json], key: str) -> bool:
    values = [str(each[key]) for each in entries if key in each]
    return len(values) == len(entries) == len(set(values))


def _same(stored: Any, live: Any, path: str, written: bool) -> bool:
    """Whether a value is what the server makes of it.

    Args:
        written: Somebody is known to have written it: an empty one was not only filled in.
    """
    if stored is None or live is _ABSENT or live is None:
        return not _says(stored)
    if stored in ("", [], {}):
        return stored == live or not written
    if isinstance(stored, list) and isinstance(live, list):
        return [_text(each) for each in stored] == [_text(each) for each in live]
    if _text(stored) == _text(live):
        return True
    try:
        return bool(re.search(_TABLE["amounts"], path)) and thousandths(stored) == thousandths(live)
    except ValueError:
        return False


def _says(stored: Any) -> bool:
    """Whether a part of a manifest sets anything that the server does not leave out."""
    if isinstance(stored, dict | list):
        return any(map(_says, stored.values() if isinstance(stored, dict) else stored))
    return bool(stored)


def _cut(text: str, shown: Callable[[str], str]) -> str:
    told = shown(text)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def _text(value: Any) -> str:
    """A value as the server would write it; nothing for one that is not there."""
    if value is _ABSENT or value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _below(fields: Any, key: str) -> Json:
    return fields.get(key) or {} if isinstance(fields, dict) else {}


def _inside(writers: list[_Writer], key: str) -> list[_Writer]:
    """Who has written below a key; whoever owns the whole above it owns that too."""
    return [each._replace(fields=each.fields.get(key, {})) for each in writers if not each.fields or key in each.fields]


def _inside_entry(writer: _Writer, entry: Json | None) -> Iterator[_Writer]:
    """The same of an entry of a list, which is named there by its keys."""
    if not writer.fields:
        yield writer
    for key, fields in writer.fields.items():
        kind, _, named = key.partition(":")
        if kind == "k" and entry is not None and json.loads(named).items() <= entry.items():
            yield writer._replace(fields=fields)
