"""Can the cluster give the volumes that several pods share?"""

from __future__ import annotations

import re

from runbooks_lib.checks.catalogue import Answer
from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Json

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

#: Provisioners that are known to give ReadWriteMany. The API has no field for it: only a claim would prove it.
_SHARED = re.compile(
    r"nfs|cephfs|efs\.csi|file\.csi\.azure|azure-file|filestore|glusterfs|longhorn|juicefs|lustre|weka|trident|"
    r"nasplugin|cfs|sfsturbo|quobyte|moosefs|beegfs|host-path",
    re.IGNORECASE,
)
_SINGLE = re.compile(
    r"ebs\.csi|aws-ebs|disk\.csi|azure-disk|pd\.csi|gce-pd|cinder|local-path|diskplugin|cbs", re.IGNORECASE
)


def shared_storage(cluster: Cluster, objects: list[Json]) -> Answer:
    """Whether each class that a ReadWriteMany claim of these objects names can give one."""
    wanted = _shared_classes(objects)
    if not wanted:
        return Answer("skip", "the chart asks for no ReadWriteMany claim")
    classes = {item["metadata"]["name"]: item for item in cluster.list("storage.k8s.io/v1", "StorageClass")}
    defaults = [name for name, item in classes.items() if _is_default(item)]
    seen = []
    for name in sorted(wanted):
        found = classes.get(name or next(iter(defaults), ""))
        if found is None:
            missing = (
                f"StorageClass {name} does not exist" if name else "no default StorageClass, and the chart names none"
            )
            return Answer("fail", missing)
        provisioner = str(found.get("provisioner", ""))
        seen.append(f"{found['metadata']['name']} ({provisioner})")
        if _SINGLE.search(provisioner):
            return Answer("fail", f"{seen[-1]} gives ReadWriteOnce only")
        if not _SHARED.search(provisioner):
            return Answer("warn", f"{seen[-1]}: not known whether it can give ReadWriteMany")
    return Answer("pass", ", ".join(seen))


def _is_default(storage_class: Json) -> bool:
    return (storage_class["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"


def _shared_classes(objects: list[Json]) -> set[str]:
    """The classes of all ReadWriteMany claims; the empty name is the default class."""
    claims = [obj["spec"] for obj in objects if obj["kind"] == "PersistentVolumeClaim"]
    for obj in objects:
        claims += [made["spec"] for made in (obj.get("spec") or {}).get("volumeClaimTemplates") or ()]
    shared = (spec for spec in claims if "ReadWriteMany" in spec.get("accessModes", ()))
    return {str(spec.get("storageClassName") or "") for spec in shared}
