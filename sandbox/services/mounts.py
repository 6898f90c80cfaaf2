"""What is mounted into a pod's containers, as a kubelet fills it: claims, ConfigMaps, Secrets, and several in one."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

from runbooks_lib.cluster.environment import Missing, Read
from runbooks_lib.results import Json

#: Names the folder of a claim; None where there is no such claim.
Claim = Callable[[str], Path | None]
#: The volume that every pod gets for its account: nothing that runs here asks the API server.
_ACCOUNT = "kube-api-access-"


def mount(pod: Json, folder: Path, read: Read, claim: Claim, *, lenient: bool) -> dict[str, Path]:
    """Fill every volume of a pod: its folder on this machine, by name.

    Args:
        folder: Where those without a claim are kept.
        lenient: What is not there is left out.

    Raises:
        Missing: What is to be mounted is not there, and is not optional.
    """
    found = {}
    for volume in pod["spec"].get("volumes") or ():
        name = volume["name"]
        try:
            found[name] = _mount(volume, folder / name, read, claim)
        except Missing as missing:
            if not lenient:
                raise Missing(f'MountVolume.SetUp failed for volume "{name}" : {missing}') from None
            found[name] = folder / name
    return found


def folders(container: Json, volumes: dict[str, Path]) -> dict[str, Path]:
    """Where each mount of a container is on this machine."""
    mounts = container.get("volumeMounts") or ()
    return {each["mountPath"]: volumes[each["name"]] / each.get("subPath", "") for each in mounts}


def _mount(volume: Json, place: Path, read: Read, claim: Claim) -> Path:
    if wanted := volume.get("persistentVolumeClaim"):
        held = claim(wanted["claimName"])
        if held is None:
            raise Missing(f'persistentvolumeclaim "{wanted["claimName"]}" not found')
        return held
    place.mkdir(parents=True, exist_ok=True)
    if not volume["name"].startswith(_ACCOUNT):
        for path, content in _files(volume, read):
            file = place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(content)
    return place


def _files(volume: Json, read: Read) -> Iterator[tuple[str, bytes]]:
    for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
        for kind, key, name in (("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")):
            if reference := source.get(key):
                yield from _entries(kind, reference, str(reference.get(name) or reference.get("name")), read)


def _entries(kind: str, reference: Json, name: str, read: Read) -> Iterator[tuple[str, bytes]]:
    found = read(kind, name)
    if found is None and not reference.get("optional"):
        raise Missing(f'{kind.lower()} "{name}" not found')
    data, binary = ((found or {}).get(part) or {} for part in ("data", "binaryData"))
    encoded = {**binary, **(data if kind == "Secret" else {})}
    contents = {key: base64.b64decode(text) for key, text in encoded.items()}
    if kind == "ConfigMap":
        contents |= {key: text.encode() for key, text in data.items()}
    wanted = reference.get("items") or [{"key": key, "path": key} for key in contents]
    for item in wanted:
        if item["key"] in contents:
            yield item["path"], contents[item["key"]]
        elif not reference.get("optional"):
            raise Missing(f'references non-existent {kind.lower()} key "{item["key"]}" of "{name}"')
