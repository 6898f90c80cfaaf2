"""What a stage works with: the target's parameters, the two boundaries, and who watches."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from runbooks_lib.cluster import Cluster, Forbidden, NotFound
from runbooks_lib.helm import ChartFile, Helm
from runbooks_lib.helm.chart import ChartSource, source_of
from runbooks_lib.parameters import Parameters, resolve_path
from runbooks_lib.redaction import Redactor
from runbooks_lib.release.manifest import WORKLOAD_KINDS, ObjectKey, key_of, labelled
from runbooks_lib.release.refusals import refused
from runbooks_lib.results import Json, Observe
from runbooks_lib.threads import at_once, once

#: Objects of one kind from which on a list costs less than asking for each.
_FEW = 4


@dataclass(frozen=True)
class Boundaries:
    """One target and the way to it.

    Attributes:
        note: What Helm stores as the description of a revision, without the plan: ``run <id>``.
        observe: The run's journal.
        last_change: Which run was the last to begin a change of this release until a time, if a record here tells.
        ended: Whether a run, by its id, is proved to be over by its record here.
        notebook: The digest of the code that a person runs; empty where there is none.
        typed: The secrets that a person was asked for, by their references.
    """

    parameters: Parameters
    helm: Helm
    cluster: Cluster
    redactor: Redactor
    observe: Observe
    note: str
    last_change: Callable[[str], str] = lambda _: ""
    ended: Callable[[str], bool] = lambda _: False
    notebook: str = ""
    typed: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def release(self) -> str:
        """The release's name."""
        return self.parameters.target.release

    @property
    def namespace(self) -> str:
        """The release's namespace."""
        return self.parameters.target.namespace

    @once
    def chart(self) -> ChartFile:
        """The chart that the parameters name, on this disk: fetched once, so that what is planned is applied."""
        chart = self.parameters.chart
        if chart.path:
            return self.helm.inspect(resolve_path(chart.path), source=chart.path)
        return self.helm.fetch(repository=chart.repository, name=chart.name, version=chart.version)

    @once
    def chart_source(self) -> ChartSource:
        """The same chart as its author wrote it, unpacked once."""
        return source_of(Path(self.chart.path))

    def pods_of(self, objects: Iterable[Json]) -> list[Json]:
        """The pods that the workloads among these objects select."""
        specs = [obj.get("spec") or {} for obj in objects if obj["kind"] in WORKLOAD_KINDS]
        wanted = [(spec.get("selector") or {}).get("matchLabels") or {} for spec in specs]
        listed = self.cluster.list("v1", "Pod", self.namespace)
        return [pod for pod in listed if any(labelled(pod, labels) for labels in wanted)]

    def live(self, obj: Json) -> Json | None:
        """A rendered object as it is in the cluster; None where it is not there."""
        key = key_of(obj, self.namespace)
        return self.cluster.get(obj["apiVersion"], key.kind, key.name, key.namespace)

    def all_live(self, objects: Iterable[Json]) -> dict[ObjectKey, Json | None]:
        """The same of many objects, asked for at once; many of one kind by one list, where the account may."""
        wanted = {key_of(obj, self.namespace): obj for obj in objects}
        groups: dict[tuple[str, str, str], list[ObjectKey]] = {}
        for key, obj in wanted.items():
            groups.setdefault((obj["apiVersion"], key.kind, key.namespace), []).append(key)
        crowds = [(kind, keys) for kind, keys in groups.items() if len(keys) > _FEW]
        found: dict[ObjectKey, Json | None] = {}
        for listed in at_once(lambda each: self._listed(*each), crowds):
            found |= listed
        rest = [key for key in wanted if key not in found]
        found |= zip(rest, at_once(lambda key: self.live(wanted[key]), rest), strict=True)
        return {key: found[key] for key in wanted}

    def _listed(self, kind: tuple[str, str, str], keys: list[ObjectKey]) -> dict[ObjectKey, Json | None]:
        version, name, namespace = kind
        try:
            listed = self.cluster.list(version, name, namespace or None)
        except (Forbidden, NotFound):
            return {}
        found = {obj["metadata"]["name"]: {"apiVersion": version, "kind": name} | obj for obj in listed}
        return {key: found.get(key.name) for key in keys}

    def waived(self, check: str) -> bool:
        """Whether somebody accepts today whatever a check finds."""
        return any(each.check == check and not each.over for each in self.parameters.waivers)

    def require_pin(self) -> Json:
        """The target as a plan binds it.

        Raises TargetRefused: The parameters pin no cluster, or another one than this.
        """
        pin, uid = self.parameters.target.cluster_uid, self.cluster.uid()
        if not pin:
            raise refused("no pin", server=self.cluster.server, uid=uid)
        if pin != uid:
            raise refused("another cluster", server=self.cluster.server, uid=uid, pin=pin)
        return {"cluster_uid": uid, "namespace": self.namespace, "release": self.release}
