"""Can the cluster give the volumes that several pods share?"""

import re

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Json
from runbooks_lib.tables import table

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

_KNOWN: dict[str, list[str]] = table(__package__, "provisioners.yaml")
_SHARED, _SINGLE = (re.compile("|".join(_KNOWN[mode]), re.IGNORECASE) for mode in ("ReadWriteMany", "ReadWriteOnce"))


def shared_storage(cluster: Cluster, objects: list[Json]) -> Answer:
    """Whether each class that a ReadWriteMany claim of these objects names can give one."""
    wanted = _shared_classes(objects)
    if not wanted:
        return Answer("skip", "the chart asks for no ReadWriteMany claim")
    classes = {item["metadata"]["name"]: item for item in cluster.list("storage.k8s.io/v1", "StorageClass")}
    marks = {name: item["metadata"].get("annotations") or {} for name, item in classes.items()}
    default = next((name for name, marked in marks.items() if marked.get(_DEFAULT_CLASS) == "true"), "")
    seen = []
    for name in sorted(wanted):
        found = classes.get(name or default)
        if found is None:
            absent = f"StorageClass {name} does not exist"
            return Answer("fail", absent if name else "no default StorageClass, and the chart names none")
        provisioner = str(found.get("provisioner", ""))
        seen.append(f"{found['metadata']['name']} ({provisioner})")
        if _SINGLE.search(provisioner):
            return Answer("fail", f"{seen[-1]} gives ReadWriteOnce only")
        if not _SHARED.search(provisioner):
            return Answer("warn", f"{seen[-1]}: not known whether it can give ReadWriteMany")
    return Answer("pass", ", ".join(seen))


def _shared_classes(objects: list[Json]) -> set[str]:
    """The classes of all ReadWriteMany claims; the empty name is the default class."""
    claims = [obj["spec"] for obj in objects if obj["kind"] == "PersistentVolumeClaim"]
    for obj in objects:
        claims += [made["spec"] for made in (obj.get("spec") or {}).get("volumeClaimTemplates") or ()]
    shared = (spec for spec in claims if "ReadWriteMany" in spec.get("accessModes", ()))
    return {str(spec.get("storageClassName") or "") for spec in shared}
