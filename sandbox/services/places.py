"""Where things of the service controller are kept: below its folder, and below the one of the claims."""

from __future__ import annotations

from pathlib import Path

from runbooks_lib.cluster import Cluster
from runbooks_lib.results import Json


class Places:
    """Where pods, claims and tables of hosts are kept."""

    def __init__(self, folder: Path, volumes: Path, cluster: Cluster) -> None:
        self._folder = folder
        self._volumes = volumes
        self._cluster = cluster

    def pod(self, pod: Json) -> Path:
        """By UID: a pod of a StatefulSet that comes back is another one."""
        return self._folder / "pods" / str(pod["metadata"]["uid"])

    @property
    def empty(self) -> Path:
        """A log with nothing in it."""
        return self._folder / "empty.log"

    def pods(self) -> dict[str, Path]:
        """The folders that there are, by UID; also of pods that are gone."""
        return {folder.name: folder for folder in self._folder.glob("pods/*")}

    def unmade(self, namespace: str) -> Path:
        """Exists once a Job of this namespace has ended without a program: what it would have made is not there."""
        return self._folder / "unmade" / namespace

    def claim(self, namespace: str, name: str) -> Path | None:
        """By UID: a claim that is made again has no data; None while there is no such claim."""
        found = self._cluster.get("v1", "PersistentVolumeClaim", name, namespace)
        if found is None:
            return None
        folder = self._volumes / str(found["metadata"]["uid"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def hosts(self, namespace: str) -> Path:
        """One table a namespace."""
        return self._folder / "hosts" / f"{namespace}.json"
