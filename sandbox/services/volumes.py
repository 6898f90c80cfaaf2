"""The sandbox's provisioner: a folder of this machine for each claim, for one pod or many.

It does what an external provisioner does: the controller manager says on a claim who is to provide for it, and binds
it to the volume that is made for it. When the claim is gone, volume and folder go too.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from pathlib import Path

from runbooks_lib.cluster import Cluster, Conflict
from runbooks_lib.errors import RunbookError
from runbooks_lib.results import Json
from sandbox.nodes import PREFIX
from sandbox.services.watching import changes, say

#: As the StorageClass `standard` names it.
PROVISIONER = f"{PREFIX}host-path"
#: Put on a claim by the controller manager, and on a volume by whoever made it.
_WANTED, _MADE = "volume.kubernetes.io/storage-provisioner", "pv.kubernetes.io/provisioned-by"
#: Seconds before what did not succeed is tried again.
_AGAIN_SECONDS = 2.0


class Volumes:
    """Keeps a volume for each claim that names us, in a folder that is called after the claim's UID."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self._folder = folder
        self._cluster = cluster

    def run(self, ended: threading.Event) -> None:
        """Work, in threads of its own, until told to end."""
        threading.Thread(target=self._work, args=(ended,), daemon=True).start()

    def _work(self, ended: threading.Event) -> None:
        kinds = ("PersistentVolumeClaim", "PersistentVolume")
        for claims, volumes in changes(self._cluster, kinds, ended, again=_AGAIN_SECONDS):
            for work, found in ((self._provide, filter(_waits, claims)), (self._remove, filter(_released, volumes))):
                for one in found:
                    try:
                        work(one)
                    except (RunbookError, OSError) as error:
                        say(error)

    def _provide(self, claim: Json) -> None:
        uid = str(claim["metadata"]["uid"])
        (self._folder / uid).mkdir(parents=True, exist_ok=True)
        with suppress(Conflict):
            self._cluster.create(volume_for(claim, self._folder / uid))

    def _remove(self, volume: Json) -> None:
        place = Path(volume["spec"]["hostPath"]["path"])
        if place.parent == self._folder:
            shutil.rmtree(place, ignore_errors=True)
        # A program that still ends may write into it: the volume stays until its folder is gone.
        if not place.exists():
            self._cluster.delete("v1", "PersistentVolume", volume["metadata"]["name"])


def volume_for(claim: Json, place: Path) -> Json:
    """The volume that a claim is bound to."""
    about, wanted = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{about['uid']}", "annotations": {_MADE: PROVISIONER}},
        "spec": {
            "accessModes": wanted["accessModes"],
            "capacity": {"storage": wanted["resources"]["requests"]["storage"]},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
            | {key: about[key] for key in ("namespace", "name", "uid")},
            "hostPath": {"path": str(place), "type": "DirectoryOrCreate"},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": wanted["storageClassName"],
        },
    }


def _waits(claim: Json) -> bool:
    """Whether a claim waits for us; a block device, or one of certain labels, is not to be had."""
    annotations, wanted = claim["metadata"].get("annotations") or {}, claim["spec"]
    apart = wanted.get("volumeName") or wanted.get("selector") or wanted.get("volumeMode") == "Block"
    return annotations.get(_WANTED) == PROVISIONER and not apart


def _released(volume: Json) -> bool:
    annotations = volume["metadata"].get("annotations") or {}
    return annotations.get(_MADE) == PROVISIONER and volume.get("status", {}).get("phase") == "Released"
