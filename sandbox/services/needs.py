"""What a pod needs of the cluster before it runs: its volumes and its variables."""

from __future__ import annotations

from pathlib import Path

from runbooks_lib.cluster import Cluster
from runbooks_lib.cluster.environment import Missing, environment
from runbooks_lib.parameters.components import component_of
from runbooks_lib.results import Json
from sandbox.services import mounts
from sandbox.services.places import Places


class Needs:
    """The needs of one pod.

    Attributes:
        volumes: Their folders on this machine, by name, once they are mounted.
        excused: Its containers that run although something is missing.
    """

    def __init__(self, pod: Json, cluster: Cluster, places: Places) -> None:
        self._pod = pod
        self._cluster = cluster
        self._places = places
        self._namespace = str(pod["metadata"]["namespace"])
        self._mounted = False
        self.volumes: dict[str, Path] = {}
        self.excused: set[str] = set()

    def mount(self, *, begun: bool) -> None:
        """Have its volumes filled, once.

        Args:
            begun: It runs already: a Secret that is gone by now takes nothing from it.

        Raises:
            Missing: What is to be mounted is not there.
        """
        if self._mounted:
            return
        try:
            self.volumes = self._mount(lenient=False)
        except Missing:
            if self._excusable:
                self.excused |= {each["name"] for each in self._pod["spec"]["containers"]}
            elif not begun:
                raise
            self.volumes = self._mount(lenient=True)
        self._mounted = True

    def environment(self, container: Json) -> dict[str, str]:
        """The variables of one of its containers.

        Raises:
            Missing: What one of them refers to is not there.
        """
        try:
            return environment(container, self._pod, self._read)
        except Missing:
            if not self._excusable:
                raise
            self.excused.add(container["name"])
            return {}

    @property
    def _excusable(self) -> bool:
        """Whether what is not there may be the work of a Job that had no program, for example a certificate.

        Only for a pod without programs: a real one could do nothing without it.
        """
        real = any(component_of(each["image"]) for each in self._pod["spec"]["containers"])
        return not real and self._places.unmade(self._namespace).exists()

    def _mount(self, *, lenient: bool) -> dict[str, Path]:
        folder = self._places.pod(self._pod) / "volumes"

        def claim(name: str) -> Path | None:
            return self._places.claim(self._namespace, name)

        return mounts.mount(self._pod, folder, self._read, claim, lenient=lenient)

    def _read(self, kind: str, name: str) -> Json | None:
        return self._cluster.get("v1", kind, name, self._namespace)
