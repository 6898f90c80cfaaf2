"""A container's environment, as the kubelet would give it."""

import base64
import re
from collections.abc import Callable, Mapping

from runbooks_lib.results import Json

#: Reads an object of ``v1`` by kind and name in the pod's namespace; None where there is none.
Read = Callable[[str, str], Json | None]

_REFERENCE = re.compile(r"\$(\$|\(([-._A-Za-z][-._A-Za-z0-9]*)\))")


class Missing(LookupError):
    """The environment names a ConfigMap, a Secret or a key of one that is not there: the container can't start."""


def environment(container: Json, pod: Json, read: Read) -> dict[str, str]:
    """Every variable of a container, ConfigMaps, Secrets and fields of its pod looked up.

    Raises Missing: One that is not optional refers to what is not there.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        kind = "Secret" if "secretRef" in source else "ConfigMap"
        reference = source["secretRef" if kind == "Secret" else "configMapRef"]
        entries = _entries(kind, reference, read)
        found |= {f"{source.get('prefix', '')}{key}": value for key, value in entries.items()}
    for entry in container.get("env") or ():
        value = _value_from(entry["valueFrom"], pod, read) if "valueFrom" in entry else str(entry.get("value") or "")
        if value is not None:
            found[entry["name"]] = expand(value, found)
    return found


def expand(text: str, known: Mapping[str, str]) -> str:
    """Put variables in place of ``$(NAME)``; ``$$`` is a dollar, and a name that is not known stays as it is."""
    return _REFERENCE.sub(lambda hit: "$" if hit[1] == "$" else known.get(hit[2], hit[0]), text)


def _value_from(source: Json, pod: Json, read: Read) -> str | None:
    for kind, key in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
        if reference := source.get(key):
            entries = _entries(kind, reference, read)
            if reference["key"] not in entries and not reference.get("optional"):
                raise Missing(f"{kind} {reference['name']} has no key {reference['key']}")
            return entries.get(reference["key"])
    at: object = pod
    for part in (source.get("fieldRef") or {"fieldPath": ""})["fieldPath"].split("."):
        name, _, index = part.partition("['")
        at = at.get(name) if isinstance(at, Mapping) else None
        if index:
            at = at.get(index.rstrip("']")) if isinstance(at, Mapping) else None
    # A resource limit is not looked up: nothing here is limited.
    return str(at) if at is not None else ""


def _entries(kind: str, reference: Json, read: Read) -> dict[str, str]:
    found = read(kind, reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise Missing(f"{kind} {reference['name']} is not there")
    data: dict[str, str] = dict(found.get("data") or {})
    if kind == "ConfigMap":
        return data
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
