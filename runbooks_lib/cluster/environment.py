"""A container's environment, as the kubelet would give it."""

import base64
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping

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


def from_files(
    names: Iterable[str], variables: Mapping[str, str], container: Json, pod: Json, read: Read
) -> dict[str, str]:
    """Those of these variables that an image takes from the file that ``NAME_FILE`` names, as the official ones do.

    Raises Missing: The file's Secret or ConfigMap is not there.
    """
    paths = {name: variables[f"{name}_FILE"] for name in names if name not in variables and f"{name}_FILE" in variables}
    texts = {name: _file(path, container, pod, read) for name, path in paths.items()}
    return {name: text.rstrip("\n") for name, text in texts.items() if text is not None}


def _file(path: str, container: Json, pod: Json, read: Read) -> str | None:
    """A file that a container has from a Secret or a ConfigMap; None where it has it from elsewhere."""
    volumes = {volume["name"]: volume for volume in (pod.get("spec") or {}).get("volumes") or ()}
    for mount in sorted(container.get("volumeMounts") or (), key=lambda each: len(each["mountPath"]), reverse=True):
        inside = posixpath.relpath(path, mount["mountPath"])
        if inside.startswith(".."):
            continue
        wanted = posixpath.normpath(posixpath.join(mount.get("subPath", ""), inside))
        volume = volumes.get(mount["name"]) or {}
        for source in (volume.get("projected") or {}).get("sources") or (volume,):
            for kind, field in (("Secret", "secret"), ("ConfigMap", "configMap")):
                if held := source.get(field):
                    keys = {item["path"]: item["key"] for item in held.get("items") or ()} or {wanted: wanted}
                    named = {"name": held.get("secretName") or held.get("name"), "optional": held.get("optional")}
                    entries = _entries(kind, named, read)
                    if (key := keys.get(wanted)) in entries:
                        return entries[key]
        return None
    return None


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
