"""What the API server would make of each object, as this Helm would send it: a second opinion on a plan, asked by dry runs."""

import re
from collections.abc import Collection, Iterable
from secrets import token_hex
from typing import Any, NamedTuple

from runbooks_lib.cluster.failures import NotFound, Unpermitted
from runbooks_lib.errors import CheckFailed, RunbookError
from runbooks_lib.helm import Release
from runbooks_lib.release.boundaries import Boundaries
from runbooks_lib.release.drift import Drift, drift_of
from runbooks_lib.release.impact import Shown
from runbooks_lib.release.manifest import ObjectKey, key_of, objects_of
from runbooks_lib.results import Json
from runbooks_lib.tables import table
from runbooks_lib.threads import at_once

#: Asked in its place while the namespace is not there yet.
STAND_IN = "default"
_PATCHES: Json = table(__package__, "patches.yaml")
#: What the server writes at each answer.
_ITS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


class Opinion(NamedTuple):
    """Where the server disagrees with the manifests, which is part of what is approved, and its words, which may change."""

    impact: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Sending:
    """How this Helm sends objects: it applies them on the server, or creates them, or patches those that are there.

    Args:
        stored: The release that they belong to: Helm 4 goes on with one of Helm 3 as that did.
        live: What is there of each object.
    """

    def __init__(self, boundaries: Boundaries, stored: Release | None, live: dict[ObjectKey, Json | None]) -> None:
        self._boundaries, self.live = boundaries, live
        self._old = {key_of(obj, boundaries.namespace): obj for obj in objects_of(stored.manifest if stored else "")}
        newer = not boundaries.helm.version.startswith(("v2", "v3"))
        self.applies = newer and (stored is None or stored.apply_method == "ssa")

    def ask(self, obj: Json) -> Json:
        """What the server would make of an object; raises RunbookError: It would refuse it, or does not say."""
        key, try_it = key_of(obj, self._boundaries.namespace), self._boundaries.cluster.dry_run
        if self.applies or self.live.get(key) is None:
            return try_it("apply" if self.applies else "create", obj, key.namespace)
        old = self._old.get(key)
        if re.fullmatch(_PATCHES["known"], key.group):
            return try_it("merge", merging(old, obj), key.namespace)
        # Of kinds that it does not know Helm sends only what differs between its manifests.
        patch = {"metadata": {}} | changing(old, obj)
        named = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
        # The labels of the chart's version are among what differs.
        return try_it("replace", patch | named | {"metadata": patch["metadata"] | {"name": key.name}}, key.namespace)

    def ask_elsewhere(self, obj: Json, namespace: str) -> Json:
        """The same of a new object, in a namespace and under a name that nobody has: one of its own may be there."""
        name = f"{str(obj['metadata'].get('name', 'x'))[:50]}-{token_hex(4)}"
        renamed = {**obj, "metadata": {**obj["metadata"], "name": name, "namespace": namespace}}
        return self._boundaries.cluster.dry_run("apply" if self.applies else "create", renamed, namespace)


def merging(old: Any, new: Any, name: str = "") -> Any:
    """A strategic merge patch to what a manifest says, in which also goes what only the one before has."""
    if isinstance(old, dict) and isinstance(new, dict):
        gone = dict.fromkeys(key for key in old if key not in new)
        # Else what the server has filled in for the old ones would contradict the new ones.
        alone = {"$retainKeys": list(new)} if name in _PATCHES["alone"] and old != new else {}
        return gone | {key: merging(old.get(key), value, key) for key, value in new.items()} | alone
    if not isinstance(old, list) or not isinstance(new, list):
        return new
    by = next((key for key in _PATCHES["keys"].get(name, ()) if all(key in each for each in (*old, *new))), None)
    if by is None:
        return new
    before = {each[by]: each for each in old}
    gone_ones = [{by: each, "$patch": "delete"} for each in before if each not in {one[by] for one in new}]
    return [*(merging(before.get(each[by]), each, name) for each in new), *gone_ones]


def changing(old: Any, new: Any) -> Any:
    """A merge patch from one manifest to another: only what differs."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    changed = {key: changing(old.get(key), value) for key, value in new.items() if old.get(key) != value}
    return dict.fromkeys(key for key in old if key not in new) | changed


def opinion(
    boundaries: Boundaries, sending: Sending, objects: Iterable[Json], *, shown: Shown, mended: Collection[str] = ()
) -> Opinion:
    """What the server says to the objects that a plan adds or changes.

    Its words may hold a time or a number of that moment: they are notes. That it disagrees, and about what, is none.

    Args:
        mended: The paths of drift that is put back beside Helm, which the server is not asked to do.
    """
    listed, namespace = list(objects), boundaries.namespace
    there = boundaries.cluster.get("v1", "Namespace", namespace) is not None

    def ask(obj: Json) -> Json | RunbookError:
        resource = boundaries.cluster.resource(obj["apiVersion"], obj["kind"])
        ours = resource is not None and resource.namespaced and key_of(obj, namespace).namespace == namespace
        try:
            return sending.ask_elsewhere(obj, STAND_IN) if ours and not there else sending.ask(obj)
        except RunbookError as error:
            return error

    impact, notes = list[str](), list[str]()
    for obj, answer in zip(listed, at_once(ask, listed), strict=True):
        key = key_of(obj, namespace)
        live = sending.live.get(key)
        if not isinstance(answer, RunbookError):
            other = [each for each in _other(obj, live, answer) if f"{key} {each.path}" not in mended]
            if live is not None and _plain(live) == _plain(answer):
                impact.append(f"No change after all, says the server: to it both manifests of {key} are the same.")
            elif other:
                paths = ", ".join(each.path for each in other)
                impact.append(f"Other than the chart says: the server makes something else of {key}: {paths}.")
                notes += [f"The server on {key}: {_words(each, shown)}." for each in other]
        elif isinstance(answer, CheckFailed) and not isinstance(answer, NotFound | Unpermitted):
            impact.append(f"REFUSED by the server, so that Helm would fail there: {key}.")
            notes.append(f"The server refuses {key}: {answer.summary}")
        else:
            notes.append(f"What the server makes of {key} is not known: {answer.summary}")
    return Opinion(tuple(impact), tuple(notes))


def _other(obj: Json, live: Json | None, made: Json) -> list[Drift]:
    """Where what the server would make is not what the chart says, besides what somebody has added already."""
    added = {each.path for each in drift_of(obj, _unsigned(live)) if each.added} if live else set[str]()
    return [each for each in drift_of(obj, _unsigned(made)) if each.path not in added]


def _words(each: Drift, shown: Shown) -> str:
    return each.says(shown) if each.added else f"{each.says(shown)}, and the chart says {each.was(shown)}"


def _plain(obj: Json) -> Json:
    """An object without what the server writes at each answer, and without its state."""
    kept = {name: part for name, part in obj.items() if name not in {"status", "apiVersion", "kind"}}
    return kept | {"metadata": {name: part for name, part in obj["metadata"].items() if name not in _ITS_OWN}}


def _unsigned(obj: Json) -> Json:
    """An object whose fields nobody has signed: all that is other counts."""
    return {**obj, "metadata": {name: part for name, part in obj["metadata"].items() if name != "managedFields"}}
