"""One difference for install, upgrade and uninstall, and what it means in the operator's words."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from runbooks_lib.release.manifest import ObjectKey, flat, images, kept, key_of
from runbooks_lib.results import Json, ObjectChange

#: Labels that name the chart's version: they change on every object and say nothing about it.
_NOISE = ("labels.helm.sh/chart", "labels.app.kubernetes.io/version")

_SECRET_FIELDS = ("data", "stringData")

Shown = Callable[[str], str]


def difference(
    old: Iterable[Json], new: Iterable[Json], *, namespace: str, shown: Shown, staying: Collection[ObjectKey] = ()
) -> tuple[ObjectChange, ...]:
    """What becomes of each object.

    Args:
        old: The objects that Helm stored.
        new: The objects that Helm would store.
        shown: Makes a value fit to be shown; secrets are replaced by it.
        staying: The live objects whose resource policy is keep, whatever Helm stored of them.
    """
    before = {key_of(obj, namespace): obj for obj in old}
    after = {key_of(obj, namespace): obj for obj in new}
    changes: list[ObjectChange] = []
    for key in sorted({*before, *after}):
        name = named(key, namespace)
        if key not in before:
            changes.append(ObjectChange(action="add", name=name, detail=_images(after[key])))
        elif key not in after:
            stays = key in staying or kept(before[key])
            why = ("its resource policy is keep: Helm leaves it, and knows it no more",)
            changes.append(ObjectChange(action="keep" if stays else "remove", name=name, detail=why if stays else ()))
        else:
            detail = _fields(key, before[key], after[key], shown)
            if detail:
                changes.append(ObjectChange(action="change", name=name, detail=detail))
    return tuple(changes)


def named(key: ObjectKey, namespace: str) -> str:
    """How a plan calls an object."""
    return str(key) if key.namespace == namespace else f"{key} in namespace {key.namespace}"


def value_changes(old: Mapping[str, Any], new: Mapping[str, Any], shown: Shown) -> Iterable[str]:
    """A sentence for each value that differs between a stored release and the parameters.

    The guide installs with ``--set …database=`` and upgrades with a file only: then the databases' names are
    forgotten and the pods wait for ever.
    """
    before, after = ({path: value for path, value in flat(side) if value not in ({}, [])} for side in (old, new))
    for path in sorted({*before, *after}):
        if path not in after:
            yield (
                f"DROPPED VALUE: {path} is set in the stored release and not in these parameters; "
                "Helm forgets it and the chart's default takes its place."
            )
        elif path not in before:
            yield f"New value: {shown(f'{path}: {after[path]}')}."
        elif before[path] != after[path]:
            yield f"Changed value: {shown(f'{path}: {before[path]}')} → {shown(f'{path}: {after[path]}')}."


def counts(changes: Iterable[ObjectChange]) -> str:
    """``41 added, 2 changed``: the first sentence of every impact."""
    words = {"add": "added", "change": "changed", "remove": "removed", "keep": "kept"}
    actions = [change.action for change in changes]
    return ", ".join(f"{actions.count(a)} {word}" for a, word in words.items() if a in actions) or "no object changes"


def _fields(key: ObjectKey, old: Json, new: Json, shown: Shown) -> tuple[str, ...]:
    lines: list[str] = []
    if key.kind == "Secret":
        # Never a value: only which entries differ.
        for field in _SECRET_FIELDS:
            lines += _entries(field, old.get(field) or {}, new.get(field) or {})
        old, new = ({k: v for k, v in obj.items() if k not in _SECRET_FIELDS} for obj in (old, new))
    leaves_old = dict(flat(old))
    leaves_new = dict(flat(new))
    for path in sorted({*leaves_old, *leaves_new}):
        one, other = leaves_old.get(path), leaves_new.get(path)
        if one != other and not path.endswith(_NOISE):
            before, after = _text(one, shown), _text(other, shown)
            hidden = before == after and str(one) != str(other)
            lines.append(f"{path}: {before} → {'the same with another secret in it' if hidden else after}")
    return tuple(lines)


def _entries(field: str, old: Json, new: Json) -> Iterable[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            word = "added" if name not in old else "removed" if name not in new else "changed"
            yield f"{field}.{name}: {word}"


def _text(value: Any, shown: Shown) -> str:
    text = "(none)" if value is None else shown(str(value))
    return text if len(text) <= 120 else f"{text[:120]}…"


def _images(obj: Json) -> tuple[str, ...]:
    return tuple(f"image {name}: {image}" for name, image in images(obj).items())
