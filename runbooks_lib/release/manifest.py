"""Rendered objects: from Helm's YAML to keys and dictionaries."""

import base64
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import yaml

from runbooks_lib.helm import Release
from runbooks_lib.results import Json
from runbooks_lib.tables import FastLoader

WORKLOAD_KINDS = ("Deployment", "StatefulSet", "DaemonSet")


class _Loader(FastLoader):  # type: ignore[misc]
    """Reads scalars as Helm does: a date, ``=`` and ``12:30`` are texts."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [rule for rule in rules if not rule[0].endswith((":timestamp", ":value"))]
        for first, rules in FastLoader.yaml_implicit_resolvers.items()
    }


def _not_base_sixty(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda loader, node: node.value if ":" in node.value else construct(loader, node)


# As in YAML 1.1, which PyYAML leaves out: a container named `n` has no name for Helm.
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
_Loader.bool_values = FastLoader.bool_values | {"y": True, "n": False}
_Loader.add_constructor("tag:yaml.org,2002:int", _not_base_sixty(FastLoader.construct_yaml_int))
_Loader.add_constructor("tag:yaml.org,2002:float", _not_base_sixty(FastLoader.construct_yaml_float))


class ObjectKey(NamedTuple):
    """Which object it is. ``group`` and not the version: an object keeps its identity when its API ages."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """``Kind name``."""
        return f"{self.kind} {self.name}"


def objects_of(manifest: str) -> list[Json]:
    """The objects of a manifest, in Helm's order; a list is the objects in it. They are only read."""
    return list(_parsed(manifest))


@lru_cache(maxsize=64)  # a run asks again and again about two manifests and their hooks
def _parsed(manifest: str) -> tuple[Json, ...]:
    objects: list[Json] = []
    # The loader is a safe one.
    for document in yaml.load_all(manifest, Loader=_Loader):
        if not isinstance(document, dict) or not document.get("kind"):
            continue
        items = document.get("items") if str(document["kind"]).endswith("List") else None
        objects += items if isinstance(items, list) else [document]
    return tuple(objects)


def hook_objects(release: Release) -> list[Json]:
    """The objects of a release's hooks."""
    return [obj for hook in release.hooks for obj in objects_of(hook)]


def key_of(obj: Json, namespace: str = "") -> ObjectKey:
    """The key of an object; ``namespace`` stands in where the object names none."""
    group, _, version = obj.get("apiVersion", "").rpartition("/")
    metadata = obj.get("metadata") or {}
    # A hook's Job may leave the rest of its name to the cluster.
    name = str(metadata.get("name") or metadata.get("generateName") or "")
    return ObjectKey(group if version else "", obj["kind"], metadata.get("namespace") or namespace, name)


def labelled(obj: Json, labels: Json) -> bool:
    """Whether an object, or the template of one, has all of these labels; without any, none has them."""
    own = (obj.get("metadata") or {}).get("labels") or {}
    return bool(labels) and labels.items() <= own.items()


def annotation(obj: Json, name: str) -> str:
    """The value of an annotation, or an empty text."""
    return str(((obj.get("metadata") or {}).get("annotations") or {}).get(name, ""))


def kept(obj: Json) -> bool:
    """Whether Helm leaves this object behind when the release goes."""
    return annotation(obj, "helm.sh/resource-policy").strip().lower() == "keep"


def workloads(manifest: str) -> list[Json]:
    """The Deployments, StatefulSets and DaemonSets of a manifest."""
    return [obj for obj in objects_of(manifest) if obj["kind"] in WORKLOAD_KINDS]


def images(obj: Json, *, init: bool = True) -> dict[str, str]:
    """The image of each container of a workload, by container name; init containers too unless told otherwise."""
    spec = (((obj.get("spec") or {}).get("template") or {}).get("spec")) or {}
    return {
        container["name"]: str(container.get("image", ""))
        for key in (("initContainers", "containers") if init else ("containers",))
        for container in spec.get(key) or ()
    }


def secret_values(obj: Json) -> Iterator[tuple[str, str]]:
    """Key and decoded value of each entry of a Secret; binary values are left out."""
    for key, value in (obj.get("data") or {}).items():
        try:
            yield key, base64.b64decode(_text(value)).decode()
        except ValueError:
            continue
    # Last, so that it wins in a dictionary: as it does in the cluster.
    for key, value in (obj.get("stringData") or {}).items():
        yield key, _text(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def claim_names(workload: Json) -> list[str]:
    """The names of the claims that a StatefulSet makes: ``<template>-<name>-<ordinal>``.

    Helm does not know them, so an uninstall leaves them.
    """
    spec = workload.get("spec") or {}
    replicas = spec.get("replicas")
    return [
        f"{template['metadata']['name']}-{workload['metadata']['name']}-{ordinal}"
        for template in spec.get("volumeClaimTemplates") or ()
        for ordinal in range(1 if replicas is None else int(replicas))
    ]


def flat(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no other, by its path: ``spec.containers[web].image``."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list) and data:
        names = [value.get("name") if isinstance(value, dict) else None for value in data]
        for index, (name, value) in enumerate(zip(names, data, strict=True)):
            # One volume may be mounted twice: then its name alone would hide the first.
            label = index if name is None else name if names.count(name) == 1 else f"{name} {index}"
            yield from flat(value, f"{path}[{label}]")
    else:
        yield path, data
